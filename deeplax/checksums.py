"""A list of SHA-256 sums in a folder: whether it is still what was written.

`sha256sum --check checksums.txt` inside the folder says the same.
"""

import hashlib
import os
import pathlib

FILE = 'checksums.txt'


def write(folder: str | os.PathLike) -> None:
  """Writes the sums of all files below `folder`, its final ones, into it."""
  folder = pathlib.Path(folder)
  names = sorted(
    path.relative_to(folder).as_posix()
    for path in folder.rglob('*')
    if path.is_file()
  )
  lines = [f'{_sum(folder / n)}  {n}\n' for n in names if n != FILE]
  (folder / FILE).write_text(''.join(lines))


def damage(folder: str | os.PathLike) -> str:
  """What is no longer as it was written, in words; '' if all is.

  A folder without a list, of another program say, is not looked into.
  """
  folder = pathlib.Path(folder)
  try:
    lines = (folder / FILE).read_text().splitlines()
  except FileNotFoundError:
    return ''
  except (OSError, UnicodeDecodeError) as error:
    return f'{FILE} can not be read ({error})'
  for line in lines:
    expected, separator, name = line.partition('  ')
    if not separator:
      return f'{FILE} is damaged'
    try:
      found = _sum(folder / name)
    except OSError as error:
      return f'{name} can not be read ({error.strerror})'
    if found != expected:
      return f'{name} is not what was written (its SHA-256 differs)'
  return ''


def _sum(path: pathlib.Path) -> str:
  with path.open('rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()
