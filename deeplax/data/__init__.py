"""Data sets by name: their classes (`info`) and their pictures (`source`).

A name is a module of `deeplax.data.datasets`, with what follows a colon handed
to that module: `'cityscapes'`, `'folder'`, `'tfds:oxford_iiit_pet'`.
"""

import importlib
import inspect
import os
import pkgutil
import types
from collections.abc import Sequence
from typing import Any, Protocol

from deeplax.data.errors import DataError
from deeplax.data.info import IGNORE_LABEL, DatasetInfo, Label

__all__ = [
  'IGNORE_LABEL',
  'DataError',
  'DatasetInfo',
  'Label',
  'Source',
  'info',
  'names',
  'source',
]


class Source(Protocol):
  """Pictures with their labels, by position; picklable, cheap to make.

  `source[i]` has `'image'` (uint8[H, W, 3], RGB), `'label'` (uint8[H, W], train
  ids, 255 = void), `'id'` (str) and the extras asked for: `'instance'`
  (int32[H, W], the data set's own instance ids), `'disparity'` (float32[H, W],
  pixels), `'camera'` (float64[2], see `data.cameras`).
  It raises `DataError` for a picture or label that can't be used.
  """

  def __len__(self) -> int: ...

  def __getitem__(self, index: int) -> dict[str, Any]: ...


def names() -> tuple[str, ...]:
  """The names that `info` and `source` know: the modules in `datasets`."""
  folder = importlib.import_module('deeplax.data.datasets').__path__
  found = (module.name for module in pkgutil.iter_modules(folder))
  return tuple(sorted(name for name in found if not name.startswith('_')))


def info(name: str, data_dir: str | os.PathLike = '') -> DatasetInfo:
  """The class table of a data set.

  Args:
    name: `'module'` or `'module:argument'`.
    data_dir: Folder of the data; read only where the classes lie with it.

  Raises:
    DataError: Unknown name, or class table missing or wrong.
  """
  module, argument = _module(name)
  if hasattr(module, 'info'):
    return module.info(_path(data_dir), argument)
  return module.INFO


def source(
  name: str,
  split: str,
  data_dir: str | os.PathLike = '',
  *,
  extras: Sequence[str] = (),
  strict: bool = True,
) -> Source:
  """The pictures of one split of a data set.

  Args:
    name: `'module'` or `'module:argument'`.
    split: E.g. `'train'`; the data set's own name for it.
    data_dir: Folder of the data.
    extras: Further arrays wanted, e.g. `('instance',)`.
    strict: Raise when pictures and masks don't pair. The label doctor turns
      this off, and lists them itself.

  Raises:
    DataError: Unknown name, data missing, or an extra that it doesn't have.
  """
  module, argument = _module(name)
  takes = inspect.signature(module.source).parameters
  options = {}
  if argument:
    options['argument'] = argument
  if extras:
    options['extras'] = tuple(extras)
  for key, value in options.items():
    if key not in takes:
      raise DataError(
        f'dataset {name!r} takes no {key} (={value!r}).',
        fix='Leave it out.',
        kind='unknown option',
      )
  if not strict and 'strict' in takes:  # where pairing can fail at all
    options['strict'] = False
  return module.source(split, _path(data_dir), **options)


def _path(data_dir: str | os.PathLike) -> str:
  return os.path.expanduser(os.fspath(data_dir))


def _module(name: str) -> tuple[types.ModuleType, str]:
  base, _, argument = name.partition(':')
  known = names()
  if base not in known:
    raise DataError(
      f'dataset.name is {name!r}; there is no data set {base!r}. Known: '
      f'{", ".join(known)}.',
      fix='Choose one of these, or add a module to deeplax/data/datasets.',
      kind='unknown dataset',
    )
  return importlib.import_module(f'deeplax.data.datasets.{base}'), argument
