"""An atrous convolution as an ordinary one of smaller pictures.

A picture is split into rate * rate pictures of every rate-th pixel. Taps that
are `rate` pixels apart are neighbours there, for which there are fast kernels.

At large rates the parts are no larger than the kernel, and programs take long
to compile; hence the limit.
"""

import dataclasses

import jax

from deeplax.ops import layout
from deeplax.ops.lowerings import xla
from deeplax.ops.lowerings.window import Window

LARGEST_RATE = 8
APPLIES = f'to rates 2 to {LARGEST_RATE} at stride 1, any kernel, not depthwise'


def applies(window: Window) -> bool:
  """Whether the rate is moderate, the stride 1, and channels are mixed."""
  return splits(window) and window.kind != 'depthwise'


def splits(window: Window) -> bool:
  """Whether stride and rate are such that the pictures can be split."""
  return window.stride == 1 and 2 <= window.rate <= LARGEST_RATE


def lower(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
  """`[B, H, W, C]` to `[B, h, w, O]`.

  At stride 1 the padding is a multiple of the rate, so that each part is
  padded like a picture by itself, and zeros that fill up the last rows of
  the parts are read, or not, as zeros of the border are.
  """
  rate = window.rate
  rows, columns = (
    tuple(n // rate for n in pads) for pads in (window.rows, window.columns)
  )
  height, width = (
    n + sum(pads) - rate * (k - 1)
    for n, pads, k in zip(
      x.shape[1:3], (window.rows, window.columns), window.size
    )
  )
  y = xla.lower(
    layout.split(x, rate),
    kernel,
    dataclasses.replace(window, rate=1, rows=rows, columns=columns),
  )
  return layout.join(y, rate)[:, :height, :width]
