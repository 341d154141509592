"""Resizing, cropping and padding of image and label together, windows first.

Everything spatial in an example moves on one grid of half-pixel centres: pixel
x of a picture scaled from W to W' pixels looks at (x + 1/2) W / W' - 1/2. The
image is interpolated bilinearly there (no antialias), everything else takes
the pixel that the point lies in. OpenCV's `INTER_NEAREST` is half a pixel off
that grid, so the nearest pixel is computed here, in integers.

Scaling is lazy: `scale` only notes the new size, `crop` then computes nothing
but its window, so a crop out of a memory map reads the pages of the crop. A
window has the same bits as the same window of the whole scaled picture,
because each pixel depends on its absolute position alone (one exception: in
pictures of 32767 pixels and more the image may differ by one grey level).
Against `cv2.resize`, whose weights have 11 bits, the image differs by at most
one grey level.
"""

from typing import Any

import cv2
import numpy as np

from deeplax.data.errors import DataError
from deeplax.data.info import IGNORE_LABEL

Example = dict[str, Any]

MEAN_PIXEL = (124, 116, 104)  # RGB mean of ImageNet, rounded
_FILL = {'image': MEAN_PIXEL, 'label': IGNORE_LABEL}  # anything else: 0

# The size that the example's arrays are still to be scaled to.
_PENDING = '_scale_to'
# cv2.remap takes and makes pictures below 2**15 - 1 pixels a side.
_REMAP_LIMIT = 2**15 - 2


def spatial(example: Example) -> dict[str, np.ndarray]:
  """The arrays of an example that have rows and columns."""
  return {
    key: value
    for key, value in example.items()
    if isinstance(value, np.ndarray) and value.ndim >= 2
  }


def size(example: Example) -> tuple[int, int]:
  """(height, width) of the example, a pending scale included.

  Raises:
    DataError: Image and label (or an extra) differ in size.
  """
  if _PENDING in example:
    return example[_PENDING]
  shapes = {k: v.shape[:2] for k, v in spatial(example).items()}
  if len(set(shapes.values())) != 1:
    found = ', '.join(f'{k} {h}x{w}' for k, (h, w) in shapes.items())
    raise DataError(
      f'the arrays of one example differ in size (height x width): {found}.',
      fix='Image and label must have equal size to be cropped or scaled.',
      file=example.get('id', ''),
      kind='size mismatch',
    )
  return next(iter(shapes.values()))


def scale(example: Example, height: int, width: int) -> Example:
  """Notes that all arrays are to be `height` x `width`; computes nothing.

  Scaling twice rounds once: the second replaces the first.
  """
  size(example)  # raises on unequal sizes
  return {**example, _PENDING: (height, width)}


def realise(example: Example) -> Example:
  """Carries out a pending scale on the whole of every array."""
  if _PENDING not in example:
    return example
  return crop(example, 0, 0, *example[_PENDING])


def crop(
  example: Example, top: int, left: int, height: int, width: int
) -> Example:
  """The window of every array, padded bottom and right where it sticks out.

  Args:
    example: With or without a pending scale; it is carried out.
    top, left: First row and column, in pixels of the scaled picture.
    height, width: Size of the result. Beyond the picture the image is
      `MEAN_PIXEL`, the label `IGNORE_LABEL`, any other array 0.
  """
  whole = size(example)
  inside = (
    top,
    left,
    max(0, min(height, whole[0] - top)),
    max(0, min(width, whole[1] - left)),
  )
  result = {k: v for k, v in example.items() if k != _PENDING}
  for key, array in spatial(example).items():
    sample = bilinear if key == 'image' else nearest
    part = sample(array, whole, inside)
    result[key] = pad(part, height, width, _FILL.get(key, 0))
  return result


def unpadded(image: np.ndarray, label: np.ndarray) -> tuple[int, int]:
  """(height, width) without what `pad` added: void and of the mean colour.

  Args:
    image: uint8[h, w, 3]; of another size than the label, nothing was padded.
    label: uint8[H, W], 255 = void.
  """
  if image.shape[:2] != label.shape:
    return label.shape
  if (label[-1] != IGNORE_LABEL).any() and (label[:, -1] != IGNORE_LABEL).any():
    return label.shape
  real = (label != IGNORE_LABEL) | (image != MEAN_PIXEL).any(-1)
  rows, columns = np.flatnonzero(real.any(1)), np.flatnonzero(real.any(0))
  if not rows.size:
    return label.shape
  return int(rows[-1]) + 1, int(columns[-1]) + 1


def window_of(
  example: Example, key: str, top: int, left: int, height: int, width: int
) -> np.ndarray:
  """The window of one array, cut at the picture's borders; nearest pixels."""
  whole = size(example)
  height, width = min(height, whole[0] - top), min(width, whole[1] - left)
  return nearest(example[key], whole, (top, left, height, width))


def pad(array: np.ndarray, height: int, width: int, fill) -> np.ndarray:
  """`array` with `fill` below and right of it; itself if it is large enough."""
  rows, columns = array.shape[:2]
  if (rows, columns) == (height, width):
    return array
  result = np.empty((height, width, *array.shape[2:]), array.dtype)
  result[:rows, :columns] = array
  result[rows:] = fill
  result[:rows, columns:] = fill
  return result


def nearest(
  array: np.ndarray, whole: tuple[int, int], window: tuple[int, int, int, int]
) -> np.ndarray:
  """A window of `array` scaled to `whole`, each pixel the nearest one.

  Args:
    array: [H, W, ...], any dtype; not changed.
    whole: (height, width) of the scaled picture.
    window: (top, left, height, width) within it.

  Returns:
    [height, width, ...]: a view where nothing is to be scaled.
  """
  top, left, height, width = window
  if array.shape[:2] == tuple(whole):
    return array[top : top + height, left : left + width]
  rows = _nearest_index(array.shape[0], whole[0], top, height)
  columns = _nearest_index(array.shape[1], whole[1], left, width)
  if not (height and width):
    return np.empty((height, width, *array.shape[2:]), array.dtype)
  first, last = columns[0], columns[-1] + 1
  return array[rows, first:last].take(columns - first, axis=1)


def hide_unseen(
  array: np.ndarray, whole: tuple[int, int], fill: int
) -> np.ndarray:
  """`array` with `fill` in the rows and columns that `nearest` leaves out.

  Args:
    array: uint8[H, W]; not changed.
    whole: (height, width) of the scaled picture.
    fill: 255: the bits are joined, which is quick, and 255 wins.

  Returns:
    uint8[H, W]: itself where nothing is made smaller.
  """
  for axis, (before, after) in enumerate(zip(array.shape, whole)):
    if after < before:
      hidden = np.full(before, fill, np.uint8)
      hidden[_nearest_index(before, after, 0, after)] = 0
      array = array | (hidden[:, None] if axis == 0 else hidden)
  return array


def shown_at(at: int, size_from: int, size_to: int) -> int:
  """Which new pixel shows the old pixel `at`, by `nearest`.

  Of several it is the middle one; of none (see `hide_unseen`), one beside it.
  """
  return (2 * at + 1) * size_to // (2 * size_from)


def bilinear(
  image: np.ndarray, whole: tuple[int, int], window: tuple[int, int, int, int]
) -> np.ndarray:
  """A window of `image` scaled to `whole`, bilinear without antialias.

  Args:
    image: uint8[H, W, 3] (or float32); not changed.
    whole: (height, width) of the scaled picture.
    window: (top, left, height, width) within it.

  Returns:
    Same dtype, [height, width, 3]: a view where nothing is to be scaled.
  """
  top, left, height, width = window
  if image.shape[:2] == tuple(whole):
    return image[top : top + height, left : left + width]
  if not (height and width):
    return np.empty((height, width, *image.shape[2:]), image.dtype)
  y = _centres(image.shape[0], whole[0], top, height)
  x = _centres(image.shape[1], whole[1], left, width)
  image, y = _needed(image, y, 0)
  image, x = _needed(image, x, 1)
  if max(*image.shape[:2], height, width) > _REMAP_LIMIT:
    return _halves(image, y, x)
  return _remap(image, y, x)


def _centres(size_from: int, size_to: int, first: int, count: int):
  """float64[count]: where the new pixels lie, in pixels of the old."""
  at = np.arange(first, first + count, dtype=np.float64)
  return (at + 0.5) * (size_from / size_to) - 0.5


def _nearest_index(size_from: int, size_to: int, first: int, count: int):
  """int64[count]: floor((x + 1/2) size_from / size_to), exactly."""
  at = np.arange(first, first + count, dtype=np.int64)
  return (2 * at + 1) * size_from // (2 * size_to)


def _needed(image: np.ndarray, at: np.ndarray, axis: int):
  """Drops what no point touches, from pictures too large for `cv2.remap`.

  Smaller ones stay whole: the coordinates, rounded to float32 in `_remap`, are
  then the same ones for every window.
  """
  if image.shape[axis] <= _REMAP_LIMIT:
    return image, at
  first = max(0, int(at[0]))
  last = min(image.shape[axis], int(at[-1]) + 2)
  cut = (slice(None),) * axis + (slice(first, last),)
  return image[cut], at - first


def _halves(image: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
  """`_remap` for any size: halves the longer side until it fits."""
  axis = 0 if max(image.shape[0], len(y)) >= max(image.shape[1], len(x)) else 1
  at = (y, x)[axis]
  parts = []
  for part in np.array_split(at, 2):
    half, part = _needed(image, part, axis)
    points = (part, x) if axis == 0 else (y, part)
    fits = max(*half.shape[:2], *map(len, points)) <= _REMAP_LIMIT
    parts.append((_remap if fits else _halves)(half, *points))
  return np.concatenate(parts, axis=axis)


def _remap(image: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
  shape = (len(y), len(x))
  map_x = np.empty(shape, np.float32)
  map_y = np.empty(shape, np.float32)
  map_x[:] = x
  map_y[:] = y[:, None]
  return cv2.remap(
    np.asarray(image),
    map_x,
    map_y,
    cv2.INTER_LINEAR,
    borderMode=cv2.BORDER_REPLICATE,
  )
