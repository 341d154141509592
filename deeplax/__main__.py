"""`python -m deeplax` lists the commands of launch/."""

import ast
import pathlib
import sys

LAUNCH = pathlib.Path(__file__).resolve().parents[1] / 'launch'


def listing(folder: pathlib.Path = LAUNCH) -> str:
  """One line a command: its name, and the first sentence of its docstring."""
  rows = {}
  for path in sorted(folder.glob('[!_]*.py')):
    text = ast.get_docstring(ast.parse(path.read_text())) or ''
    rows[path.name] = text.partition('\n')[0]
  if not rows:
    return f'The commands lie in launch/ of a checkout; {folder} has none.'
  width = max(map(len, rows))
  lines = [f'  launch/{name:<{width}}  {words}' for name, words in rows.items()]
  return '\n'.join(
    [
      'DeepLab in JAX. The commands, each with --help:',
      '',
      *lines,
      '',
      'To begin: python launch/train.py --config=configs/demo.py',
    ]
  )


if __name__ == '__main__':
  if sys.argv[1:] and {*sys.argv[1:]} - {'-h', '--help', 'help'}:
    print(
      f'error: python -m deeplax takes no {sys.argv[1]!r}; it lists the '
      'commands, which are started as python launch/<name>.py.',
      file=sys.stderr,
    )
    sys.exit(2)
  print(listing())
