"""A list of SHA-256 sums in a folder: whether it is still what was written.

`sha256sum --check checksums.txt` inside the folder says the same.
"""

import hashlib
import os
import pathlib

from deeplax import atomic

FILE = 'checksums.txt'


def write(folder: str | os.PathLike) -> None:
  """Writes the sums of all files below `folder`, its final ones, into it.

  All of it is on the disk afterwards.
  """
  folder = pathlib.Path(folder)
  paths = sorted(path for path in folder.rglob('*') if path.is_file())
  lines = [
    f'{_sum(path, sync=True)}  {path.relative_to(folder).as_posix()}\n'
    for path in paths
    if path != folder / FILE
  ]
  for below in folder.rglob('*'):
    if below.is_dir():
      atomic.sync_folder(below)
  atomic.write(folder / FILE, ''.join(lines).encode())


def damage(folder: str | os.PathLike) -> str:
  """What is no longer as it was written, in words; '' if all is."""
  folder = pathlib.Path(folder)
  try:
    lines = (folder / FILE).read_text().splitlines()
  except FileNotFoundError:  # one that was being deleted, for example
    return f'{FILE} is missing'
  except (OSError, UnicodeDecodeError) as error:
    return f'{FILE} can not be read ({error})'
  if not lines:
    return f'{FILE} is empty'
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


def _sum(path: pathlib.Path, *, sync: bool = False) -> str:
  with path.open('rb') as file:
    if sync:
      os.fsync(file.fileno())
    return hashlib.file_digest(file, 'sha256').hexdigest()
