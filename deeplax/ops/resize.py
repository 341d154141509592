"""Resampling of pictures and feature maps to another size."""

import jax
import jax.numpy as jnp
import numpy as np

METHODS = ('bilinear', 'nearest')


def resize(
  x: jax.Array,
  size: tuple[int, int],
  *,
  method: str = 'bilinear',
  align_corners: bool = False,
) -> jax.Array:
  """Samples `x` on a grid of `size`; shrinking does not antialias.

  Output pixel i lies at input coordinate

      s = (i + 0.5) * in / out - 0.5        (half-pixel centres)
      s = i * (in - 1) / (out - 1)          (align_corners)

  clipped to the picture. `bilinear` is PyTorch's `F.interpolate(...,
  mode='bilinear')`; `nearest` with half-pixel centres is its
  `mode='nearest-exact'`, on the same grid as `bilinear` (PyTorch's plain
  `'nearest'` is half a pixel off that grid).

  Bilinear resampling is one small matrix product per axis: its gradient is
  then another one, not a scatter, and rows may be sharded over devices.

  Args:
    x: `[B, H, W, C]`; for `nearest` of any dtype.
    size: `(height, width)` of the result.
    method: `'bilinear'` or `'nearest'`.
    align_corners: Whether the centres of the corner pixels fall together.

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
  for axis, n in ((1, height), (2, width)):
    if x.shape[axis] == n:
      continue
    if method == 'nearest':
      s = _coordinates(x.shape[axis], n, align_corners)
      x = jnp.take(x, np.floor(s + 0.5).astype(np.int32), axis=axis)
    else:
      x = _apply(_bilinear_matrix(x.shape[axis], n, align_corners), x, axis)
  return x


def _coordinates(size_in: int, size_out: int, align_corners: bool):
  """Input coordinate of every output pixel, `[size_out]` float64."""
  i = np.arange(size_out, dtype=np.float64)
  if align_corners:
    s = i * ((size_in - 1) / max(size_out - 1, 1))
  else:
    s = (i + 0.5) * (size_in / size_out) - 0.5
  return np.clip(s, 0, size_in - 1)


def _bilinear_matrix(size_in: int, size_out: int, align_corners: bool):
  """Row i holds the two weights of output pixel i: `[size_out, size_in]`."""
  s = _coordinates(size_in, size_out, align_corners)
  low = np.floor(s).astype(np.int64)
  high = np.minimum(low + 1, size_in - 1)
  matrix = np.zeros((size_out, size_in))
  rows = np.arange(size_out)
  np.add.at(matrix, (rows, low), 1 - (s - low))
  np.add.at(matrix, (rows, high), s - low)
  return matrix


def _apply(matrix: np.ndarray, x: jax.Array, axis: int) -> jax.Array:
  """Multiplies `matrix` from the left along one axis of `x`."""
  matrix = jnp.asarray(matrix, x.dtype)
  # The weights are exact to the dtype: no TF32 or bfloat16 passes.
  return jnp.einsum(
    'oi,bixc->boxc' if axis == 1 else 'oi,bxic->bxoc',
    matrix,
    x,
    precision=jax.lax.Precision.HIGHEST,
  )
