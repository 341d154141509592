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

`source[i]` returns read-only views: nothing is copied or read before someone
touches the pixels, so a crop costs the pages it covers.
"""

import hashlib
import json
import os
from collections.abc import Sequence

import numpy as np

from deeplax.data.errors import DataError, missing_data
from deeplax.data.info import DatasetInfo

FORMAT = 'deeplax memory map 1'
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
    for name, size in head['sizes'].items():
      _check_size(os.path.join(self._folder, name), size)
    self._maps: dict[str, np.ndarray] = {}

  def __reduce__(self):
    return MemmapSource, (self._folder, self._extras)

  def __len__(self) -> int:
    return len(self._ids)

  def __getitem__(self, index: int) -> dict:
    if not 0 <= index < len(self._ids):
      raise IndexError(
        f'{self._folder} has {len(self._ids)} pictures, not one at {index}.'
      )
    height, width, start = self._index[index].tolist()
    pixels = slice(start, start + height * width)
    example = {
      'image': self._map('image')[pixels].reshape(height, width, 3),
      'label': self._map('label')[pixels].reshape(height, width),
      'id': self._ids[index],
    }
    for extra in self._extras:
      example[extra] = self._map(extra)[pixels].reshape(height, width)
    return example

  def label(self, index: int) -> np.ndarray:
    """uint8[H, W] train ids of one example."""
    return self[index]['label']

  def _map(self, key: str) -> np.ndarray:
    """The mapped file; mapped on first use, once in each process."""
    if key not in self._maps:
      path = os.path.join(self._folder, files(self._extras)[key][0])
      flat = np.asarray(
        np.memmap(path, EXTRA_TYPES.get(key, np.uint8), mode='r')
      )
      self._maps[key] = flat.reshape(-1, 3) if key == 'image' else flat
    return self._maps[key]


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
    with open(path, 'rb') as file:
      head = json.load(file)
    if head['format'] != FORMAT:
      raise ValueError(f'format {head["format"]!r}')
    return head, DatasetInfo.from_json(head['dataset'])
  except (ValueError, KeyError, TypeError) as error:
    raise DataError(
      f'not the head of a {FORMAT!r} ({error}).',
      fix='Delete the folder and prepare it again.',
      file=path,
      kind='damaged file',
    ) from error


def _read_index(folder: str, head: dict) -> tuple[np.ndarray, list[str]]:
  """Sizes and places int64[n, 3], and ids."""
  digests = {}
  for name in (INDEX_FILE, IDS_FILE):
    path = os.path.join(folder, name)
    if not os.path.isfile(path):
      raise _damaged(path, 'the file is missing')
    with open(path, 'rb') as file:
      digests[name] = hashlib.sha256(file.read()).hexdigest()
    if digests[name] != head['digests'][name]:
      raise _damaged(path, 'its content is not what was written')
  index = np.load(os.path.join(folder, INDEX_FILE))
  with open(os.path.join(folder, IDS_FILE), 'rb') as file:
    return index, json.load(file)


def _check_size(path: str, size: int):
  found = os.path.getsize(path) if os.path.exists(path) else None
  if found != size:
    what = 'the file is missing' if found is None else f'it has {found} bytes'
    raise _damaged(path, f'{what}, expected {size}')


def _damaged(path: str, what: str) -> DataError:
  return DataError(
    f'{what}.',
    fix='Delete the folder and prepare it again.',
    file=path,
    kind='damaged file',
  )
