"""Your own pictures and masks.

  {split}/images/NAME.jpg    png, jpg, jpeg, bmp, webp, tif, tiff; any case
  {split}/labels/NAME.png    one channel of class ids; png, bmp, tif, tiff
  classes.json               the class table

Sub-folders are fine as long as both sides have the same ones. The shortest
classes.json is a list of names, whose ids are 0, 1, ...:

  ["background", "road", "lawn"]

The full form:

  {"names": [...], "palette": [[r, g, b], ...], "void_id": 255,
   "categories": [...]}

`void_id` (default 255) is the id of pixels that don't count, or a list of such
ids; if it is an id of one of the names, that class is not trained. Without a
palette the classes get well separated colours. Other keys are left alone.
"""

import os
from collections.abc import Mapping, Sequence

from deeplax.data import json_text
from deeplax.data.errors import DataError, first_few, missing_data
from deeplax.data.info import IGNORE_LABEL, DatasetInfo, Label
from deeplax.data.pairs import Files, FileSource, pair

_IMAGES = ('.png', '.jpg', '.jpeg', '.bmp', '.webp', '.tif', '.tiff')
_LABELS = ('.png', '.bmp', '.tif', '.tiff')
_HOW_TO_GET = (
  'Put pictures into {split}/images, masks of the same names (8-bit PNG, class '
  'ids) into {split}/labels and the class names into classes.json.'
)


def info(data_dir: str, argument: str = '') -> DatasetInfo:
  """The class table in `data_dir`/classes.json.

  Raises:
    DataError: The file is missing or isn't a class table.
  """
  if argument:
    raise DataError(
      f'dataset.name is folder:{argument}; folder takes no argument.',
      fix='Say --config.dataset.name=folder and give the folder as '
      '--config.dataset.dir.',
      kind='unknown option',
    )
  path = os.path.join(data_dir, 'classes.json')
  return read_table(path, os.path.basename(os.path.abspath(data_dir)))


def read_table(path: str, name: str) -> DatasetInfo:
  """The class table in a file like classes.json."""
  if os.path.exists(path) and not os.path.isfile(path):
    raise _table_error(path, 'a directory, a pipe or a device, not a file')
  try:
    with open(path, encoding='utf-8-sig') as file:  # Windows adds a mark
      tree = json_text.parse(file.read())
  except (FileNotFoundError, NotADirectoryError) as error:
    raise missing_data('folder', path, _HOW_TO_GET) from error
  except OSError as error:
    raise _table_error(path, f"can't be opened: {error.strerror}") from error
  except ValueError as error:  # broken JSON, or not UTF-8
    raise _table_error(path, f'not JSON ({error})') from error
  return table(tree, name, path)


def table(tree: Mapping | Sequence, name: str, path: str) -> DatasetInfo:
  """The class table of the parsed contents of a classes.json.

  Args:
    tree: A list of names, or a dictionary with `names` (see above).
    name: Name of the data set.
    path: For messages.

  Raises:
    DataError: It isn't such a table.
  """
  if isinstance(tree, list):
    tree = {'names': tree}
  names = tree.get('names') if isinstance(tree, dict) else None
  if not isinstance(names, list) or not names:
    raise _table_error(path, 'there is no list of `names`')
  if not all(isinstance(n, str) and n for n in names):
    raise _table_error(path, f'`names` (={first_few(names)}) must be texts')
  if len(names) > IGNORE_LABEL:
    raise _table_error(path, f'{len(names)} classes; at most 255 fit 8 bits')
  if len(set(names)) < len(names):
    doubled = sorted({n for n in names if names.count(n) > 1})
    raise _table_error(path, f'{doubled} stand more than once in `names`')
  colours = _colours(tree.get('palette'), len(names), path)
  categories = tree.get('categories') or names
  if not isinstance(categories, list) or len(categories) != len(names):
    found = categories
    if isinstance(categories, list):
      found = len(categories)
    raise _table_error(
      path, f'{str(found)[:50]} categories for {len(names)} names'
    )
  title = tree.get('void_name', 'void')
  if not all(isinstance(n, str) and n for n in (*categories, title)):
    raise _table_error(path, '`categories` and `void_name` must be texts')
  void = tree.get('void_id', IGNORE_LABEL)
  void = [] if void is None else void if isinstance(void, list) else [void]
  if not all(type(v) is int and 0 <= v <= 65535 for v in void):
    raise _table_error(
      path, f'`void_id` (={first_few(void)}) must be ids of 0..65535'
    )
  labels, train_id = [], 0
  for i, (label, category) in enumerate(zip(names, categories)):
    trained = i not in void
    number = train_id if trained else IGNORE_LABEL
    labels.append((label, i, number, category, colours[i]))
    train_id += trained
  if not train_id:
    raise _table_error(
      path, f'`void_id` (={first_few(void)}) leaves no class to train'
    )
  colour = tree.get('void_colour', [0, 0, 0])
  if not _is_colour(colour):
    raise _table_error(
      path, f'`void_colour` (={colour!r}) is no [r, g, b] of 0..255'
    )
  for i in sorted(set(void) - set(range(len(names)))):
    labels.append((title, i, IGNORE_LABEL, 'void', tuple(colour)))
  try:
    rows = tuple(Label(*row) for row in labels)
    return DatasetInfo(name, rows, how_to_get=_HOW_TO_GET)
  except ValueError as error:
    raise _table_error(path, str(error).rstrip('.')) from error


def source(split: str, data_dir: str, *, strict: bool = True) -> FileSource:
  """The pairs of `{split}/images` and `{split}/labels`, sorted by name.

  Args:
    split: Name of the sub-folder.
    data_dir: The folder that holds the splits and classes.json.
    strict: Raise on pictures without a mask, and the reverse.

  Raises:
    DataError: Nothing there, or files that don't pair.
  """
  return pairs(split, data_dir, info(data_dir), strict=strict)


def pairs(
  split: str, data_dir: str, info: DatasetInfo, *, strict: bool = True
) -> FileSource:
  """`source` with a given class table."""
  image_dir = os.path.join(data_dir, split, 'images')
  label_dir = os.path.join(data_dir, split, 'labels')
  images = find(image_dir, _IMAGES)
  if not images:
    looked = f'{image_dir}/*{{{",".join(_IMAGES)}}}{_splits(data_dir)}'
    raise missing_data(info.name, looked, info.how_to_get)
  labels = find(label_dir, _LABELS)
  if not labels:
    lossy = find(label_dir, ('.jpg', '.jpeg'))
    if lossy:
      raise DataError(
        f'{label_dir} holds {len(lossy)} JPEGs, whose compression alters ids.',
        fix='Export the masks again as PNG.',
        kind='lossy mask',
      )
    looked = f'{label_dir}/*{{{",".join(_LABELS)}}}'
    raise missing_data(info.name, looked, info.how_to_get)
  ids, problems = pair(
    images,
    labels,
    name=f'{info.name} {split}',
    rule='images/X.jpg goes with labels/X.png.',
    strict=strict,
  )
  if not ids:
    raise DataError(
      f'none of the {len(images)} pictures in {image_dir} has a mask: e.g. '
      f'{min(images.values())} and {min(labels.values())}.',
      fix='A mask is named like its picture: images/X.jpg, labels/X.png.',
      kind='unpaired files',
    )
  return FileSource(
    [Files(i, images[i], labels[i]) for i in ids], info, problems
  )


def find(folder: str, extensions: Sequence[str]) -> dict[str, str]:
  """Path by relative name without extension, of every file in a folder.

  Raises:
    DataError: Two files share a name but for the extension.
  """
  found = {}
  for parent, _, names in os.walk(folder, followlinks=True):
    for name in sorted(names):
      stem, extension = os.path.splitext(name)
      if extension.lower() not in extensions or name.startswith('.'):
        continue
      path = os.path.join(parent, name)
      key = os.path.relpath(os.path.join(parent, stem), folder)
      if key in found:
        raise DataError(
          f'has the same name as {os.path.basename(found[key])}, so masks '
          "can't be told apart.",
          fix='Rename or remove one of them.',
          file=path,
          kind='doubled name',
        )
      found[key] = path
  return found


def _colours(
  palette: object, count: int, path: str
) -> list[tuple[int, int, int]]:
  if palette is None:
    return [default_colour(i) for i in range(count)]
  rows = palette if isinstance(palette, list) else []
  if len(rows) != count or not all(map(_is_colour, rows)):
    raise _table_error(
      path,
      f'`palette` has {len(rows)} rows for {count} names, or a row that is no '
      '[r, g, b] of 0..255',
    )
  return [tuple(row) for row in rows]


def _is_colour(value: object) -> bool:
  return (
    isinstance(value, list)
    and len(value) == 3
    and all(type(v) is int and 0 <= v <= 255 for v in value)
  )


def default_colour(index: int) -> tuple[int, int, int]:
  """Colour of a class without one: Pascal VOC's map, without its black."""
  number, colour = index + 1, [0, 0, 0]
  for bit in range(7, -1, -1):
    for channel in range(3):
      colour[channel] |= (number >> channel & 1) << bit
    number >>= 3
  return tuple(colour)


def _splits(data_dir: str) -> str:
  if not os.path.isdir(data_dir):
    return f' (the folder {data_dir} does not exist)'
  there = [
    name
    for name in sorted(os.listdir(data_dir))
    if os.path.isdir(os.path.join(data_dir, name, 'images'))
  ]
  return f' (splits there: {first_few(there) or "none"})'


def _table_error(path: str, found: str) -> DataError:
  return DataError(
    f'{found}.',
    fix='Expected e.g. {"names": ["background", "road"], "palette": '
    '[[0, 0, 0], [128, 64, 128]], "void_id": 255}, or a list of names.',
    file=path,
    kind='class table',
  )
