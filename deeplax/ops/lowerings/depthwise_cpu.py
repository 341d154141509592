"""A depthwise kernel as shifted pictures, with gradients written for a CPU.

Forward and at x it is `depthwise_shifted`, of which differentiation would keep
every shifted picture. The gradient at the kernel is one reduction that adds up
the products of all taps, picture by picture: nine of them take ten times as
long. Each is compiled apart.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from deeplax.ops.apart import apart
from deeplax.ops.lowerings import depthwise_shifted, taps
from deeplax.ops.lowerings.window import Window

APPLIES = depthwise_shifted.APPLIES
applies = depthwise_shifted.applies


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def lower(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
  """`[B, H, W, C]` to `[B, h, w, C]`, added up in at least float32."""
  return _shifted(window)(x, kernel)


def _forward(x, kernel, window):
  return lower(x, kernel, window), (x, kernel)


def _backward(window, kept, g):
  x, kernel = kept
  if window.stride > 1:
    g_x = _at_strided(window)(x, kernel, g)
  else:
    mirrored = dataclasses.replace(
      window,
      rows=_mirrored(window.rows, window.size[0], window.rate),
      columns=_mirrored(window.columns, window.size[1], window.rate),
      out_dtype=x.dtype,
    )
    g_x = _shifted(mirrored)(g, kernel[::-1, ::-1])
  return g_x, _sums(window)(x, g).astype(kernel.dtype)


lower.defvjp(_forward, _backward)


def _mirrored(pad, size, rate):
  reach = rate * (size - 1)
  return reach - pad[0], reach - pad[1]


@functools.cache
def _shifted(window):
  return apart(lambda x, kernel: depthwise_shifted.lower(x, kernel, window))


@functools.cache
def _at_strided(window):
  @apart
  def gradient(x, kernel, g):
    def lower(x):
      return depthwise_shifted.lower(x, kernel, window)

    return jax.vjp(lower, x)[1](g)[0]

  return gradient


@functools.cache
def _sums(window):
  @apart
  def sums(x, g):
    wide = jnp.promote_types(x.dtype, jnp.float32)
    g = g.astype(wide)
    products = [view.astype(wide) * g for _, _, view in taps.views(x, window)]
    # A picture at a time: cores share them, and each is small in the cache.
    totals = lax.reduce(
      products,
      [np.zeros((), wide)] * len(products),
      lambda a, b: [p + q for p, q in zip(a, b)],
      (1, 2),
    )
    totals = jnp.stack(totals).sum(1)
    return totals.reshape(*window.size, 1, window.outputs)

  return sums
