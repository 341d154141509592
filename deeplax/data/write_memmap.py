"""Writes a memory map (`deeplax.data.datasets.memmap`), killed or not."""

import hashlib
import io
import logging
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tqdm

from deeplax import atomic
from deeplax.data.datasets import memmap
from deeplax.data.durable import (
  Journal,
  check_space,
  only_writer,
  to_json,
)
from deeplax.data.errors import DataError
from deeplax.data.identity import Identity, checked, identify
from deeplax.data.info import IGNORE_LABEL, DatasetInfo

_log = logging.getLogger(__name__)

# Examples and bytes between two syncs: what a kill can cost.
_SYNC_COUNT, _SYNC_BYTES = 32, 1 << 26


def ensure_memmap(
  source,
  info: DatasetInfo,
  directory: str | os.PathLike,
  *,
  on_error: str = 'raise',
) -> memmap.MemmapSource:
  """The memory map of `source` in `directory`, written first if need be.

  Any number of processes may call it at once: one writes, the others wait.

  Args:
    source: A `deeplax.data.Source`.
    info: Its class table.
    directory: Folder of this one split.
    on_error: `'skip'` gives a bad example its place, where it raises its
      `DataError` again whenever it is asked for.

  Raises:
    DataError: The folder holds another source, the disk is full, or an example
      is bad.
  """
  if on_error == 'skip':
    source = _Marking(source)
  if not memmap.is_finished(directory):
    _log.info('Decoding %d pictures into %s', len(source), directory)
  write_memmap(source, info, directory)
  return memmap.MemmapSource(directory)


class _Marking:
  """A source whose bad examples are one void pixel and the reason as id."""

  def __init__(self, source):
    self._source = source

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, index: int) -> dict[str, Any]:
    try:
      return checked(self._source[index], index)
    except DataError as error:
      return {
        'image': np.zeros((1, 1, 3), np.uint8),
        'label': np.full((1, 1), IGNORE_LABEL, np.uint8),
        'id': f'{memmap.UNUSABLE}{error}',
      }


def write_memmap(
  source,
  info: DatasetInfo,
  directory: str | os.PathLike,
  *,
  extras: Sequence[str] = (),
) -> None:
  """Writes all examples; goes on where a killed process stopped.

  The result is the same, byte for byte, however often it was interrupted. If
  it is finished already, only its fingerprint is compared.

  Args:
    source: A `deeplax.data.Source` that yields the extras.
    info: Its class table.
    directory: Folder of this one split.
    extras: Of `'instance'` and `'disparity'`.

  Raises:
    DataError: As for `ensure_memmap`.
  """
  with only_writer(directory):
    identity = identify(source, info, extras)
    journal_path = os.path.join(directory, 'journal.jsonl')
    if memmap.is_finished(directory):
      found = memmap.MemmapSource(directory)
      if found.fingerprint != identity.fingerprint:
        raise DataError(
          f'holds a memory map of another source ({found.info.name}, '
          f'{len(found)} pictures), expected {info.name} with '
          f'{len(source)}, or its pictures have changed.',
          fix='Choose another folder, or delete this one.',
          file=directory,
          kind='another data set',
        )
      if os.path.exists(journal_path):  # killed just before it was removed
        os.remove(journal_path)
      return
    journal = Journal(journal_path, identity.plan)
    _write_pixels(source, directory, extras, journal, identity)
    _write_head(info, directory, extras, journal, identity)
    journal.remove()


def _write_pixels(
  source,
  directory: str | os.PathLike,
  extras: Sequence[str],
  journal: Journal,
  identity: Identity,
):
  paths = {
    key: (os.path.join(directory, name), size)
    for key, (name, size) in memmap.files(extras).items()
  }
  _keep_what_is_there(paths, journal)
  pixels = sum(h * w for h, w, _ in journal.done)
  per_pixel = sum(size for _, size in paths.values())
  areas = [example['label'].size for example in identity.samples]
  check_space(directory, (identity.total(areas) - pixels) * per_pixel)
  streams = {}
  try:
    for key, (path, size) in paths.items():
      streams[key] = open(path, 'ab')  # noqa: SIM115
      streams[key].truncate(pixels * size)
    waiting, count = [], 0
    start = len(journal.done)
    bar = tqdm.tqdm(
      range(start, identity.length),
      desc=os.path.basename(os.fspath(directory)),
      total=identity.length,
      initial=start,
      unit=' pictures',
      disable=None,  # quiet where stderr is no terminal
    )
    for i in bar:
      example = checked(source[i], i)
      for key, stream in streams.items():
        kind = memmap.EXTRA_TYPES.get(key, np.uint8)
        stream.write(np.ascontiguousarray(example[key], kind))
      waiting.append([*example['label'].shape, example['id']])
      count += example['label'].size * per_pixel
      if (
        len(waiting) == _SYNC_COUNT
        or count > _SYNC_BYTES
        or i == identity.length - 1
      ):
        for stream in streams.values():
          stream.flush()
          os.fsync(stream.fileno())
        journal.add(waiting)
        waiting, count = [], 0
  finally:
    for stream in streams.values():
      stream.close()


def _keep_what_is_there(paths: dict, journal: Journal):
  """Forgets examples whose bytes are gone, should a file have been cut."""
  sizes = [
    (os.path.getsize(path) if os.path.exists(path) else 0) // size
    for path, size in paths.values()
  ]
  ends = np.cumsum([0] + [h * w for h, w, _ in journal.done])
  journal.keep(int(np.searchsorted(ends, min(sizes), 'right')) - 1)


def _write_head(
  info: DatasetInfo,
  directory: str | os.PathLike,
  extras: Sequence[str],
  journal: Journal,
  identity: Identity,
):
  """Index and ids, and then the file that makes it a memory map."""
  shapes = np.array([[h, w] for h, w, _ in journal.done], np.int64)
  areas = shapes.prod(1)
  before = np.cumsum(areas) - areas
  stream = io.BytesIO()
  np.save(stream, np.concatenate([shapes, before[:, None]], 1))
  contents = {
    memmap.INDEX_FILE: stream.getvalue(),
    memmap.IDS_FILE: to_json([name for *_, name in journal.done]),
  }
  for name, content in contents.items():
    atomic.write(os.path.join(directory, name), content)
  head = {
    'format': memmap.FORMAT,
    'dataset': info.to_json(),
    'length': identity.length,
    'extras': list(extras),
    'fingerprint': identity.fingerprint,
    'sizes': {
      name: int(areas.sum()) * size
      for name, size in memmap.files(extras).values()
    },
    'digests': {
      name: hashlib.sha256(content).hexdigest()
      for name, content in contents.items()
    },
  }
  atomic.write(os.path.join(directory, memmap.INFO_FILE), to_json(head))
