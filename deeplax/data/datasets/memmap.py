"""Decoded pictures in flat files, read through the page cache.

`launch/prepare.py --to=memmap` and `config.input.cache` write it. A folder for
each split:

  info.json     class table, length, extras, sizes and digests; written last,
                so a folder without it is unfinished
  index.npy     int64[n, 3]: height, width, and pixels before this picture
  ids.json      the n ids
  images.bin    uint8 RGB, pictures of any size one after the other
  labels.bin    uint8 train ids, 255 = void
  instance.bin, disparity.bin   (if asked for) int32 and float32

`source[i]` returns read-only views: of a picture nothing is copied or read
before someone touches the pixels, so a crop costs the pages it covers. The
label is looked through for ids that are none, a third of a millisecond for
1024x2048: what JAX does with them shows nowhere.

Reading behind the end of a mapped file ends the process (SIGBUS). So the size
is looked at again for each example; only a file that is cut between that and
the touch of a pixel can still do harm.
"""

import hashlib
import io
import os
import tokenize
from collections.abc import Sequence

import numpy as np

from deeplax.data import json_text
from deeplax.data.datasets._mapped import AGAIN, Mapped, damaged
from deeplax.data.errors import DataError, missing_data
from deeplax.data.files import read_bytes
from deeplax.data.info import DatasetInfo

FORMAT = 'deeplax memory map 1'
# Begins the id of an example that was bad; the reason follows.
UNUSABLE = 'unusable: '
INFO_FILE, INDEX_FILE, IDS_FILE = 'info.json', 'index.npy', 'ids.json'
EXTRA_TYPES = {'instance': np.int32, 'disparity': np.float32}

_HOW = (
  'Write it with launch/prepare.py --to=memmap; the same command goes on where '
  'an interrupted one stopped.'
)


def files(extras: Sequence[str] = ()) -> dict[str, tuple[str, int]]:
  """File name and bytes per pixel of each array in an example."""
  more = {
    extra: (f'{extra}.bin', np.dtype(EXTRA_TYPES[extra]).itemsize)
    for extra in extras
  }
  return {'image': ('images.bin', 3), 'label': ('labels.bin', 1), **more}


def info(data_dir: str, argument: str = '') -> DatasetInfo:
  """The class table, from any split in `data_dir`.

  Raises:
    DataError: No finished memory map is there.
  """
  del argument
  for split in _splits(data_dir):
    return _read_head(os.path.join(data_dir, split))[1]
  raise missing_data('memmap', os.path.join(data_dir, '*', INFO_FILE), _HOW)


def source(
  split: str, data_dir: str, *, extras: Sequence[str] = ()
) -> 'MemmapSource':
  """The memory map in `data_dir`/`split`.

  Raises:
    DataError: It isn't there, is unfinished or damaged, or lacks an extra.
  """
  folder = os.path.join(data_dir, split)
  if not os.path.isdir(folder):
    there = ', '.join(_splits(data_dir)) or 'none'
    raise missing_data('memmap', f'{folder} (splits there: {there})', _HOW)
  return MemmapSource(folder, extras)


def _splits(data_dir: str) -> list[str]:
  if not os.path.isdir(data_dir):
    return []
  return [
    name
    for name in sorted(os.listdir(data_dir))
    if os.path.isfile(os.path.join(data_dir, name, INFO_FILE))
  ]


class MemmapSource:
  """A `deeplax.data.Source` of views into mapped files; pickled by path.

  Args:
    folder: The folder of one split.
    extras: Further arrays wanted.
  """

  def __init__(self, folder: str | os.PathLike, extras: Sequence[str] = ()):
    self._folder, self._extras = os.fspath(folder), tuple(extras)
    head, self.info = _read_head(self._folder)
    self.fingerprint: str = head['fingerprint']
    for extra in self._extras:
      if extra not in head['extras']:
        raise DataError(
          f'this memory map has no extra {extra!r}; it has {head["extras"]}.',
          fix=f'Prepare it again with --extras={extra}.',
          file=self._folder,
          kind='unknown option',
        )
    self._index, self._ids = _read_index(self._folder, head)
    if not self._ids:
      raise damaged(self._folder, 'it holds no picture')
    pixels = int(self._index[-1, :2].prod() + self._index[-1, 2])
    self._sizes = head['sizes']
    for name, size in files(head['extras']).values():
      path = os.path.join(self._folder, name)
      _check_size(path, self._sizes[name], pixels * size)
    self._maps: dict[str, Mapped] = {}

  def __reduce__(self):
    return MemmapSource, (self._folder, self._extras)

  def __len__(self) -> int:
    return len(self._ids)

  def __getitem__(self, index: int) -> dict:
    if not 0 <= index < len(self._ids):
      raise IndexError(
        f'{self._folder} has {len(self._ids)} pictures, not one at {index}.'
      )
    height, width, pixels = self._place(index)
    example = {
      'image': self._map('image').reshape(-1, 3)[pixels],
      'label': self.label(index),
      'id': self._ids[index],
    }
    example['image'] = example['image'].reshape(height, width, 3)
    for extra in self._extras:
      example[extra] = self._map(extra)[pixels].reshape(height, width)
    return example

  def label(self, index: int) -> np.ndarray:
    """uint8[H, W] train ids of one example."""
    height, width, pixels = self._place(index)
    label = self._map('label')[pixels].reshape(height, width)
    # 255 becomes 0, the others 1..C.
    if (label + np.uint8(1)).max() > self.info.num_classes:
      raise DataError(
        f'the label of {self._ids[index]} has ids other than '
        f'0..{self.info.num_classes - 1} and 255.',
        fix=AGAIN,
        file=os.path.join(self._folder, files()['label'][0]),
        kind='ids out of range',
      )
    return label

  def _place(self, index: int) -> tuple[int, int, slice]:
    """Height, width, and the pixels' place in the files."""
    if self._ids[index].startswith(UNUSABLE):
      raise DataError(
        self._ids[index].removeprefix(UNUSABLE),
        fix=f'It was so when {self._folder} was written; delete that after '
        'mending it.',
        kind='unusable when written',
      )
    height, width, start = self._index[index].tolist()
    return height, width, slice(start, start + height * width)

  def _map(self, key: str) -> np.ndarray:
    """The whole file; mapped on first use, once in each process."""
    if key not in self._maps:
      name = files(self._extras)[key][0]
      self._maps[key] = Mapped(
        os.path.join(self._folder, name),
        EXTRA_TYPES.get(key, np.uint8),
        self._sizes[name],
      )
    return self._maps[key].array()


def is_finished(folder: str | os.PathLike) -> bool:
  """Whether the memory map in `folder` was written to its end."""
  return os.path.isfile(os.path.join(folder, INFO_FILE))


def _read_head(folder: str) -> tuple[dict, DatasetInfo]:
  path = os.path.join(folder, INFO_FILE)
  if not is_finished(folder):
    raise DataError(
      f'no {INFO_FILE}: not a memory map, or one whose writing was cut short.',
      fix=_HOW,
      file=folder,
      kind='unfinished',
    )
  try:
    head = json_text.parse(read_bytes(path))
    if head['format'] != FORMAT:
      raise ValueError(f'format {head["format"]!r}')
    unknown = [x for x in head['extras'] if x not in EXTRA_TYPES]
    if not isinstance(head['extras'], list) or unknown:
      raise ValueError(f'extras {head["extras"]!r}')
    for key, names in (
      ('digests', (INDEX_FILE, IDS_FILE)),
      ('sizes', [name for name, _ in files(head['extras']).values()]),
    ):
      if not all(name in head[key] for name in names):
        raise ValueError(f'{key} {head[key]!r}')
    if not isinstance(head['fingerprint'], str):
      raise ValueError(f'fingerprint {head["fingerprint"]!r}')
    return head, DatasetInfo.from_json(head['dataset'])
  except DataError:
    raise
  except (ValueError, KeyError, TypeError) as error:
    raise DataError(
      f'not the head of a {FORMAT!r} ({str(error)[:300]}).',
      fix=AGAIN,
      file=path,
      kind='damaged file',
    ) from error


def _read_index(folder: str, head: dict) -> tuple[np.ndarray, list[str]]:
  """Sizes and places int64[n, 3], and ids."""
  contents = {}
  for name in (INDEX_FILE, IDS_FILE):
    path = os.path.join(folder, name)
    contents[name] = read_bytes(path)
    digest = hashlib.sha256(contents[name]).hexdigest()
    if digest != head['digests'][name]:
      raise damaged(path, 'its content is not what was written')
  try:
    index = _parse_index(contents[INDEX_FILE])
  except (ValueError, SyntaxError, TypeError, tokenize.TokenError) as error:
    reason = ' '.join(str(error).split())[:200]
    raise damaged(
      os.path.join(folder, INDEX_FILE), f'it is no index ({reason})'
    ) from error
  path = os.path.join(folder, IDS_FILE)
  try:
    ids = json_text.parse(contents[IDS_FILE])
  except ValueError as error:
    raise damaged(path, f'it is no JSON ({error})') from error
  if not isinstance(ids, list) or not all(isinstance(i, str) for i in ids):
    raise damaged(path, 'it is no list of texts')
  if len(ids) != len(index):
    raise damaged(path, f'it has {len(ids)} ids for {len(index)} pictures')
  return index, ids


def _parse_index(content: bytes) -> np.ndarray:
  """The array of a .npy file; nothing but numbers of this one kind.

  Raises:
    ValueError, SyntaxError, TypeError, tokenize.TokenError: It is another.
  """
  stream = io.BytesIO(content)
  if np.lib.format.read_magic(stream) != (1, 0):
    raise ValueError('another version of the format')
  shape, by_columns, kind = np.lib.format.read_array_header_1_0(stream)
  if len(shape) != 2 or shape[1] != 3 or by_columns or kind != np.int64:
    raise ValueError(f'{kind}{list(shape)}, expected int64[n, 3]')
  rest = stream.read()
  if len(rest) != 8 * 3 * shape[0]:
    raise ValueError(f'{len(rest)} bytes for {list(shape)}')
  index = np.frombuffer(rest, np.int64).reshape(shape)
  sizes, before = index[:, :2], index[:, 2]
  if index.size and (sizes.min() < 1 or sizes.max() >= 2**31):
    raise ValueError('a picture without a size')
  areas = sizes.prod(1)
  if sum(areas.tolist()) >= 2**62:  # as far as sums of int64 hold
    raise ValueError('more pixels than there can be')
  if (before != np.cumsum(areas) - areas).any():
    raise ValueError('pictures that do not lie one behind the other')
  return index


def _check_size(path: str, size: int, expected: int):
  found = os.path.getsize(path) if os.path.exists(path) else None
  if found != size or size != expected:
    what = 'the file is missing' if found is None else f'it has {found} bytes'
    raise damaged(path, f'{what}, expected {expected}')
