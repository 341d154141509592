"""Pooling."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from deeplax.ops import rows
from deeplax.ops.conv import same_padding


def max_pool(
  x: jax.Array, *, window: int = 3, stride: int = 2, padding: str = 'symmetric'
) -> jax.Array:
  """Largest value of a square window, padded symmetrically by `window // 2`.

  The maximum of strided slices: the gradient of `lax.reduce_window` takes
  eight times as long on a CPU, and would be the largest single item of a
  training step. Where values of a window tie, they share the gradient
  (`reduce_window` gives all of it to one of them).

  Args:
    x: `[B, H, W, C]`, of a floating-point dtype.
    window: Side of the window, odd.
    stride: Step between windows.
    padding: `'symmetric'`, or `'same'`: as TensorFlow, see `conv.conv`.

  Returns:
    `[B, ceil(H / stride), ceil(W / stride), C]`; output pixel i is centred on
    input pixel `stride * i` where the padding is symmetric.

  Raises:
    ValueError: For an even window.
  """
  if window % 2 == 0:
    raise ValueError(
      f'The window is {window}; symmetric padding needs an odd one.'
    )
  reach = window // 2
  pad_rows, pad_columns = (
    same_padding(n, window, stride, 1) if padding == 'same' else (reach, reach)
    for n in x.shape[1:3]
  )

  def op(x, pad):
    x = jnp.pad(x, ((0, 0), pad, pad_columns, (0, 0)), constant_values=-jnp.inf)
    return _largest(x, window, stride, rate=1)

  return rows.sliding(
    op, x, reach=reach, stride=stride, fill=-jnp.inf, pad=pad_rows
  )


def max_pool_2x2(x: jax.Array, *, stride: int = 2, rate: int = 1) -> jax.Array:
  """Largest of 2x2 pixels `rate` apart, without padding, as VGG and U-Net.

      y[b, i, j, c] = max over u, v in {0, 1} of
                      x[b, stride*i + rate*u, stride*j + rate*v, c]

  Args:
    x: `[B, H, W, C]`; an axis too short for a window counts as a window.
    stride: Step between windows; 1 where an output stride is kept small.
    rate: Step between the pixels of a window.

  Returns:
    `[B, h, w, C]` with h = (H - rate - 1) // stride + 1, at least 1: a last
    odd row is left out.
  """
  short = [max(rate + 1 - n, 0) for n in x.shape[1:3]]
  if any(short):
    x = jnp.pad(
      x,
      ((0, 0), (0, short[0]), (0, short[1]), (0, 0)),
      constant_values=-jnp.inf,
    )
  return _largest(x, 2, stride, rate)


def _largest(x, window, stride, rate):
  height, width = (n - rate * (window - 1) for n in x.shape[1:3])
  slices = (
    x[:, i : i + height : stride, j : j + width : stride]
    for i, j in itertools.product(range(0, rate * window, rate), repeat=2)
  )
  return functools.reduce(jnp.maximum, slices)


def average_pool(x: jax.Array, *, window: int = 3) -> jax.Array:
  """Mean of a square window at stride 1, zeros beyond the picture counted.

  Caffe's average pooling with padding, as in LargeFOV.

  Args:
    x: `[B, H, W, C]`.
    window: Side of the window, odd.

  Returns:
    `[B, H, W, C]`, added up in at least float32.
  """
  reach = window // 2
  wide = jnp.promote_types(x.dtype, jnp.float32)

  def op(y, pad):
    y = jnp.pad(y, ((0, 0), pad, (reach, reach), (0, 0)))
    return _window_sum(y, (window, window))

  total = rows.sliding(op, x.astype(wide), reach=reach, stride=1)
  return (total / window**2).astype(x.dtype)


def window_average(x: jax.Array, window: tuple[int, int]) -> jax.Array:
  """Mean of every whole window at stride 1.

  Args:
    x: `[B, H, W, C]`.
    window: (height, width); cut to the picture where that is smaller.

  Returns:
    `[B, H - height + 1, W - width + 1, C]`, added up in at least float32.
  """
  window = tuple(min(w, n) for w, n in zip(window, x.shape[1:3]))
  wide = jnp.promote_types(x.dtype, jnp.float32)
  total = _window_sum(x.astype(wide), window)
  return (total / np.prod(window)).astype(x.dtype)


def _window_sum(x, window):
  """Row sums, then column sums: `height + width` additions a pixel."""
  for axis, size in ((1, window[0]), (2, window[1])):
    shape = [1] * x.ndim
    shape[axis] = size
    x = lax.reduce_window(
      x, np.zeros((), x.dtype), lax.add, tuple(shape), (1,) * x.ndim, 'VALID'
    )
  return x


def global_average(x: jax.Array) -> jax.Array:
  """Mean over the picture, added up in at least float32.

  Args:
    x: `[B, H, W, C]`.

  Returns:
    `[B, 1, 1, C]` in the dtype of `x`.
  """
  wide = jnp.promote_types(x.dtype, jnp.float32)
  return jnp.mean(x, axis=(1, 2), keepdims=True, dtype=wide).astype(x.dtype)
