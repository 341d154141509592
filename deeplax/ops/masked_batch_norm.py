"""Batch norm of pictures of which some pixels do not count."""

import jax
import jax.numpy as jnp
from jax import lax

_AXES = (0, 1, 2)


def masked_batch_norm(
  x: jax.Array,
  scale: jax.Array,
  bias: jax.Array,
  epsilon: float,
  mask: jax.Array,
  count: int,
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """`batch_norm.batch_norm` with statistics of some of the pixels.

  The others are normalised with these, too, and get the gradient 0 through
  them.

  Args:
    x: `[B, H, W, C]`.
    scale: `[C]`.
    bias: `[C]`.
    epsilon: Added to the variance.
    mask: bool `[B, H, W, 1]`, of the pixels that count.
    count: How many these are.

  Returns:
    y in the dtype of `x`; mean and biased variance, `[C]`, in that of
    `scale`.
  """
  wide = x.astype(scale.dtype)
  mean = jnp.sum(wide, axis=_AXES, where=mask) / count
  centred = wide - mean
  var = jnp.sum(jnp.square(centred), axis=_AXES, where=mask) / count
  y = centred * (lax.rsqrt(var + epsilon) * scale) + bias
  return y.astype(x.dtype), mean, var
