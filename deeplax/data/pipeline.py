"""From a source to batches: shuffled and endless, or every picture once.

Training batches are a pure function of (seed, step). The pictures of epoch
after epoch, each shuffled anew, form one endless order; global batch `step`
takes positions `step * batch_size + k` of it, and the chance in the operations,
other pictures to mix in included, is drawn from (seed, position). Of P
processes each has the P-th part of every global batch, in order, as their
devices have it: process p begins at element `p * batch_size / P`. So neither
the number of workers, nor of processes, nor a restart at `start_step` changes
what a step sees, down to the row of a picture, which decides what dropout
drops.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from deeplax.data import grouping
from deeplax.data import ops as operations
from deeplax.data.collate import Batch, Collate, Load
from deeplax.data.faults import Faults, checked
from deeplax.data.workers import Elements

# Finished elements that each worker keeps: a whole batch when training, a
# picture when evaluating.
_TRAIN_BUFFER = 1
_EVAL_BUFFER = 2
# Without a bound, Grain's length is 2**63 - 1, which batches of 1 overflow.
_POSITIONS = 2**52


class Batches(Iterator):
  """An iterator over batches; a context manager, or call `close()`.

  It raises `DataError` for an example that can't be used (`on_error='raise'`)
  and `WorkerError` when a worker process is gone; the workers are then ended.

  Attributes:
    skipped: Examples left out so far because of a `DataError`.
    errors: The first messages of these, without repetition.
  """

  def __init__(
    self, batches: Iterator[Batch], elements: 'Elements | None', faults
  ):
    self._batches, self._elements, self._faults = batches, elements, faults

  @property
  def skipped(self) -> int:
    return self._faults.skipped

  @property
  def errors(self) -> tuple[str, ...]:
    return tuple(self._faults.messages)

  def __iter__(self) -> 'Batches':
    return self

  def __next__(self) -> Batch:
    try:
      return next(self._batches)
    except BaseException:  # StopIteration and KeyboardInterrupt as well
      self.close()
      raise

  def __enter__(self) -> 'Batches':
    return self

  def __exit__(self, *_) -> None:
    self.close()

  def close(self) -> None:
    """Ends the workers; there are no more batches."""
    self._batches = iter(())
    if self._elements is not None:
      self._elements.close()


def train_batches(
  source: Sequence[dict[str, Any]],
  *,
  ops: str | Sequence[operations.Op],
  batch_size: int,
  seed: int,
  start_step: int = 0,
  workers: int = 0,
  process_index: int = 0,
  process_count: int = 1,
  on_error: str = 'raise',
  photometric_on_device: bool = False,
) -> Batches:
  """Endless batches for training; see the top of this file for their order.

  Args:
    source: Random-access source of image, label and id (`deeplax.data.Source`);
      picklable if there are workers, thread-safe if there are none.
    ops: Operations that bring all pictures to one size.
    batch_size: Over all processes; a multiple of `process_count`.
    seed: Of the order and of the operations.
    start_step: The step that the first batch is for.
    workers: Worker processes; 0 works in threads of this process.
    process_index, process_count: This process and how many there are.
    on_error: `'raise'`, or `'skip'` to put an example that raises `DataError`,
      or is to be mixed with one that does, into the batch as `valid=False`,
      mean-pixel image and label 255.
    photometric_on_device: Leave a `photometric()` that ends `ops` to
      `deeplax.ops.photometric`: its numbers are drawn as ever and come along.

  Returns:
    This process's share, b = batch_size / process_count: `'image'`
    uint8[b, H, W, 3], `'label'` uint8[b, H, W], `'valid'` bool[b], `'index'`
    int64[b] (position in the source), and `'photometric'` float32[b, 6] where
    it is left to the device.

  Raises:
    ValueError: An argument out of range, or an empty source.
    DataError: While iterating; pictures that end up with different sizes, or
      a whole epoch without a usable one, raise even with `'skip'`.
  """
  ops = operations.parse(ops) if isinstance(ops, str) else tuple(ops)
  _check(source, batch_size, workers, process_index, process_count, on_error)
  if batch_size % process_count:
    raise ValueError(
      f'batch_size (={batch_size}) must be a multiple of the number of '
      f'processes (={process_count}).'
    )
  if start_step < 0 or seed < 0:
    raise ValueError(
      f'start_step (={start_step}) and seed (={seed}) must not be negative.'
    )
  draw = False
  if photometric_on_device:
    ops, draw = operations.split(ops)

  chance_seed = np.random.SeedSequence(seed).generate_state(2)[1]
  dataset = (
    _order(len(source), seed)
    .random_map(Load(source, ops, draw=draw), seed=int(chance_seed))
    .batch(
      batch_size // process_count,
      batch_fn=Collate(operations.crop_size(ops), draw=draw),
    )
    .slice(slice(process_index, None, process_count))
    .slice(slice(start_step, None))
  )
  elements = Elements(dataset, workers=workers, buffer=_TRAIN_BUFFER)
  faults = Faults(on_error, most_in_a_row=len(source))
  return Batches(checked(elements, faults), elements, faults)


def batch_indices(
  num_examples: int, *, batch_size: int, seed: int, step: int
) -> list[int]:
  """Positions in the source of what the global batch of a step is made of.

  Args:
    num_examples: Length of the source.
    batch_size, seed: As in `train_batches`.
    step: The first is 0, as for `start_step`.
  """
  first = step * batch_size
  order = _order(num_examples, seed)[first : first + batch_size]
  return [int(index) for index in order]


def _order(num_examples: int, seed: int):
  """The endless order of the pictures, as a Grain data set of positions."""
  import grain  # imports jax: not on import of deeplax.data

  order_seed = np.random.SeedSequence(seed).generate_state(2)[0]
  return (
    grain.MapDataset.range(num_examples)
    .shuffle(seed=int(order_seed))
    .repeat(_POSITIONS // num_examples)
  )


def eval_batches(
  source: Sequence[dict[str, Any]],
  *,
  ops: str | Sequence[operations.Op] = '',
  batch_size: int,
  workers: int = 0,
  process_index: int = 0,
  process_count: int = 1,
  on_error: str = 'raise',
) -> Batches:
  """Every picture once, in batches of pictures of equal shape.

  The order is fixed by the source: a batch comes as soon as enough pictures of
  a shape have been met; what is left at the end comes in order of appearance.
  Where too many shapes wait for company (see `grouping`), the one that waits
  longest comes early. An incomplete batch is filled with `valid=False`.

  Args:
    source: As in `train_batches`; its extras are stacked too.
    ops: Operations; chance in them depends on the position only.
    batch_size: Pictures in a batch of this process.
    workers, process_index, process_count: As in `train_batches`; process p
      takes pictures p, p + P, p + 2 P, ...
    on_error: `'raise'`, or `'skip'` to leave a picture out that raises
      `DataError`, counted in `Batches.skipped`.

  Returns:
    `'image'`, `'label'` and the extras [batch_size, ...], `'valid'` bool[b],
    `'index'` int64[b] (-1 where not valid), `'id'` list of str ('' where not
    valid). Fill is the mean pixel, 255 for labels and 0 for the extras.

  Raises:
    ValueError: An argument out of range, or an empty source.
    DataError: While iterating.
  """
  ops = operations.parse(ops) if isinstance(ops, str) else tuple(ops)
  _check(source, batch_size, workers, process_index, process_count, on_error)
  import grain

  faults = Faults(on_error)
  share = len(range(process_index, len(source), process_count))
  if not share:  # more processes than pictures
    return Batches(iter(()), None, faults)
  dataset = (
    grain.MapDataset.range(len(source))
    .random_map(Load(source, ops), seed=0)
    .slice(slice(process_index, None, process_count))
  )
  elements = Elements(dataset, workers=min(workers, share), buffer=_EVAL_BUFFER)
  batches = grouping.by_shape(checked(elements, faults), batch_size)
  return Batches(batches, elements, faults)


def _check(source, batch_size, workers, process_index, process_count, on_error):
  if len(source) == 0:
    raise ValueError(
      'the data source is empty: it has 0 pictures, at least 1 is needed. '
      'Check dataset.dir and the name of the split.'
    )
  if batch_size < 1 or workers < 0:
    raise ValueError(
      f'batch_size (={batch_size}) must be 1 or more, workers (={workers}) 0 '
      'or more.'
    )
  if not 0 <= process_index < process_count:
    raise ValueError(
      f'process_index (={process_index}) must be in 0..{process_count - 1}, '
      f'process_count being {process_count}.'
    )
  if on_error not in ('raise', 'skip'):
    raise ValueError(f"on_error is {on_error!r}; expected 'raise' or 'skip'.")
