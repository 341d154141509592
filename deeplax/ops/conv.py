"""Two-dimensional convolution, strided, atrous or grouped."""

import dataclasses

import jax
import jax.numpy as jnp

from deeplax.ops import lowerings, rows
from deeplax.ops.lowerings import choice, taps
from deeplax.ops.lowerings.window import Window


def conv(
  x: jax.Array,
  kernel: jax.Array,
  *,
  stride: int = 1,
  rate: int = 1,
  groups: int = 1,
  padding: str = 'symmetric',
  out_dtype: jax.typing.DTypeLike | None = None,
  train: bool = False,
  lowering: str = 'auto',
) -> jax.Array:
  """Convolves with explicit symmetric zero padding of `rate * (k - 1) // 2`.

      y[b, i, j, o] = sum_{u, v, c} kernel[u, v, c, o]
                      * x[b, stride*i + rate*(u - k//2),
                             stride*j + rate*(v - k//2), c]

  Output pixel i is centred on input pixel `stride * i` at even and at odd
  sizes, which is what makes a network give the same features at every output
  stride. TensorFlow's SAME does not: at stride 2 it pads even sizes by (0, 1),
  and everything moves by half a pixel. `padding='same'` is that, for weights
  that were trained so.

  Args:
    x: `[B, H, W, C]`.
    kernel: `[k, k, C / groups, O]`, k odd.
    stride: Step between output pixels, in input pixels.
    rate: Step between the taps of the kernel, in input pixels.
    groups: Number of channel groups; C for a depthwise convolution.
    padding: `'symmetric'` or `'same'`.
    out_dtype: Of the result; by default that of `x`.
    train: Whether gradients will be asked for, which makes other lowerings
      the fastest; the result does not depend on it.
    lowering: How it is computed: a module of `ops/lowerings`, which gives the
      same answer as every other, or `'auto'` for the fastest as far as is
      known: see `lowerings/choice.py`.

  Returns:
    `[B, ceil(H / stride), ceil(W / stride), O]`.

  Raises:
    ValueError: For an even kernel, channels that do not fit, or a lowering
      that there is not, or not for such a convolution.
  """
  height, width, channels, _ = kernel.shape
  if height % 2 == 0 or width % 2 == 0:
    raise ValueError(
      f'The kernel is {height}x{width}; symmetric padding needs odd sizes.'
    )
  if x.shape[-1] != channels * groups:
    raise ValueError(
      f'The input has {x.shape[-1]} channels, but a kernel of shape '
      f'{kernel.shape} in {groups} group(s) expects {channels * groups}.'
    )
  if padding == 'same' and stride > 1:
    pads = tuple(
      same_padding(n, k, stride, rate)
      for n, k in zip(x.shape[1:3], kernel.shape)
    )
  else:
    kernel = taps.reachable(kernel, x.shape[1:3], rate)
    pads = tuple((rate * (k // 2),) * 2 for k in kernel.shape[:2])
  window = Window(
    size=kernel.shape[:2],
    stride=stride,
    rate=rate,
    groups=groups,
    inputs=x.shape[-1],
    outputs=kernel.shape[-1],
    rows=pads[0],
    columns=pads[1],
    out_dtype=out_dtype,
  )
  if lowering == 'auto':
    lowering = choice.choose(window, *x.shape[1:3], train=train)
  lower = lowerings.find(lowering, window).lower

  def op(x, kernel, pad):
    return lower(x, kernel, dataclasses.replace(window, rows=pad))

  reach = rate * (window.size[0] // 2)
  return rows.sliding(op, x, kernel, reach=reach, stride=stride, pad=pads[0])


def same_padding(
  size: int, window: int, stride: int, rate: int
) -> tuple[int, int]:
  """Pixels that TensorFlow's SAME adds before and after an axis.

  out = ceil(size / stride)
  total = max((out - 1) * stride + (window - 1) * rate + 1 - size, 0)
  before = total // 2
  """
  reach = (-(-size // stride) - 1) * stride + (window - 1) * rate + 1
  total = max(reach - size, 0)
  return total // 2, total - total // 2


def up_convolve(
  x: jax.Array,
  kernel: jax.Array,
  *,
  out_dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
  """Doubles the resolution: every pixel becomes k x k ("up-convolution").

      y[b, k*i + u, k*j + v, o] = sum_c kernel[u, v, c, o] * x[b, i, j, c]

  PyTorch's `ConvTranspose2d` with stride k and no padding; its kernels are
  `[C, O, k, k]`.

  Args:
    x: `[B, H, W, C]`.
    kernel: `[k, k, C, O]`, k = 2 in U-Net.
    out_dtype: Of the result; by default that of `x`.

  Returns:
    `[B, k*H, k*W, O]`.
  """
  batch, height, width, _ = x.shape
  size, _, _, outputs = kernel.shape
  y = jnp.einsum(
    'bijc,uvco->biujvo', x, kernel, preferred_element_type=out_dtype
  )
  return y.reshape(batch, size * height, size * width, outputs)
