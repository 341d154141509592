"""Two-dimensional convolution, strided, atrous or grouped."""

import functools
import itertools

import jax
import jax.numpy as jnp
from jax import lax

from deeplax.ops import rows


def conv(
  x: jax.Array,
  kernel: jax.Array,
  *,
  stride: int = 1,
  rate: int = 1,
  groups: int = 1,
  padding: str = 'symmetric',
  out_dtype: jax.typing.DTypeLike | None = None,
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

  Returns:
    `[B, ceil(H / stride), ceil(W / stride), O]`.

  Raises:
    ValueError: For an even kernel, or channels that do not fit.
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
    kernel = _reachable_taps(kernel, x.shape[1:3], rate)
    pads = tuple((rate * (k // 2),) * 2 for k in kernel.shape[:2])
  reach = rate * (kernel.shape[0] // 2)
  depthwise = channels == 1 and groups == kernel.shape[-1]
  if kernel.shape[:2] == (1, 1) and groups == 1:
    op = functools.partial(_point, stride=stride, out_dtype=out_dtype)
  elif depthwise and (rate > 1 or jax.default_backend() == 'cpu'):
    op = functools.partial(
      _depthwise,
      stride=stride,
      rate=rate,
      columns=pads[1],
      out_dtype=out_dtype,
    )
  else:
    op = functools.partial(
      _dense,
      stride=stride,
      rate=rate,
      groups=groups,
      columns=pads[1],
      out_dtype=out_dtype,
    )
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


def _point(x, kernel, pad, *, stride, out_dtype):
  """A matrix product: on a CPU three times as fast as XLA's convolution."""
  del pad  # a point reaches nowhere
  if stride > 1:
    x = x[:, ::stride, ::stride]
  return lax.dot_general(
    x,
    kernel[0, 0],
    (((3,), (0,)), ((), ())),
    preferred_element_type=out_dtype,
  )


def _dense(x, kernel, pad, *, stride, rate, groups, columns, out_dtype):
  return lax.conv_general_dilated(
    x,
    kernel,
    window_strides=(stride, stride),
    padding=(pad, columns),
    rhs_dilation=(rate, rate),
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    feature_group_count=groups,
    preferred_element_type=out_dtype,
  )


def _depthwise(x, kernel, pad, *, stride, rate, columns, out_dtype):
  """Adds up shifted pictures, each times its tap, in at least float32.

  XLA's grouped convolution takes 25 times as long on a CPU, and 12 times at
  rates above 1 on a GPU; at rate 1 it is the faster one there.
  """
  side = kernel.shape[:2]
  wide = jnp.promote_types(x.dtype, jnp.float32)
  x = jnp.pad(x, ((0, 0), pad, columns, (0, 0)))
  height, width = (n - rate * (k - 1) for n, k in zip(x.shape[1:3], side))
  total = 0
  for i, j in itertools.product(*map(range, side)):
    top, left = rate * i, rate * j
    shifted = x[:, top : top + height : stride, left : left + width : stride]
    total = total + shifted.astype(wide) * kernel[i, j, 0].astype(wide)
  return total.astype(out_dtype or x.dtype)


def _reachable_taps(
  kernel: jax.Array, size: tuple[int, ...], rate: int
) -> jax.Array:
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
