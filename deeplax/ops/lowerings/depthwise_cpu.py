"""A depthwise kernel as shifted pictures, with gradients written for a CPU.

Forward and at x it is `depthwise_shifted`, of which differentiation would keep
every shifted picture. For the gradient at the kernel the products of all taps
are added up row by row, then over columns: reductions of every product over
the picture take two to ten times as long. Each is compiled apart.
"""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
from jax import lax

from deeplax.ops.apart import apart
from deeplax.ops.lowerings import depthwise_shifted
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
    x = jnp.pad(x, ((0, 0), window.rows, window.columns, (0, 0)))
    places = list(itertools.product(*map(range, window.size)))
    last = window.stride * (g.shape[2] - 1) + 1

    def products(row):
      """For each tap, `[B, w, C]` of a row of g."""
      outputs = lax.dynamic_index_in_dim(g, row, 1, keepdims=False)
      for i, j in places:
        at = window.stride * row + window.rate * i
        inputs = lax.dynamic_index_in_dim(x, at, 1, keepdims=False)
        left = window.rate * j
        inputs = inputs[:, left : left + last : window.stride]
        yield inputs.astype(wide) * outputs.astype(wide)

    def add(row, totals):
      return [a + b for a, b in zip(totals, products(row))]

    totals = lax.fori_loop(1, g.shape[1], add, list(products(0)))
    totals = jnp.stack(totals).sum((1, 2))
    return totals.reshape(*window.size, 1, window.outputs)

  return sums
