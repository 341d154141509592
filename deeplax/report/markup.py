"""Pieces of HTML. Whatever comes from outside goes through `text`."""

import html
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

NOTHING = '<span class="none">–</span>'


class Column(NamedTuple):
  """Of a table that can be sorted.

  Attributes:
    key: In the page's address.
    title: Plain text.
    number: Whether it is sorted by number, the largest first.
    hint: What it says, where the title does not tell.
  """

  key: str
  title: str
  number: bool = True
  hint: str = ''


def text(value: object) -> str:
  """Any text as HTML, in quotes too."""
  return html.escape(str(value), quote=True)


def percent(value: float, digits: int = 1) -> str:
  """`83.1`, for 0.831; a dash for NaN."""
  return NOTHING if math.isnan(value) else f'{100 * value:.{digits}f}'


def section(key: str, title: str, *content: str, note: str = '') -> str:
  """A card of the page; `note` is HTML."""
  note = f'<p class="note">{note}</p>' if note else ''
  return (
    f'<section id="{key}"><h2>{text(title)}</h2>{note}'
    f'{"".join(content)}</section>'
  )


def details(title: str, content: str) -> str:
  """What can be folded out."""
  return f'<details><summary>{text(title)}</summary>{content}</details>'


def scroll(content: str) -> str:
  """What may be wider than the page."""
  return f'<div class="scroll" tabindex="0">{content}</div>'


def cell(value: float, words: str | None = None, *, best: bool = False) -> str:
  """A number in a table, sorted by its value."""
  words = percent(value) if words is None else words
  best_class = ' best' if best else ''
  return f'<td class="num{best_class}" data-value="{_key(value)}">{words}</td>'


def meter(
  value: float,
  words: str | None = None,
  *,
  best: bool = False,
  kind: str = '',
  full: float = 1.0,
) -> str:
  """A number in a table with a bar behind it; `full` is its whole length."""
  if math.isnan(value):
    return cell(value, NOTHING)
  words = percent(value) if words is None else words
  length = 100 * min(max(value / full, 0), 1) if full > 0 else 0
  best_class = ' best' if best else ''
  return (
    f'<td class="num{best_class}" data-value="{_key(value)}">'
    f'<span class="meter {kind}" style="--v:{length:.1f}%">{words}</span></td>'
  )


def head(words: str, swatch: Sequence[int] | None = None) -> str:
  """The first cell of a row; plain text, and maybe a colour."""
  mark = ''
  if swatch is not None:
    mark = (
      f'<i class="swatch" style="background:rgb{tuple(map(int, swatch))}"></i>'
    )
  return f'<th scope="row" data-value="{text(words)}">{mark}{text(words)}</th>'


def table(key: str, columns: Sequence[Column], rows: Iterable[str]) -> str:
  """A table that can be sorted; a row is its cells."""
  heads = ''.join(
    f'<th scope="col" data-key="{c.key}"{" data-number" if c.number else ""}'
    f' aria-sort="none" title="{text(c.hint or c.title)}">'
    f'<button type="button">{text(c.title)}</button></th>'
    for c in columns
  )
  body = ''.join(f'<tr>{row}</tr>' for row in rows)
  count = max(len(columns) - 1, 1)
  return scroll(
    f'<table data-sort="{key}" style="--n:{count}"><thead><tr>{heads}</tr>'
    f'</thead><tbody>{body}</tbody></table>'
  )


def pairs(items: Iterable[tuple[str, str]]) -> str:
  """A list of names and plain texts."""
  return (
    '<dl>'
    + ''.join(f'<dt>{text(k)}</dt><dd>{text(v)}</dd>' for k, v in items)
    + '</dl>'
  )


def _key(value: float) -> str:
  return '' if math.isnan(value) else repr(float(value))
