"""A dense kernel by XLA, with gradients as matrix products for a CPU.

XLA's convolution is the fastest one forward, but of its gradients it makes
convolutions again, of transposed copies, at half the speed or less:

- at x, `g[B*h*w, O] x kernel[O, k*k*C]` gives what every tap sends back, which
  is shifted and added up; a product for each tap where one of all would not
  stay in a cache;
- at the kernel, row i of it is `taps[k*C, B*h*w] x g[B*h*w, O]`, with x
  transposed once.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
from jax import lax

from deeplax.ops.apart import apart
from deeplax.ops.lowerings import xla
from deeplax.ops.lowerings.window import Window

APPLIES = 'to one group, any kernel, stride, rate and padding'
# Bytes that the product of all taps may have: a share of a core's L3 cache.
_CACHE = 20 * 2**20


def applies(window: Window) -> bool:
  """Whether there is one group."""
  return window.groups == 1


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def lower(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
  """`[B, H, W, C]` to `[B, h, w, O]`."""
  return xla.lower(x, kernel, window)


def _forward(x, kernel, window):
  return lower(x, kernel, window), (x, kernel)


def _backward(window, kept, g):
  x, kernel = kept
  g_x = _at_picture(x, kernel, g, window).astype(x.dtype)
  return g_x, _at_kernel(x, g, window).astype(kernel.dtype)


lower.defvjp(_forward, _backward)


def _at_picture(x, kernel, g, window):
  wide = jnp.promote_types(x.dtype, jnp.float32)
  taps = kernel.reshape(-1, *kernel.shape[2:])
  count = len(taps)
  size = g[..., 0].size * taps[..., 0].size * wide.itemsize
  groups = [taps] if size <= _CACHE else jnp.split(taps, count)
  # Each [B, h, w, taps of the group, C].
  sent = [
    lax.dot_general(
      g, group, (((3,), (2,)), ((), ())), preferred_element_type=wide
    )
    for group in groups
  ]
  return _added(window, x.shape[1:3])(sent)


@functools.cache
def _added(window, size):
  @apart
  def added(sent):
    places = itertools.product(*map(range, window.size))
    total = 0
    for n, place in enumerate(places):
      part = sent[n][..., 0, :] if len(sent) > 1 else sent[0][..., n, :]
      total += lax.pad(part, jnp.zeros((), part.dtype), _around(part, place))
    return total

  def _around(part, place):
    """Tap i of output y lies at pixel stride * y + rate * i - before."""
    pads = [(0, 0, 0)]
    for n, i, (before, _), count in zip(
      size, place, (window.rows, window.columns), part.shape[1:3]
    ):
      first = window.rate * i - before
      last = first + window.stride * (count - 1)
      pads.append((first, n - 1 - last, window.stride - 1))
    return [*pads, (0, 0, 0)]

  return added


def _at_kernel(x, g, window):
  wide = jnp.promote_types(x.dtype, jnp.float32)
  outputs = g.reshape(-1, g.shape[-1])
  rows = [
    lax.dot_general(
      row, outputs, (((1,), (0,)), ((), ())), preferred_element_type=wide
    )
    for row in _taps(window)(_transposed(x))
  ]
  return jnp.stack(rows).reshape(*window.size, x.shape[-1], g.shape[-1])


@apart
def _transposed(x):
  """`[B, H, W, C]` to `[C, B, H, W]`."""
  return x.reshape(-1, x.shape[-1]).T.reshape(x.shape[-1], *x.shape[:3])


@functools.cache
def _taps(window):
  @apart
  def taps(x):
    """`[C, B, H, W]` to what each row of the kernel reads: `[k * C, B*h*w]`."""
    stride, rate = window.stride, window.rate
    x = jnp.pad(x, ((0, 0), (0, 0), window.rows, window.columns))
    height, width = (
      n - rate * (k - 1) for n, k in zip(x.shape[2:], window.size)
    )
    return [
      jnp.stack(
        [
          x[..., i : i + height : stride, j : j + width : stride]
          for j in range(0, rate * window.size[1], rate)
        ]
      ).reshape(window.size[1] * x.shape[0], -1)
      for i in range(0, rate * window.size[0], rate)
    ]

  return taps
