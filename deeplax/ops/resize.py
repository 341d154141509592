"""Resampling of pictures and feature maps to another size."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deeplax.ops import rows

METHODS = ('bilinear', 'nearest', 'nearest_floor')


class Grid(NamedTuple):
  """Where pixels lie when the size changes; see `resize`."""

  align_corners: bool = False
  half_pixel_centers: bool = True

  def resize(self, x: jax.Array, size: tuple[int, int]) -> jax.Array:
    """`[B, H, W, C]` to `[B, *size, C]`, bilinear."""
    return resize(x, size, **self._asdict())

  def neighbours(self, size_in: int, size_out: int):
    """Of every output pixel of an axis, for bilinear resampling.

    Returns:
      Indices of both input pixels that it reads, and the weight of the upper
      one: numpy, `[size_out]` each.
    """
    return _neighbours(size_in, size_out, self._name())

  def _name(self) -> str:
    if self.align_corners:
      return 'corners'
    return 'half_pixel' if self.half_pixel_centers else 'legacy'


def scaled_size(
  size: tuple[int, int], scale: float, *, align_corners: bool = False
) -> tuple[int, int]:
  """Size of a picture at another scale: at least 1 x 1.

  With half-pixel centres round(n * scale), halves up; with align_corners
  floor((n - 1) * scale + 1), as in the official DeepLab, so that n = OS * k + 1
  stays of that form whenever k * scale is whole.
  """
  if align_corners:
    # Through float64, 1024 * 1.1 and the like fall a bit short.
    new = [math.floor((n - 1) * scale + 1 + 1e-9) for n in size]
  else:
    new = [math.floor(n * scale + 0.5) for n in size]
  return max(new[0], 1), max(new[1], 1)


def resize(
  x: jax.Array,
  size: tuple[int, int],
  *,
  method: str = 'bilinear',
  align_corners: bool = False,
  half_pixel_centers: bool = True,
) -> jax.Array:
  """Samples `x` on a grid of `size`; shrinking does not antialias.

  Output pixel i lies at input coordinate

      s = (i + 0.5) * in / out - 0.5        (half-pixel centres)
      s = i * (in - 1) / (out - 1)          (align_corners)
      s = i * in / out                      (half_pixel_centers=False)

  clipped to the picture. The last is TensorFlow 1's, off by up to half a pixel.
  `bilinear` is PyTorch's `F.interpolate(..., mode='bilinear')`; `nearest` with
  half-pixel centres is its `mode='nearest-exact'`, on the same grid as
  `bilinear`. `nearest_floor` reads pixel floor(i * in / out), PyTorch's plain
  `'nearest'`, which is half a pixel off that grid; where out is a multiple of
  in they are the same.

  Bilinear resampling reads the two neighbours of each output pixel, axis by
  axis. Its gradient is the product with the transposed matrix of weights; a
  scatter, which is what differentiation makes of the reading, takes four
  times as long on a CPU.

  Args:
    x: `[B, H, W, C]`; for both nearest of any dtype.
    size: `(height, width)` of the result.
    method: One of `METHODS`.
    align_corners: Whether the centres of the corner pixels fall together.
    half_pixel_centers: Whether pixels have centres; of no meaning with
      `align_corners`, and for `nearest_floor`.

  Returns:
    `[B, height, width, C]` in the dtype of `x`.

  Raises:
    ValueError: For an unknown method, or an empty size.
  """
  if method not in METHODS:
    raise ValueError(f'method is {method!r}; expected one of {METHODS}.')
  height, width = (int(n) for n in size)
  if min(height, width, *x.shape[1:3]) < 1:
    raise ValueError(
      f'Cannot resize {x.shape[1:3]} to {(height, width)}: both need at least '
      'one pixel.'
    )
  grid = Grid(align_corners, half_pixel_centers)._name()
  for axis, n in ((1, height), (2, width)):
    size_in = x.shape[axis]
    if size_in == n:
      continue
    if method == 'bilinear':
      tables = _neighbours(size_in, n, grid)
      op = functools.partial(_bilinear, axis)
    else:
      index = np.arange(n) * size_in // n
      if method == 'nearest':
        index = np.floor(_coordinates(size_in, n, grid) + 0.5)
      tables = (index.astype(np.int32),) * 2
      op = functools.partial(_pick, axis)
    x = rows.reading(op, x, *tables) if axis == 1 else op(x, *tables)
  return x


def _coordinates(size_in: int, size_out: int, grid: str):
  """Input coordinate of every output pixel, `[size_out]` float64."""
  i = np.arange(size_out, dtype=np.float64)
  if grid == 'corners':
    s = i * ((size_in - 1) / max(size_out - 1, 1))
  elif grid == 'legacy':
    s = i * (size_in / size_out)
  else:
    s = (i + 0.5) * (size_in / size_out) - 0.5
  return np.clip(s, 0, size_in - 1)


def _neighbours(size_in: int, size_out: int, grid: str):
  """Indices of both neighbours, weight of the upper one: `[size_out]` each."""
  s = _coordinates(size_in, size_out, grid)
  low = np.floor(s).astype(np.int32)
  return low, np.minimum(low + 1, size_in - 1), s - low


def _pick(axis: int, x: jax.Array, index: jax.Array, _) -> jax.Array:
  """Reads one pixel of an axis for each of the result."""
  return jnp.take(x, index, axis=axis, mode='clip')


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _bilinear(
  axis: int, x: jax.Array, low: jax.Array, high: jax.Array, weight: jax.Array
) -> jax.Array:
  """Resamples one axis; the arrays are those of `_neighbours`."""
  wide = jnp.promote_types(x.dtype, jnp.float32)
  weight = jnp.asarray(weight, wide)
  weight = jnp.expand_dims(weight, [a for a in range(x.ndim) if a != axis])
  y_low = jnp.take(x, low, axis=axis, mode='clip').astype(wide)
  y_high = jnp.take(x, high, axis=axis, mode='clip').astype(wide)
  return (y_low * (1 - weight) + y_high * weight).astype(x.dtype)


def _bilinear_forward(axis, x, low, high, weight):
  y = _bilinear(axis, x, low, high, weight)
  return y, (x.shape[axis], low, high, weight)


def _bilinear_backward(axis, needed, g):
  size_in, low, high, weight = needed
  weight = jnp.asarray(weight, g.dtype)[:, None]
  pixels = jnp.arange(size_in)
  matrix = jnp.where(low[:, None] == pixels, 1 - weight, 0)
  matrix += jnp.where(high[:, None] == pixels, weight, 0)
  # The highest precision: no TF32 or bfloat16 passes over float32 weights.
  g = jnp.einsum(
    'oi,boxc->bixc' if axis == 1 else 'oi,bxoc->bxic',
    matrix,
    g,
    precision=jax.lax.Precision.HIGHEST,
  )
  return g, None, None, None


_bilinear.defvjp(_bilinear_forward, _bilinear_backward)
