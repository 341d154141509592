"""Pooling."""

import functools
import itertools

import jax
import jax.numpy as jnp

from deeplax.ops import rows


def max_pool(x: jax.Array, *, window: int = 3, stride: int = 2) -> jax.Array:
  """Largest value of a square window, padded symmetrically by `window // 2`.

  The maximum of strided slices: the gradient of `lax.reduce_window` takes
  eight times as long on a CPU, and would be the largest single item of a
  training step. Where values of a window tie, they share the gradient
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
  reach = window // 2

  def op(x, pad):
    x = jnp.pad(
      x,
      ((0, 0), pad, (reach, reach), (0, 0)),
      constant_values=-jnp.inf,
    )
    height, width = (n - window + 1 for n in x.shape[1:3])
    slices = (
      x[:, i : i + height : stride, j : j + width : stride]
      for i, j in itertools.product(range(window), repeat=2)
    )
    return functools.reduce(jnp.maximum, slices)

  return rows.sliding(op, x, reach=reach, stride=stride, fill=-jnp.inf)


def global_average(x: jax.Array) -> jax.Array:
  """Mean over the picture, added up in at least float32.

  Args:
    x: `[B, H, W, C]`.

  Returns:
    `[B, 1, 1, C]` in the dtype of `x`.
  """
  wide = jnp.promote_types(x.dtype, jnp.float32)
  return jnp.mean(x, axis=(1, 2), keepdims=True, dtype=wide).astype(x.dtype)
