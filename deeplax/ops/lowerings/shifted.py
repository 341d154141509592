"""A dense kernel as a sum of matrix products, one a tap, of shifted pictures.

Needs no more memory than the sum, and no tap costs more for a large rate.
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
  """`[B, H, W, C]` to `[B, h, w, O]`, added up in at least float32."""
  wide = jnp.promote_types(x.dtype, jnp.float32)
  total = 0
  for i, j, view in taps.views(x, window):
    total = total + lax.dot_general(
      view,
      kernel[i, j],
      (((3,), (0,)), ((), ())),
      preferred_element_type=wide,
    )
  return total.astype(window.out_dtype or x.dtype)
