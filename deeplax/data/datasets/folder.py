"""Your own pictures and masks.

  {split}/images/NAME.jpg    png, jpg, jpeg, bmp, webp, tif, tiff; any case
  {split}/labels/NAME.png    one channel of class ids; png, bmp, tif, tiff
  classes.json               the class table; or else every id is a class

Sub-folders are fine as long as both sides have the same ones. The shortest
classes.json is a list of names, whose ids are 0, 1, ...:

  ["background", "road", "lawn"]

The full form:

  {"names": [...], "palette": [[r, g, b], ...], "void_id": 255,
   "categories": [...], "ids": [...]}

`ids` are those of the names in the masks, by default 0, 1, ...; `void_id`
(default 255) is the id of pixels that don't count, or a list of such ids; if it
is an id of one of the names, that class is not trained. Without a palette the
classes get well separated colours. Other keys are left alone. Without the file
every id in the masks is a class, see `found_classes`.
"""

import os
from collections.abc import Sequence

from deeplax.data import class_table, found_classes
from deeplax.data.errors import DataError, first_few, missing_data
from deeplax.data.info import DatasetInfo
from deeplax.data.pairs import Files, FileSource, pair

_IMAGES = ('.png', '.jpg', '.jpeg', '.bmp', '.webp', '.tif', '.tiff')
_LABELS = ('.png', '.bmp', '.tif', '.tiff')


def info(data_dir: str, argument: str = '') -> DatasetInfo:
  """The class table in `data_dir`/classes.json, or else that of the masks.

  Raises:
    DataError: The file isn't a class table, or it is missing and there are no
      masks, or masks of something else than classes.
  """
  if argument:
    raise DataError(
      f'dataset.name is folder:{argument}; folder takes no argument.',
      fix='Say --config.dataset.name=folder and give the folder as '
      '--config.dataset.dir.',
      kind='unknown option',
    )
  path = os.path.join(data_dir, 'classes.json')
  name = os.path.basename(os.path.abspath(data_dir))
  if os.path.lexists(path):
    return class_table.read(path, name)
  label_dirs = [
    os.path.join(data_dir, split, 'labels') for split in _splits(data_dir)
  ]
  masks = [p for d in label_dirs for p in sorted(_masks(d).values())]
  if not masks:
    looked = f'{path}, and masks in {data_dir}/*/labels{_there(data_dir)}'
    raise missing_data('folder', looked, class_table.HOW_TO_GET)
  return class_table.parse(found_classes.find(masks, path), name, path)


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
    looked = f'{image_dir}/*{{{",".join(_IMAGES)}}}{_there(data_dir)}'
    raise missing_data(info.name, looked, info.how_to_get)
  labels = _masks(label_dir)
  if not labels:
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


def _masks(label_dir: str) -> dict[str, str]:
  """`find` of masks.

  Raises:
    DataError: There are JPEGs only.
  """
  labels = find(label_dir, _LABELS)
  lossy = {} if labels else find(label_dir, ('.jpg', '.jpeg'))
  if lossy:
    raise DataError(
      f'{label_dir} holds {len(lossy)} JPEGs, whose compression alters ids.',
      fix='Export the masks again as PNG.',
      kind='lossy mask',
    )
  return labels


def _splits(data_dir: str) -> list[str]:
  if not os.path.isdir(data_dir):
    return []
  return [
    name
    for name in sorted(os.listdir(data_dir))
    if os.path.isdir(os.path.join(data_dir, name, 'images'))
  ]


def _there(data_dir: str) -> str:
  """What there is instead of a split, for a message."""
  if not os.path.isdir(data_dir):
    return f' (the folder {data_dir} does not exist)'
  if os.path.isdir(os.path.join(data_dir, 'images')):
    return (
      f' (there is {data_dir}/images: move images and labels into '
      f'{data_dir}/train, and some of both into {data_dir}/val)'
    )
  return f' (splits there: {first_few(_splits(data_dir)) or "none"})'
