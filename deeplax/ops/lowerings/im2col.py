"""A dense kernel as one matrix product with all that its taps read.

The `[B, h, w, k * k * C]` patches are written out: k * k times the memory of
the picture, for one long sum instead of k * k short ones.
"""

import jax
import jax.numpy as jnp
from jax import lax

from deeplax.ops.lowerings import taps
from deeplax.ops.lowerings.window import Window

APPLIES = 'to one group, any kernel, stride, rate and padding'


def applies(window: Window) -> bool:
  """Whether there is one group."""
  return window.groups == 1


def lower(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
  """`[B, H, W, C]` to `[B, h, w, O]`."""
  patches = jnp.concatenate(
    [view for _, _, view in taps.views(x, window)], axis=-1
  )
  return lax.dot_general(
    patches,
    kernel.reshape(-1, window.outputs),
    (((3,), (0,)), ((), ())),
    preferred_element_type=window.out_dtype,
  )
