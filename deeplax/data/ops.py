"""What can be done to a picture and its label on the way to a batch.

An operation is a registered function `(example, rng, *, arguments) -> example`
that moves image, label and extras together and changes no array in place
(sources hand out read-only views of memory maps). `spec.py` has the grammar of
`config.input.train` and `config.input.eval`. A new operation needs no more than

  @register(lambda size, *, degrees: size, degrees=at_least(0))
  def random_rotate(example, rng, *, degrees: float): ...
"""

from collections.abc import Sequence

import cv2
import numpy as np

from deeplax.data import geometry
from deeplax.data import photometric as colours
from deeplax.data.geometry import Example
from deeplax.data.info import IGNORE_LABEL
from deeplax.data.spec import (
  Op,
  OpsError,
  Size,
  at_least,
  known,
  parse,
  register,
)

__all__ = [
  'Op',
  'OpsError',
  'apply',
  'at_least',
  'crop_size',
  'known',
  'parse',
  'register',
  'split',
]

CROP_TRIES = 10


def apply(
  ops: Sequence[Op], example: Example, rng: np.random.Generator
) -> Example:
  """Runs operations in order; the arrays that come out are contiguous.

  Args:
    ops: From `parse`.
    example: `'image'` uint8[H, W, 3], `'label'` uint8[H, W], any further array
      [H, W, ...] (moved with nearest pixels) and anything else (passed on).
      Its arrays are not changed, and come back themselves if nothing is to do.
    rng: The only source of randomness.

  Raises:
    DataError: Arrays of unequal size where they must be cut together.
  """
  for op in ops:
    example = op(example, rng)
  example = geometry.realise(example)
  arrays = geometry.spatial(example).items()
  return {**example, **{k: np.ascontiguousarray(v) for k, v in arrays}}


def crop_size(ops: Sequence[Op]) -> Size | None:
  """(height, width) that every image leaves `ops` with; None if they vary."""
  size = None
  for op in ops:
    size = op._entry.size(size, **dict(op.arguments))
  return size


def split(ops: Sequence[Op]) -> tuple[tuple[Op, ...], bool]:
  """What has to be done on the host, and whether `photometric` is left over.

  It changes colours alone, so that as the last of the operations it can be left
  to the device. Anywhere else what follows would see other pictures.
  """
  ops = tuple(ops)
  left = bool(ops) and ops[-1].name == 'photometric'
  return (ops[:-1] if left else ops), left


def _above_zero(value, _):
  return None if value > 0 else 'more than 0'


def _at_least_lo(value, arguments):
  lo = arguments['lo']
  return None if value >= lo else f'lo (={lo}) or more'


def _fraction(value, _):
  return None if 0 < value <= 1 else 'more than 0 and at most 1'


@register(
  lambda size, *, lo, hi: None, lazy=True, lo=_above_zero, hi=_at_least_lo
)
def random_scale(
  example: Example, rng: np.random.Generator, *, lo: float, hi: float
) -> Example:
  """Scales by a factor drawn uniformly from [lo, hi]; sizes are rounded."""
  factor = rng.uniform(lo, hi)
  height, width = geometry.size(example)
  return geometry.scale(
    example, max(1, round(height * factor)), max(1, round(width * factor))
  )


@register(
  lambda size, *, h, w, max_class_fraction: (h, w),
  lazy=True,
  h=at_least(1),
  w=at_least(1),
  max_class_fraction=_fraction,
)
def random_crop(
  example: Example,
  rng: np.random.Generator,
  *,
  h: int,
  w: int,
  max_class_fraction: float = 1.0,
) -> Example:
  """A window of h x w, padded bottom and right where the picture is smaller.

  With `max_class_fraction` below 1, up to `CROP_TRIES` windows are drawn until
  one has more than one class and none on more than this fraction of its
  labelled pixels; the last one is taken as it is. Only the label is looked at.
  """
  height, width = geometry.size(example)
  for _ in range(CROP_TRIES):
    top = int(rng.integers(max(0, height - h) + 1))
    left = int(rng.integers(max(0, width - w) + 1))
    if max_class_fraction >= 1:
      break
    label = geometry.window_of(example, 'label', top, left, h, w)
    counts = np.bincount(label.ravel(), minlength=IGNORE_LABEL + 1)
    counts = counts[:IGNORE_LABEL]
    if (
      np.count_nonzero(counts) > 1
      and counts.max() <= max_class_fraction * counts.sum()
    ):
      break
  return geometry.crop(example, top, left, h, w)


@register(lambda size: size)
def random_flip(example: Example, rng: np.random.Generator) -> Example:
  """Mirrors left and right with probability 1/2."""
  if rng.random() >= 0.5:
    return example
  mirrored = {k: _mirror(v) for k, v in geometry.spatial(example).items()}
  return {**example, **mirrored}


def _mirror(array: np.ndarray) -> np.ndarray:
  if array.dtype in (np.uint8, np.int32, np.float32):
    return cv2.flip(np.asarray(array), 1)  # many times faster than numpy
  return np.ascontiguousarray(array[:, ::-1])


@register(lambda size: size)
def photometric(example: Example, rng: np.random.Generator) -> Example:
  """Distorts brightness, contrast, saturation and hue of the image."""
  numbers = colours.draw(rng)
  return {**example, 'image': colours.distort(example['image'], numbers)}


@register(lambda size, *, h, w: (h, w), lazy=True, h=at_least(1), w=at_least(1))
def resize(
  example: Example, rng: np.random.Generator, *, h: int, w: int
) -> Example:
  """Image and label to h x w, whatever their proportions."""
  del rng
  return geometry.realise(geometry.scale(example, h, w))


@register(lambda size, *, h, w: (h, w), h=at_least(1), w=at_least(1))
def resize_image(
  example: Example, rng: np.random.Generator, *, h: int, w: int
) -> Example:
  """The image alone: evaluation at the resolution of the label."""
  del rng
  image = geometry.bilinear(example['image'], (h, w), (0, 0, h, w))
  return {**example, 'image': image}


@register(
  lambda size, *, k: size and tuple(-(-n // k) * k for n in size),
  lazy=True,
  k=at_least(1),
)
def pad_to_multiple(
  example: Example, rng: np.random.Generator, *, k: int
) -> Example:
  """Pads bottom and right until height and width are multiples of k."""
  del rng
  height, width = (-(-n // k) * k for n in geometry.size(example))
  return geometry.crop(example, 0, 0, height, width)
