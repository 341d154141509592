"""Any data set of TensorFlow Datasets with an image and a mask.

  'tfds:cityscapes', 'tfds:oxford_iiit_pet', 'tfds:scene_parse150', ...
      a builder of TFDS, prepared as ArrayRecord in `data_dir`;
  'tfds'
      `data_dir` is one prepared data set itself, e.g. what
      `launch/prepare.py --to=tfds` wrote (which has deeplax_info.json, the
      class table, beside dataset_info.json, and holds train ids).

Nothing is downloaded and no tensorflow is imported: preparing needs it, reading
ArrayRecord doesn't. The class table is, in this order: deeplax_info.json of the
data set; `classes.json` (as for `folder`) in its folder or the ones above it,
up to `data_dir`; the tables known here; the names of its `LabeledImage`.
"""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from deeplax.data import files
from deeplax.data.datasets import _tfds_files, _tfds_folder, _tfds_tables
from deeplax.data.errors import DataError
from deeplax.data.info import IGNORE_LABEL, DatasetInfo
from deeplax.data.pairs import check_sizes, to_train_ids

_IMAGE_KEYS = ('image', 'image_left')
_MASK_KEYS = (
  'segmentation_mask',
  'segmentation_label',
  'annotation',
  'mask',
  'label',
)
_ID_KEYS = ('id', 'image_id', 'file_name', 'filename', 'image/filename')


def info(data_dir: str, argument: str = '') -> DatasetInfo:
  """The class table of a prepared data set, or of a well-known one.

  Raises:
    DataError: There is no table, or no such data set.
  """
  name = argument.partition('/')[0].partition(':')[0]
  try:
    builder = _tfds_files.open_builder(data_dir, argument)
  except DataError:
    if name in _tfds_tables.TABLES:
      return _tfds_tables.TABLES[name]
    raise
  return _tfds_tables.find(builder, data_dir)[0]


def source(split: str, data_dir: str, *, argument: str = '') -> 'TfdsSource':
  """The examples of a split, in the order of the files.

  Args:
    split: A split of the data set; slices such as `'train[:90%]'` work.
    data_dir: Folder that TFDS prepared the builder in, or, without an argument,
      of the data set itself.
    argument: The builder's name, with config and version if needed
      (`'cityscapes/semantic_segmentation:1.0.0'`).

  Raises:
    DataError: Not prepared, not as ArrayRecord, no such split, or no feature
      that is an image or a mask.
  """
  builder = _tfds_files.open_builder(data_dir, argument)
  table, trained_ids = _tfds_tables.find(builder, data_dir)
  tfds = _tfds_files.package()
  features = dict(builder.info.features)
  pictures = [
    key
    for key, feature in features.items()
    if isinstance(feature, tfds.features.Image)
  ]
  named = [  # a mask by its type, whatever its name
    key
    for key, feature in features.items()
    if isinstance(feature, tfds.features.LabeledImage)
  ]
  image_key = _pick('an image', _IMAGE_KEYS, pictures, builder)
  mask_key = _pick('a mask', (*_MASK_KEYS, *named), pictures, builder)
  texts = [k for k, f in features.items() if isinstance(f, tfds.features.Text)]
  id_key = next((key for key in _ID_KEYS if key in texts), '')
  return TfdsSource(
    os.fspath(builder.data_path),
    split,
    table,
    pictures=pictures,
    keys=(image_key, mask_key, id_key),
    trained_ids=trained_ids,
  )


class TfdsSource:
  """A `deeplax.data.Source` over an ArrayRecord data set of TFDS.

  Args:
    path: Folder with dataset_info.json.
    split: Name of the split.
    info: The class table.
    pictures: The features that are pictures; they come encoded, so that they
      are decoded as strictly as files are.
    keys: Features of image, mask and name ('' if there is none).
    trained_ids: The masks hold train ids already.
  """

  def __init__(
    self,
    path: str,
    split: str,
    info: DatasetInfo,
    *,
    pictures: list[str],
    keys: tuple[str, str, str],
    trained_ids: bool,
  ):
    self._path, self._split, self._info = path, split, info
    self._pictures, self._keys = pictures, keys
    self._trained_ids = trained_ids
    self._reader = None
    with _tfds_folder.naming(f'{path} {split}'):
      self._length = len(self._open())

  def __len__(self) -> int:
    return self._length

  def __getstate__(self) -> dict[str, Any]:
    return {**self.__dict__, '_reader': None}  # open files don't travel

  def __getitem__(self, index: int) -> dict[str, Any]:
    record = self._record(index)
    where = self._where(index)
    image = files.decode_image(record[self._keys[0]], where)
    label = self._label(record, where)
    check_sizes(image, label, where, where)
    return {'image': image, 'label': label, 'id': self._id(record, index)}

  def label(self, index: int) -> np.ndarray:
    """uint8[H, W] train ids of one example, without decoding its picture."""
    return self._label(self._record(index), self._where(index))

  def _label(self, record: Mapping[str, Any], where: str) -> np.ndarray:
    mask = _decode_mask(record[self._keys[1]], where, self._info)
    if not self._trained_ids:
      return to_train_ids(mask, self._info, where)
    wrong = np.setdiff1d(mask, [*range(self._info.num_classes), IGNORE_LABEL])
    if len(wrong):
      raise DataError(
        f'train ids {wrong[:10].tolist()}, expected '
        f'0..{self._info.num_classes - 1} and 255.',
        fix='Prepare this data set again.',
        file=where,
        kind='ids out of range',
      )
    return mask

  def _id(self, record: Mapping[str, Any], index: int) -> str:
    if not self._keys[2]:
      return f'{index:06d}'
    text = record[self._keys[2]]
    if isinstance(text, bytes):
      text = text.decode(errors='replace')
    text = str(text)
    return os.path.splitext(text)[0] if text.endswith(_SUFFIXES) else text

  def _record(self, index: int) -> Mapping[str, Any]:
    if not -self._length <= index < self._length:
      raise IndexError(f'{index} of {self._length} examples')
    with _tfds_folder.naming(self._where(index)):
      return self._open()[int(index) % self._length]

  def _where(self, index: int) -> str:
    return f'{self._path} {self._split}[{index}]'

  def _open(self):
    if self._reader is None:  # once a process: Grain's workers open their own
      self._reader = _tfds_files.open_reader(
        self._path, self._split, self._pictures
      )
    return self._reader


_SUFFIXES = ('.jpg', '.jpeg', '.png', '.JPG', '.JPEG', '.PNG')


def _pick(what: str, wanted: tuple[str, ...], there: list[str], builder) -> str:
  for key in wanted:
    if key in there:
      return key
  raise DataError(
    f'tfds:{builder.name} has no feature that is {what}: looked for '
    f'{", ".join(wanted)} among its pictures ({", ".join(there) or "none"}); '
    f'all features: {", ".join(sorted(builder.info.features))}.',
    fix='Choose a segmentation data set; or write one with launch/prepare.py '
    '--to=tfds.',
    kind='features',
  )


def _decode_mask(data: bytes, where: str, info: DatasetInfo) -> np.ndarray:
  try:
    return files.decode_mask(data, where, info)
  except DataError as error:
    if error.kind != 'colour mask':
      raise
    rgb = files.decode_image(data, where)
    if (rgb != rgb[..., :1]).any():
      raise
    # Some builders declare three channels and write grey ones.
    return np.ascontiguousarray(rgb[..., 0])
