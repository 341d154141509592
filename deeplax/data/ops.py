"""What can be done to a picture and its label on the way to a batch.

An operation is a registered function `(example, rng, *, arguments) -> example`
that moves image, label and extras together and changes no array in place
(sources hand out read-only views of memory maps); `register` has those that mix
two. `spec.py` has the grammar of `config.input`. A new one needs no more than

  @register(lambda size, *, degrees: size, degrees=at_least(0))
  def random_rotate(example, rng, *, degrees: float): ...
"""

import functools
from collections.abc import Sequence

import cv2
import numpy as np

from deeplax.data import class_window, geometry, mixing
from deeplax.data import photometric as colours
from deeplax.data.geometry import Example
from deeplax.data.info import IGNORE_LABEL
from deeplax.data.spec import (
  Op,
  OpsError,
  Other,
  Size,
  at_least,
  between,
  known,
  parse,
  register,
)

__all__ = [
  'Op',
  'OpsError',
  'apply',
  'at_least',
  'between',
  'crop_size',
  'known',
  'parse',
  'register',
  'split',
]

CROP_TRIES = 10


def apply(
  ops: Sequence[Op],
  example: Example,
  rng: np.random.Generator,
  source: Sequence[Example] | None = None,
) -> Example:
  """Runs operations in order; the arrays that come out are contiguous.

  Args:
    ops: From `parse`.
    example: `'image'` uint8[H, W, 3], `'label'` uint8[H, W], any further array
      [H, W, ...] (moved with nearest pixels) and anything else (passed on).
      Its arrays are not changed, and come back themselves if nothing is to do.
    rng: The only source of randomness.
    source: What operations that mix draw another example from; without it they
      mix this example with itself, cut out anew.

  Raises:
    DataError: Arrays of unequal size where they must be cut together; another
      example that can't be used.
  """
  example = _run(ops, example, rng, [example] if source is None else source)
  arrays = geometry.spatial(example).items()
  return {**example, **{k: np.ascontiguousarray(v) for k, v in arrays}}


def _run(ops, example, rng, source):
  for i, op in enumerate(ops):
    other = functools.partial(_another, ops[:i], rng, source)
    example = op(example, rng, *([other] if op.mixes else []))
  return geometry.realise(example)


def _another(ops, rng, source):
  index = int(rng.integers(len(source)))
  try:
    return _run(ops, dict(source[index]), rng, source)
  except Exception as error:
    error.add_note(f'Example {index} of the source was to be mixed in.')
    raise


def crop_size(ops: Sequence[Op]) -> Size | None:
  """(height, width) that every image leaves `ops` with; None if they vary."""
  size = None
  for op in ops:
    size = op.size(size)
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


@register(
  lambda size, *, h, w, probability: (h, w),
  lazy=True,
  h=at_least(1),
  w=at_least(1),
  probability=between(0, 1),
)
def class_crop(
  example: Example,
  rng: np.random.Generator,
  *,
  h: int,
  w: int,
  probability: float = 0.5,
) -> Example:
  """A window that holds a class drawn from those of the picture, or any window.

  With this probability a class is drawn, then one of its pixels, then one of
  the windows that hold that, each equally likely; otherwise, and where all is
  void, one as of `random_crop`. Padded as there. The whole label is looked at.
  """
  start = None
  if rng.random() < probability:
    start = class_window.draw(example, rng, h, w)
  if start is None:
    sides = zip(geometry.size(example), (h, w))
    start = [int(rng.integers(max(0, n - part) + 1)) for n, part in sides]
  return geometry.crop(example, *start, h, w)


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


@register(
  lambda size, *, probability: size, mixes=True, probability=between(0, 1)
)
def cutmix(
  example: Example,
  rng: np.random.Generator,
  other: Other,
  *,
  probability: float,
) -> Example:
  """With this probability, a rectangle of another picture is put over it."""
  if rng.random() >= probability:
    return example
  where = mixing.rectangle(*geometry.size(example), rng)
  return mixing.paste(example, other(), where)


@register(
  lambda size, *, probability, max_share: size,
  mixes=True,
  probability=between(0, 1),
  max_share=_fraction,
)
def paste_rare(
  example: Example,
  rng: np.random.Generator,
  other: Other,
  *,
  probability: float,
  max_share: float = 0.05,
) -> Example:
  """With this probability, what is rare in another picture is put over it.

  Rare are classes that each cover less than `max_share` of the labelled pixels
  that the other picture has in its crop. Its void stays where it is.
  """
  if rng.random() >= probability:
    return example
  copied = other()
  return mixing.paste(example, copied, mixing.rare(copied['label'], max_share))


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


@register(
  lambda size, *, k: size and tuple(-(-(n - 1) // k) * k + 1 for n in size),
  lazy=True,
  k=at_least(1),
)
def pad_aligned(
  example: Example, rng: np.random.Generator, *, k: int
) -> Example:
  """Pads bottom and right until height and width are multiples of k, and 1.

  With `align_corners` and k the output stride, corners fall on corners there.
  """
  del rng
  height, width = (-(-(n - 1) // k) * k + 1 for n in geometry.size(example))
  return geometry.crop(example, 0, 0, height, width)
