"""Many pictures through a `Predictor`: batches of one shape, device kept busy.

Only pictures that the network sees at one size and gives back at one size share
a batch. Padding to fewer, rounder sizes would save compilations, but change the
answer: image pooling averages over all that it is shown.

The size of a batch depends on the shape alone, not on how many pictures of it
there are: programs for other sizes may round otherwise, and a picture's answer
would hang on its company. What is missing at the end is filled up.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

import jax
import numpy as np

from deeplax.data.geometry import MEAN_PIXEL
from deeplax.data.grouping import PENDING_BYTES
from deeplax.predictor import Predictor, Prepared

# What the scores of a batch may take at full size, and pictures in it.
_SCORE_BYTES = 2**29
_MOST = 32


class Picture(Protocol):
  """What is predicted.

  Attributes:
    image: uint8[H, W, 3], RGB.
    prepared: Of it.
  """

  image: np.ndarray
  prepared: Prepared


P = TypeVar('P', bound=Picture)


def predict_all(
  predictor: Predictor, pictures: Iterable[P], batch_size: int | None = None
) -> Iterator[tuple[P, np.ndarray]]:
  """Each picture with its train ids, uint8[H, W], batch after batch.

  While the device works on a batch, the next one is gathered; it is sent before
  the first one's results are fetched. No more is in memory than these two and
  the batches begun, which are bounded as in evaluation.

  Args:
    predictor: Compiled once for each shape.
    pictures: May be any number; taken one by one.
    batch_size: Of all shapes; default: `default_batch_size`.
  """

  def size(ready):
    return batch_size_of(predictor, ready, batch_size)

  previous = None
  for batch in by_shape(pictures, size):
    ready = batch[0].prepared
    images = np.empty((size(ready), *ready.image.shape), np.uint8)
    for i, picture in enumerate(batch):
      images[i] = picture.prepared.image
    images[len(batch) :] = MEAN_PIXEL
    current = batch, predictor.start(images, ready.size)
    if previous:
      yield from _finish(predictor, *previous)
    previous = current
  if previous:
    yield from _finish(predictor, *previous)


def _finish(predictor, batch, out):
  out = np.asarray(out)  # waits for the device
  for picture, one in zip(batch, out):
    yield picture, predictor.finish(picture.image, one)


def batch_size_of(
  predictor: Predictor, ready: Prepared, batch_size: int | None = None
) -> int:
  """How many pictures that are prepared like this one make a batch.

  Args:
    predictor: Whose batch it is.
    ready: Of `prepare`.
    batch_size: The answer, if it is given; default: `default_batch_size`.
  """
  if batch_size is not None:
    return batch_size
  pixels = max(np.prod(ready.image.shape[:2]), np.prod(ready.size))
  pixels *= max(predictor.largest_scale, 1) ** 2
  return default_batch_size(pixels, predictor.num_classes)


def default_batch_size(
  pixels: float, num_classes: int, backend: str | None = None
) -> int:
  """Pictures at once: 1 on a CPU, which more make no faster (measured).

  Elsewhere as many as have 512 MiB of scores at full size, float32; at least
  one, at most 32.

  Args:
    pixels: Of one picture, at the largest size that it is looked at.
    num_classes: Scores of a pixel.
    backend: Default: jax's.
  """
  if (backend or jax.default_backend()) == 'cpu':
    return 1
  return min(max(int(_SCORE_BYTES // (4 * num_classes * pixels)), 1), _MOST)


def by_shape(
  pictures: Iterable[P],
  batch_size: Callable[[Prepared], int],
  pending_bytes: int = PENDING_BYTES,
) -> Iterator[list[P]]:
  """Groups pictures that can share a batch, in a reproducible order.

  Args:
    pictures: Taken one by one.
    batch_size: Of their shape; the last groups have fewer.
    pending_bytes: Bound on what incomplete groups take; beyond it the one that
      was begun first comes early.
  """
  pending: dict[tuple, list[P]] = {}
  waiting = 0
  for picture in pictures:
    ready = picture.prepared
    key = (ready.image.shape, ready.size)
    group = pending.setdefault(key, [])
    group.append(picture)
    waiting += _bytes(picture)
    full = len(group) >= batch_size(ready)
    while full or waiting > pending_bytes:
      group = pending.pop(key if full else next(iter(pending)))
      waiting -= sum(map(_bytes, group))
      full = False
      yield group
  yield from pending.values()


def _bytes(picture):
  return picture.image.nbytes + picture.prepared.image.nbytes
