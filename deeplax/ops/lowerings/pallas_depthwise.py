"""A depthwise convolution as one kernel for GPUs, in Pallas by way of Triton.

A program computes a run of pixels of one row for some channels: it reads each
tap's pixels from memory, or the cache, and writes the sum once, where nine
shifted pictures may be nine passes. The gradient at the picture is the same
kernel with the taps turned round.

Elsewhere than on a GPU it is interpreted, slowly. XLA can't split a kernel that
it doesn't know: on several devices this is `depthwise_shifted`. Not measured:
`auto` takes it only where a row of the table says so.

Pallas is imported where it is used: not every build of jaxlib has Triton, and
jax 0.11 announces that it will be dropped from Pallas.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from deeplax.ops.lowerings import depthwise_shifted, taps
from deeplax.ops.lowerings.window import Window

APPLIES = 'to depthwise kernels of any size, rate and padding at stride 1'
# Largest block of a program; Triton wants powers of two.
_COLUMNS, _CHANNELS = 16, 64


def applies(window: Window) -> bool:
  """Whether every channel has a kernel of its own, and the stride is 1."""
  return window.kind == 'depthwise' and window.stride == 1


def lower(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
  """`[B, H, W, C]` to `[B, h, w, C]`, added up in at least float32."""
  if jax.typeof(x).sharding.mesh.size > 1:
    return depthwise_shifted.lower(x, kernel, window)
  return _lower(x, kernel, window)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _lower(x, kernel, window):
  return _convolve(
    x,
    kernel,
    window.rate,
    (window.rows, window.columns),
    window.out_dtype or x.dtype,
  )


def _forward(x, kernel, window):
  return _lower(x, kernel, window), (x, kernel)


def _backward(window, kept, g):
  x, kernel = kept
  # What a tap read before the pixel is read behind it now.
  pads = tuple(
    tuple(window.rate * (k - 1) - n for n in pads)
    for k, pads in zip(window.size, (window.rows, window.columns))
  )
  g_x = _convolve(g, kernel[::-1, ::-1], window.rate, pads, x.dtype)
  wide = jnp.promote_types(x.dtype, jnp.float32)
  g_taps = [
    jnp.einsum('bijc,bijc->c', view, g, preferred_element_type=wide)
    for _, _, view in taps.views(x, window)
  ]
  g_kernel = jnp.stack(g_taps).reshape(kernel.shape)
  return g_x, g_kernel.astype(kernel.dtype)


_lower.defvjp(_forward, _backward)


def _convolve(x, kernel, rate, pads, out_dtype):
  """With `pads` = ((above, below), (left, right)) rows and columns of zeros."""
  from jax.experimental import pallas as pl
  from jax.experimental.pallas import triton

  batch, height, width, channels = x.shape
  size = kernel.shape[:2]
  rows, columns = (
    n + sum(pad) - rate * (k - 1)
    for n, pad, k in zip((height, width), pads, size)
  )
  block = (
    min(_COLUMNS, pl.next_power_of_2(columns)),
    min(_CHANNELS, pl.next_power_of_2(channels)),
  )
  return pl.pallas_call(
    functools.partial(
      _program, rate=rate, above=pads[0][0], left=pads[1][0], block=block
    ),
    out_shape=jax.ShapeDtypeStruct((batch, rows, columns, channels), out_dtype),
    grid=(
      batch * rows,
      pl.cdiv(columns, block[0]),
      pl.cdiv(channels, block[1]),
    ),
    interpret=jax.default_backend() != 'gpu',
    compiler_params=triton.CompilerParams(num_warps=4),  # not Mosaic
  )(x, kernel[:, :, 0])


def _program(x_ref, kernel_ref, y_ref, *, rate, above, left, block):
  """One block `[columns, channels]` of one row of one picture."""
  from jax.experimental import pallas as pl
  from jax.experimental.pallas import triton

  _, height, width, channels = x_ref.shape
  _, rows, columns, _ = y_ref.shape
  picture, row = pl.program_id(0) // rows, pl.program_id(0) % rows
  column, channel = (
    pl.program_id(axis) * n + lax.broadcasted_iota(jnp.int32, block, axis - 1)
    for axis, n in zip((1, 2), block)
  )
  exists = channel < channels
  wide = jnp.promote_types(x_ref.dtype, jnp.float32)
  total = jnp.zeros(block, wide)
  for i in range(kernel_ref.shape[0]):
    for j in range(kernel_ref.shape[1]):
      # Of the picture without its padding; masked where that would be read.
      y, x = row + rate * i - above, column + rate * j - left
      inside = exists & (y >= 0) & (y < height) & (x >= 0) & (x < width)
      pixels = triton.load(
        x_ref.at[
          picture,
          jnp.clip(y, 0, height - 1),
          jnp.clip(x, 0, width - 1),
          channel,
        ],
        mask=inside,
        other=0,
      )
      tap = triton.load(kernel_ref.at[i, j, channel], mask=exists, other=0)
      total = total + pixels.astype(wide) * tap.astype(wide)
  triton.store(
    y_ref.at[picture, row, column, channel],
    total.astype(y_ref.dtype),
    mask=exists & (column < columns),
  )
