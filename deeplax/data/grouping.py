"""Pictures of any shapes -> batches of equal shape, each picture once."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from deeplax.data.geometry import MEAN_PIXEL
from deeplax.data.info import IGNORE_LABEL

# Batches begun may take this much memory; beyond it the oldest is completed
# with padding. Only data sets of very many shapes get there.
PENDING_BYTES = 2**30

_FILL = {'image': MEAN_PIXEL, 'label': IGNORE_LABEL}


def by_shape(
  examples: Iterable[dict[str, Any]],
  batch_size: int,
  pending_bytes: int = PENDING_BYTES,
) -> Iterator[dict[str, Any]]:
  """Groups examples whose arrays agree in shape, in a reproducible order.

  Args:
    examples: `'image'`, `'label'`, further arrays, `'id'` and `'index'`.
    batch_size: Length of every batch; the last ones are padded.
    pending_bytes: Bound on what incomplete batches take.

  Yields:
    The arrays, stacked, `'valid'` bool[b], `'index'` int64[b], `'id'` list.
  """
  pending: dict[tuple, _Group] = {}
  for example in examples:
    key = tuple(
      sorted((k, v.shape) for k, v in example.items() if _is_array(v))
    )
    group = pending.get(key)
    if group is None:
      group = pending[key] = _Group(example, batch_size)
    group.add(example)
    if group.count == batch_size:
      del pending[key]
      yield group.finish()
    while sum(g.bytes for g in pending.values()) > pending_bytes:
      yield pending.pop(next(iter(pending))).finish()
  for group in pending.values():
    yield group.finish()


class _Group:
  """One batch in the making. Filled in place: workers' memory is free again."""

  def __init__(self, example: dict[str, Any], batch_size: int):
    self.arrays = {
      key: np.empty((batch_size, *value.shape), value.dtype)
      for key, value in example.items()
      if _is_array(value)
    }
    self.index = np.full(batch_size, -1, np.int64)
    self.ids = [''] * batch_size
    self.count = 0
    self.bytes = sum(a.nbytes for a in self.arrays.values())

  def add(self, example: dict[str, Any]) -> None:
    for key, array in self.arrays.items():
      array[self.count] = example[key]
    self.index[self.count] = example['index']
    self.ids[self.count] = str(example.get('id', ''))
    self.count += 1

  def finish(self) -> dict[str, Any]:
    for key, array in self.arrays.items():
      array[self.count :] = _FILL.get(key, 0)
    valid = np.arange(len(self.ids)) < self.count
    return {**self.arrays, 'valid': valid, 'index': self.index, 'id': self.ids}


def _is_array(value: Any) -> bool:
  return isinstance(value, np.ndarray) and value.ndim > 0
