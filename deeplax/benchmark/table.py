"""A result for people: a line for each value, rows as a table of their own."""

from typing import Any

# A value that is a list of dicts is a table; columns longer than this are cut.
_WIDEST = 60


def table(result: dict[str, Any]) -> str:
  """Lines of name and value; then the tables that are among the values."""
  flat, tables = {}, {}
  for key, value in _flat(result):
    (tables if _is_table(value) else flat)[key] = value
  width = max(map(len, flat))
  lines = [f'{key:<{width}}  {_words(value)}' for key, value in flat.items()]
  for key, rows in tables.items():
    lines += ['', f'{key}:', *_grid(rows)]
  return '\n'.join(lines)


def _flat(tree: dict[str, Any], prefix: str = ''):
  """(`'outer.inner'`, value) of nested dicts."""
  for key, value in tree.items():
    if isinstance(value, dict):
      yield from _flat(value, f'{prefix}{key}.')
    else:
      yield prefix + key, value


def _is_table(value: Any) -> bool:
  return (
    isinstance(value, list)
    and bool(value)
    and all(isinstance(row, dict) for row in value)
  )


def _grid(rows: list[dict[str, Any]]) -> list[str]:
  """Columns as wide as they need be, numbers to the right."""
  names = [*rows[0]]
  cells = [names] + [[_cut(_words(row[n])) for n in names] for row in rows]
  widths = [max(map(len, column)) for column in zip(*cells)]
  numeric = [isinstance(rows[0][n], int | float) for n in names]
  return [
    '  '.join(
      f'{cell:>{w}}' if right else f'{cell:<{w}}'
      for cell, w, right in zip(line, widths, numeric)
    ).rstrip()
    for line in cells
  ]


def _words(value: Any) -> str:
  if isinstance(value, int) and not isinstance(value, bool):
    return f'{value:,}'
  return str(value)


def _cut(text: str) -> str:
  """The end of a long text: names differ there."""
  return text if len(text) <= _WIDEST else f'...{text[3 - _WIDEST :]}'
