"""Normalisation by the statistics of the batch, with its short gradient."""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax

from deeplax.ops.apart import apart
from deeplax.ops.kept import kept

_AXES = (0, 1, 2)


def batch_norm(
  x: jax.Array,
  scale: jax.Array,
  bias: jax.Array,
  epsilon: float,
  *,
  ceiling: float | None = None,
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Normalises over batch and picture (Ioffe & Szegedy 2015), maybe with ReLU.

      z = (x - mean) / sqrt(var + epsilon)
      y = min(max(z * scale + bias, 0), ceiling)

  Statistics are taken in the dtype of `scale`, in two passes:
  `E[x^2] - E[x]^2` loses all digits where the mean is large. With g the
  gradient at y, 0 where ReLU cut off, and n values per channel, the gradient
  at x is

      scale / sqrt(var + epsilon) * (g - sum(g) / n - z * sum(g * z) / n)

  Written out, it is twice as fast on a CPU as what differentiation makes of
  the two passes, and keeps no more than x and y. None flows through the
  statistics that are returned.

  Args:
    x: `[B, H, W, C]`.
    scale: `[C]`.
    bias: `[C]`.
    epsilon: Added to the variance.
    ceiling: None for no ReLU, `math.inf` for one, 6 for ReLU6.

  Returns:
    y in the dtype of `x`; mean and biased variance, `[C]`, in that of
    `scale`.
  """
  return _batch_norm(x, scale, bias, epsilon, ceiling)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _batch_norm(x, scale, bias, epsilon, ceiling):
  return _forward(x, scale, bias, epsilon, ceiling)[0]


def _forward(x, scale, bias, epsilon, ceiling):
  mean, var = map(kept, _statistics(x, scale))
  inverse = lax.rsqrt(var + epsilon)
  y = _normalised(ceiling)(x, mean, inverse * scale, bias)
  needed = x, None if ceiling is None else y, mean, inverse, scale
  return (y, mean, var), needed


@apart
def _statistics(x, scale):
  wide = x.astype(scale.dtype)
  mean = jnp.mean(wide, axis=_AXES)
  return mean, jnp.mean(jnp.square(wide - mean), axis=_AXES)


@functools.cache
def _normalised(ceiling):
  @apart
  def normalise(x, mean, factor, bias):
    y = (x.astype(factor.dtype) - mean) * factor + bias
    if ceiling is not None:
      y = jnp.maximum(y, 0)
      y = y if ceiling == math.inf else jnp.minimum(y, ceiling)
    return y.astype(x.dtype)

  return normalise


def _backward(epsilon, ceiling, needed, gradients):
  del epsilon
  x, y, mean, inverse, scale = needed
  n = x.size // x.shape[-1]
  g, g_bias, g_scale = _sums(ceiling)(x, y, gradients[0], mean, inverse)
  g_x = _gradient(x, g, mean, inverse, scale, g_bias / n, g_scale / n)
  return g_x, g_scale, g_bias


@functools.cache
def _sums(ceiling):
  @apart
  def sums(x, y, g, mean, inverse):
    if ceiling is not None:
      g = jnp.where((y > 0) & (y < ceiling), g, 0)
    wide = g.astype(mean.dtype)
    z = (x.astype(mean.dtype) - mean) * inverse
    return g, jnp.sum(wide, axis=_AXES), jnp.sum(wide * z, axis=_AXES)

  return sums


@apart
def _gradient(x, g, mean, inverse, scale, g_mean, gz_mean):
  g = g.astype(mean.dtype)
  z = (x.astype(mean.dtype) - mean) * inverse
  return ((g - g_mean - z * gz_mean) * (inverse * scale)).astype(x.dtype)


_batch_norm.defvjp(_forward, _backward)
