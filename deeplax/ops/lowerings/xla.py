"""XLA's own convolution: every stride, rate, group and padding."""

import jax
from jax import lax

from deeplax.ops.lowerings.window import Window

APPLIES = 'to every convolution'


def applies(window: Window) -> bool:
  """Always."""
  del window
  return True


def lower(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
  """`[B, H, W, C]` to `[B, h, w, O]`."""
  return lax.conv_general_dilated(
    x,
    kernel,
    window_strides=(window.stride,) * 2,
    padding=(window.rows, window.columns),
    rhs_dilation=(window.rate,) * 2,
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    feature_group_count=window.groups,
    preferred_element_type=window.out_dtype,
  )
