"""Class tables as JSON: the classes.json of a folder; see `datasets.folder`."""

import os
from collections.abc import Mapping, Sequence

from deeplax.data import json_text
from deeplax.data.errors import DataError, first_few, missing_data
from deeplax.data.info import IGNORE_LABEL, DatasetInfo, Label

HOW_TO_GET = (
  'Put pictures into {split}/images, masks of the same names (8-bit PNG, class '
  'ids) into {split}/labels and the class names into classes.json; without it '
  'every id is a class.'
)


def read(path: str, name: str) -> DatasetInfo:
  """The class table in a file like classes.json."""
  if os.path.exists(path) and not os.path.isfile(path):
    raise _table_error(path, 'a directory, a pipe or a device, not a file')
  try:
    with open(path, encoding='utf-8-sig') as file:  # Windows adds a mark
      tree = json_text.parse(file.read())
  except (FileNotFoundError, NotADirectoryError) as error:
    raise missing_data('folder', path, HOW_TO_GET) from error
  except OSError as error:
    raise _table_error(path, f"can't be opened: {error.strerror}") from error
  except ValueError as error:  # broken JSON, or not UTF-8
    raise _table_error(path, f'not JSON ({error})') from error
  return parse(tree, name, path)


def parse(tree: Mapping | Sequence, name: str, path: str) -> DatasetInfo:
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
  ids = tree.get('ids', [*range(len(names))])
  if (
    not isinstance(ids, list)
    or not all(type(i) is int and 0 <= i <= 255 for i in ids)
    or not len(names) == len(ids) == len({*ids})
  ):
    raise _table_error(
      path,
      f'`ids` (={str(ids)[:50]}) must be {len(names)} different numbers of '
      '0..255, one a name',
    )
  void = tree.get('void_id', None if IGNORE_LABEL in ids else IGNORE_LABEL)
  void = [] if void is None else void if isinstance(void, list) else [void]
  if not all(type(v) is int and 0 <= v <= 65535 for v in void):
    raise _table_error(
      path, f'`void_id` (={first_few(void)}) must be ids of 0..65535'
    )
  labels, train_id = [], 0
  for row in zip(names, ids, categories, colours):
    label, label_id, category, colour = row
    trained = label_id not in void
    number = train_id if trained else IGNORE_LABEL
    labels.append((label, label_id, number, category, colour))
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
  for i in sorted(set(void) - set(ids)):
    labels.append((title, i, IGNORE_LABEL, 'void', tuple(colour)))
  try:
    rows = tuple(Label(*row) for row in labels)
    return DatasetInfo(name, rows, how_to_get=HOW_TO_GET)
  except ValueError as error:
    raise _table_error(path, str(error).rstrip('.')) from error


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


def _table_error(path: str, found: str) -> DataError:
  return DataError(
    f'{found}.',
    fix='Expected e.g. {"names": ["background", "road"], "palette": '
    '[[0, 0, 0], [128, 64, 128]], "void_id": 255}, or a list of names.',
    file=path,
    kind='class table',
  )
