"""Pooling."""

import functools

import jax
import jax.numpy as jnp


def max_pool(x: jax.Array, *, window: int = 3, stride: int = 2) -> jax.Array:
  """Largest value of a square window, padded symmetrically by `window // 2`.

  Rows first, then columns, each as the maximum of strided slices: the
  gradient of `lax.reduce_window` is the largest single item of a training
  step on a CPU. Where several values of a window tie, they share the gradient
  (`reduce_window` gives all of it to one of them).

  Args:
    x: `[B, H, W, C]`, of a floating-point dtype.
    window: Side of the window, odd.
    stride: Step between windows.

  Returns:
    `[B, ceil(H / stride), ceil(W / stride), C]`; output pixel i is centred on
    input pixel `stride * i`.

  Raises:
    ValueError: For an even window.
  """
  if window % 2 == 0:
    raise ValueError(
      f'The window is {window}; symmetric padding needs an odd one.'
    )
  return _max_axis(_max_axis(x, 1, window, stride), 2, window, stride)


def _max_axis(x: jax.Array, axis: int, window: int, stride: int) -> jax.Array:
  size = x.shape[axis]
  padding = [(0, 0, 0)] * x.ndim
  padding[axis] = (window // 2, window // 2, 0)
  padded = jax.lax.pad(x, jnp.array(-jnp.inf, x.dtype), padding)
  slices = [
    jax.lax.slice_in_dim(padded, i, i + size, stride=stride, axis=axis)
    for i in range(window)
  ]
  return functools.reduce(jnp.maximum, slices)


def global_average(x: jax.Array) -> jax.Array:
  """Mean over the picture, added up in at least float32.

  Args:
    x: `[B, H, W, C]`.

  Returns:
    `[B, 1, 1, C]` in the dtype of `x`.
  """
  wide = jnp.promote_types(x.dtype, jnp.float32)
  return jnp.mean(x, axis=(1, 2), keepdims=True, dtype=wide).astype(x.dtype)
