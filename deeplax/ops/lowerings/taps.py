"""The pixels that each tap of a kernel reads, as pictures."""

import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp

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
