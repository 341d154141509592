"""Which pictures are meant, and where what comes of them is written."""

import collections
import glob
import os
import pathlib
import tempfile
from collections.abc import Iterator, Sequence

from deeplax.errors import RunError

# Bytes: 255, less '_label_id.png.part' and a number.
_LONGEST = 230
SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.webp', '.tif', '.tiff')


def find(
  inputs: Sequence[str], output: str | os.PathLike
) -> dict[pathlib.Path, str]:
  """The pictures that `inputs` mean, each with a name for its results.

  Args:
    inputs: Files, folders (searched through, by suffix) and patterns such as
      `'shots/*.jpg'`; commas separate several. A file is taken whatever its
      suffix is.
    output: Folder of the results; nothing below it is taken for an input.

  Returns:
    Path -> name, in order. The name is the path below the folder given, or the
    file's name, without suffix: `'sub/0001'`. Where two pictures would share
    it, they get their suffix and parent folder as well, or a number.

  Raises:
    RunError: An input that doesn't exist or holds no picture.
  """
  output = real(output)
  found: dict[pathlib.Path, str] = {}
  for text in split(inputs):
    for path, name in expand(text, output, '--input '):
      found.setdefault(path, name)
  if not found:
    raise RunError('no input: give --input a file, a folder or a pattern.')
  return distinct(found)


def split(inputs: Sequence[str]) -> Iterator[str]:
  """What commas separate, if it is not the name of a file."""
  for text in inputs:
    # A comma may be part of a name.
    parts = [text] if os.path.lexists(text) else text.split(',')
    yield from (part for part in parts if part)


def expand(
  text: str, output: pathlib.Path | None = None, flag: str = ''
) -> list[tuple[pathlib.Path, str]]:
  """Paths and names, as of `find`, that a file, folder or pattern stands for.

  Args:
    text: One of them.
    output: Real path of a folder of results, which are no inputs.
    flag: What messages begin with.

  Raises:
    RunError: It doesn't exist or holds no picture.
  """
  try:
    path = pathlib.Path(text).expanduser()
    if path.is_dir():
      return _in_folder(path, output, flag)
    if path.is_file():
      return [(path, path.stem)]
    matches = sorted(glob.glob(os.path.expanduser(text), recursive=True))
    files = [p for p in map(pathlib.Path, matches) if p.is_file()]
  except (OSError, RuntimeError) as error:  # a name too long; ~nobody
    reason = getattr(error, 'strerror', None) or error
    raise RunError(f'{flag}{text}: can not be looked for ({reason}).') from (
      error
    )
  if files:
    return [(p, p.stem) for p in files]
  found = 'matches no file' if glob.has_magic(text) else 'there is no such file'
  raise RunError(
    f'{flag}{text}: {found}. Expected a file, a folder, or a pattern in quotes.'
  )


def _in_folder(folder, output, flag):
  if real(folder) == output:
    raise RunError(
      f'--input and --output are the same folder, {folder}: the next call '
      'would take its own results for pictures. Give another --output.'
    )
  names = []
  for root, folders, files in os.walk(folder):
    folders.sort()
    if output is not None and output.is_relative_to(real(root)):
      folders[:] = [f for f in folders if real(os.path.join(root, f)) != output]
    names += [pathlib.Path(root, f) for f in sorted(files)]
  pictures = [p for p in names if p.suffix.lower() in SUFFIXES]
  if not pictures:
    raise RunError(
      f'{flag}{folder}: no picture in this folder ({len(names)} other '
      f'files). Looked for {", ".join(SUFFIXES)}, in folders below it too.'
    )
  # Not `with_suffix`, which refuses to make '.' of '..png'.
  return [(p, str(p.relative_to(folder))[: -len(p.suffix)]) for p in pictures]


def real(path: str | os.PathLike) -> pathlib.Path:
  """Not `Path.resolve`, which raises for a link that leads to itself."""
  return pathlib.Path(os.path.realpath(path))


def distinct(found: dict[pathlib.Path, str]) -> dict[pathlib.Path, str]:
  """Other names where two are equal, on file systems that ignore case too."""

  def longer(path, name):
    suffix = path.suffix.lower().lstrip('.')
    parent = path.absolute().parent.name
    head, tail = os.path.split(name)
    tail = '_'.join(w for w in (parent, tail, suffix) if w)
    return os.path.join(head, tail)

  count = collections.Counter(n.lower() for n in found.values())
  result, taken = {}, set()
  for path, name in found.items():
    if count[name.lower()] > 1:
      name = longer(path, name)
    name = _short(name)
    free, number = name, 2
    while free.lower() in taken:
      free, number = f'{name}-{number}', number + 1
    taken.add(free.lower())
    result[path] = free
  return result


def _short(name: str) -> str:
  """The name, its last part cut to what a file system takes with an ending."""
  head, tail = os.path.split(name)
  while len(os.fsencode(tail)) > _LONGEST:
    tail = tail[:-1]
  return os.path.join(head, tail)


def make(output: pathlib.Path) -> None:
  """Makes the folder of the results.

  Raises:
    RunError: It can't be made or written.
  """
  try:
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=output):
      pass
  except OSError as error:
    raise RunError(
      f'--output {output} can not be written ({error.strerror}). Choose '
      'another folder.'
    ) from error


def target(output: pathlib.Path, name: str, kind: str) -> pathlib.Path:
  """`<output>/<name>_<kind>.png`, its folder made.

  Raises:
    RunError: If that can't be made, or a link would lead out of `output`.
  """
  path = output / f'{name}_{kind}.png'
  # Before anything is made: folders would be made behind a link, too.
  if not real(path.parent).is_relative_to(real(output)):
    raise RunError(
      f'{path.parent} is a link that leads out of --output ({output}); nothing '
      'is written outside of it.'
    )
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise RunError(
      f'{path.parent} can not be made ({error.strerror}). Choose another '
      '--output.'
    ) from error
  return path
