"""The taps of a kernel: which of them matter, and what each of them reads."""

import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jax import lax

from deeplax.ops.lowerings.window import Window


def views(x: jax.Array, window: Window) -> Iterator[tuple[int, int, jax.Array]]:
  """Yields, for tap (i, j), i, j and what it reads at every output pixel.

  Args:
    x: `[B, H, W, C]`.
    window: Says what is added around x.

  Yields:
    i, j and a slice `[B, h, w, C]` of the padded picture.
  """
  stride, rate = window.stride, window.rate
  x = jnp.pad(x, ((0, 0), window.rows, window.columns, (0, 0)))
  height, width = (
    n - rate * (k - 1) for n, k in zip(x.shape[1:3], window.size)
  )
  for i, j in itertools.product(*map(range, window.size)):
    top, left = rate * i, rate * j
    yield (
      i,
      j,
      x[:, top : top + height : stride, left : left + width : stride],
    )


def reachable(kernel: jax.Array, size: tuple[int, ...], rate: int) -> jax.Array:
  """Drops rows and columns of taps that would only ever read padding.

  Exact: a tap `rate * d` pixels off the centre of an image of n pixels reads
  a pixel only if `rate * d <= n - 1`. Pays for large rates on small maps, as
  in atrous pyramids on crops; the dropped taps get the gradient 0, as before.
  """
  for axis, n in enumerate(size):
    half = kernel.shape[axis] // 2
    reach = min(half, (n - 1) // rate)
    if reach < half:
      kernel = lax.slice_in_dim(
        kernel, half - reach, half + reach + 1, axis=axis
      )
  return kernel
