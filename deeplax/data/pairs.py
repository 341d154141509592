"""Pictures and masks that lie beside each other as files."""

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from deeplax.data import cameras, files
from deeplax.data.errors import DataError, first_few
from deeplax.data.info import IGNORE_LABEL, DatasetInfo

_EXTRAS = {**files.EXTRAS, 'camera': cameras.read}


@dataclasses.dataclass(frozen=True)
class Files:
  """The files of one example.

  Attributes:
    id: Name of the example.
    image: Path of the picture.
    label: Path of the mask.
    extras: Paths by the name of the extra, in `deeplax.data.files.EXTRAS`, or
      `'camera'`.
  """

  id: str
  image: str
  label: str
  extras: Mapping[str, str] = dataclasses.field(default_factory=dict)


class FileSource:
  """A `deeplax.data.Source` over pairs of files.

  Besides the examples it shows the files behind them (`files`) and what did
  not pair (`problems`) to the label doctor, and reads a label without its
  picture (`label`) for who only counts classes.
  """

  def __init__(
    self,
    items: Sequence[Files],
    info: DatasetInfo,
    problems: Iterable[DataError] = (),
  ):
    self.items = tuple(items)
    self.info = info
    self.problems = tuple(problems)

  def __len__(self) -> int:
    return len(self.items)

  def files(self, index: int) -> Files:
    """The files of example `index`."""
    return self.items[index]

  def label(self, index: int) -> np.ndarray:
    """uint8[H, W] train ids of example `index`, without reading its picture."""
    path = self.items[index].label
    return to_train_ids(files.read_mask(path, self.info), self.info, path)

  def __getitem__(self, index: int) -> dict[str, Any]:
    item = self.items[index]
    image = files.read_image(item.image)
    label = self.label(index)
    check_sizes(image, label, item.image, item.label)
    example = {'image': image, 'label': label, 'id': item.id}
    for name, path in item.extras.items():
      example[name] = _EXTRAS[name](path)
      if name in files.EXTRAS:  # those that are pictures
        check_sizes(image, example[name], item.image, path)
    return example


def pair(
  images: Mapping[str, str],
  labels: Mapping[str, str],
  *,
  name: str,
  rule: str,
  strict: bool = True,
) -> tuple[list[str], list[DataError]]:
  """Which examples have both a picture and a mask.

  Args:
    images: Path of each picture by example.
    labels: Path of each mask by example.
    name: Name of the data set, for messages.
    rule: How a mask is named after its picture, for messages.
    strict: Raise on what doesn't pair; otherwise give it back as problems.

  Returns:
    The examples that pair, sorted, and a problem a file that doesn't.

  Raises:
    DataError: `strict`, and a file has no partner.
  """
  alone = [
    ('picture without a mask', sorted(set(images) - set(labels)), images),
    ('mask without a picture', sorted(set(labels) - set(images)), labels),
  ]
  if strict and any(keys for _, keys, _ in alone):
    found = '; '.join(
      f'{len(keys)} x {kind} ({first_few(paths[k] for k in keys)})'
      for kind, keys, paths in alone
      if keys
    )
    raise DataError(
      f'{name}: {found}.',
      fix=f'{rule} Add or remove these files.',
      kind='unpaired files',
    )
  problems = [
    DataError(f'{kind}.', fix=rule, file=paths[key], kind=kind)
    for kind, keys, paths in alone
    for key in keys
  ]
  return sorted(set(images) & set(labels)), problems


def ids_present(mask: np.ndarray) -> np.ndarray:
  """The ids in a uint8[H, W] or uint16[H, W] mask, ascending."""
  if mask.dtype == np.uint8:  # 1 ms for 1024 x 2048; np.unique takes 15
    counts = cv2.calcHist([mask], [0], None, [256], [0, 256])
  else:
    counts = np.bincount(mask.ravel())
  return np.flatnonzero(counts)


def unknown_ids(mask: np.ndarray, info: DatasetInfo) -> list[int]:
  """The ids in a raw mask that the class table lacks."""
  known = {label.label_id for label in info.labels}
  return [i for i in ids_present(mask).tolist() if i not in known]


def unknown_error(
  ids: Sequence[int], info: DatasetInfo, path: str
) -> DataError:
  known = sorted({l.label_id for l in info.labels if l.label_id >= 0})
  return DataError(
    f'ids {list(ids[:10])}{" ..." if len(ids) > 10 else ""} are not in the '
    f'class table of {info.name}, which has {_ranges(known)}.',
    fix='Export the mask with the ids of the table, or add these ids to it '
    '(for a folder: `names` and `void_id` in classes.json).',
    file=path,
    kind='ids out of range',
  )


def to_train_ids(
  mask: np.ndarray, info: DatasetInfo, path: str = ''
) -> np.ndarray:
  """uint8[H, W] train ids of a raw mask of label ids; 255 is void.

  Raises:
    DataError: The mask has an id that the class table lacks.
  """
  unknown = unknown_ids(mask, info)
  if unknown:
    raise unknown_error(unknown, info, path)
  if mask.dtype == np.uint8:
    return cv2.LUT(mask, info.label_to_train)
  table = np.full(mask.max() + 1, IGNORE_LABEL, np.uint8)
  for label in info.labels:
    if 0 <= label.label_id < len(table):
      table[label.label_id] = label.train_id
  return table[mask]


def check_sizes(
  image: np.ndarray, other: np.ndarray, image_path: str, other_path: str
) -> None:
  """Raises a `DataError` unless both have the same height and width."""
  if image.shape[:2] == other.shape[:2]:
    return
  fix = 'Export both at the same size (masks with nearest neighbour).'
  if image.shape[:2] == other.shape[1::-1]:
    fix = (
      'One is turned: pairs are read as stored, without EXIF orientation. '
      'Turn the pixels of the picture itself (e.g. `jpegtran` or '
      '`PIL.ImageOps.exif_transpose`).'
    )
  raise DataError(
    f'height x width {_size(other)}, but the picture '
    f'{os.path.basename(image_path)} has {_size(image)}.',
    fix=fix,
    file=other_path,
    kind='size mismatch',
  )


def _size(array: np.ndarray) -> str:
  return f'{array.shape[0]}x{array.shape[1]}'


def _ranges(ids: Sequence[int]) -> str:
  """`'0..10, 255'`"""
  parts = []
  for i in ids:
    if parts and i == parts[-1][1] + 1:
      parts[-1][1] = i
    else:
      parts.append([i, i])
  return ', '.join(str(a) if a == b else f'{a}..{b}' for a, b in parts)
