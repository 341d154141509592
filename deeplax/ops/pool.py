"""Pooling."""

import functools
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from deeplax.ops import rows
from deeplax.ops.conv import same_padding


def max_pool(
  x: jax.Array, *, window: int = 3, stride: int = 2, padding: str = 'symmetric'
) -> jax.Array:
  """Largest value of a square window, padded symmetrically by `window // 2`.

  Where values of a window tie, the first in reading order gets the gradient.

  Args:
    x: `[B, H, W, C]`, of a floating-point dtype.
    window: Side of the window, odd.
    stride: Step between windows.
    padding: `'symmetric'`, or `'same'`: as TensorFlow, see `conv.conv`.

  Returns:
    `[B, ceil(H / stride), ceil(W / stride), C]`; output pixel i is centred on
    input pixel `stride * i` where the padding is symmetric.

  Raises:
    ValueError: For an even window.
  """
  if window % 2 == 0:
    raise ValueError(
      f'The window is {window}; symmetric padding needs an odd one.'
    )
  reach = window // 2
  pad_rows, pad_columns = (
    same_padding(n, window, stride, 1) if padding == 'same' else (reach, reach)
    for n in x.shape[1:3]
  )

  def op(x, pad):
    if window == 1:
      return x[:, ::stride, ::stride]
    return _largest(x, window, stride, 1, (pad, pad_columns), x.shape[1:3])

  return rows.sliding(
    op, x, reach=reach, stride=stride, fill=-jnp.inf, pad=pad_rows
  )


def max_pool_2x2(x: jax.Array, *, stride: int = 2, rate: int = 1) -> jax.Array:
  """Largest of 2x2 pixels `rate` apart, without padding, as VGG and U-Net.

      y[b, i, j, c] = max over u, v in {0, 1} of
                      x[b, stride*i + rate*u, stride*j + rate*v, c]

  Args:
    x: `[B, H, W, C]`; an axis too short for a window counts as a window.
    stride: Step between windows; 1 where an output stride is kept small.
    rate: Step between the pixels of a window.

  Returns:
    `[B, h, w, C]` with h = (H - rate - 1) // stride + 1, at least 1: a last
    odd row is left out.
  """
  short = tuple((0, max(rate + 1 - n, 0)) for n in x.shape[1:3])
  return _largest(x, 2, stride, rate, short, x.shape[1:3])


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3, 4, 5))
def _largest(x, window, stride, rate, pads, size):
  """Maximum of strided slices; `pads` are (before, after) of both axes.

  The gradient of `lax.reduce_window` is a scatter, and on a CPU the largest
  single item of a training step. Here the forward pass keeps which tap of the
  window was the largest, a byte each, and the gradient gathers.
  `size` is that of x, for the gradient.
  """
  del size
  return functools.reduce(jnp.maximum, _taps(x, window, stride, rate, pads))


def _largest_forward(x, window, stride, rate, pads, size):
  del size
  taps = _taps(x, window, stride, rate, pads)
  largest, winner = taps[0], jnp.zeros(taps[0].shape, jnp.int8)
  for i, tap in enumerate(taps[1:], start=1):
    winner = jnp.where(tap > largest, np.int8(i), winner)
    largest = jnp.maximum(largest, tap)
  return largest, winner


def _taps(x, window, stride, rate, pads):
  """What each tap of the window reads, in reading order."""
  x = jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=-jnp.inf)
  height, width = (n - rate * (window - 1) for n in x.shape[1:3])
  return [
    x[:, i : i + height : stride, j : j + width : stride]
    for i, j in itertools.product(range(0, rate * window, rate), repeat=2)
  ]


def _largest_backward(window, stride, rate, pads, size, winner, g):
  """Adds up, at every pixel, the gradients of the windows that it won.

  Tap t of window i lies at pixel stride * i + rate * t - before. Pixels are
  taken apart into `[B, H / stride, stride, W / stride, stride, C]`, where
  windows and their taps are broadcast, which on a CPU is many times as fast
  as to interleave what belongs to each phase.
  """
  axes = [
    _windows_at(window, stride, rate, before, n, count)
    for (before, _), n, count in zip(pads, size, g.shape[1:3])
  ]
  edges = [(0, 0), *(axis.edges for axis in axes), (0, 0)]
  winner = jnp.pad(winner, edges, constant_values=-2)
  g = jnp.pad(g, edges)
  total = 0
  for (i, rows_of), (j, columns_of) in itertools.product(
    *(axis.taps.items() for axis in axes)
  ):
    tap = rows_of[:, None, None, None] * window + columns_of[:, None]
    tap = np.where(
      (rows_of[:, None, None, None] < 0) | (columns_of[:, None] < 0), -1, tap
    )
    (top, height), (left, width) = (
      (axis.edges[0] + d, axis.count) for axis, d in zip(axes, (i, j))
    )
    at = np.s_[:, top : top + height, None, left : left + width, None]
    total += jnp.where(winner[at] == tap.astype(np.int8), g[at], 0)
  whole = total.reshape(
    g.shape[0], *(stride * axis.count for axis in axes), g.shape[-1]
  )
  return (whole[:, : size[0], : size[1]],)


class _Axis(NamedTuple):
  """Which windows reach the pixels `stride * n + u`, n < count, of an axis.

  Attributes:
    count: Number of strides in the axis.
    taps: By d, for windows n + d: int[stride], the tap that reads pixel
      `stride * n + u`, or -1.
    edges: Windows that are missing before the first and after the last.
  """

  count: int
  taps: dict[int, np.ndarray]
  edges: tuple[int, int]


def _windows_at(window, stride, rate, before, size, windows) -> _Axis:
  count = -(-size // stride)
  taps = {}
  reach = rate * (window - 1)
  for d in range((before - reach) // stride, (stride + before) // stride + 1):
    tap, rest = np.divmod(np.arange(stride) + before - stride * d, rate)
    tap = np.where((rest == 0) & (tap >= 0) & (tap < window), tap, -1)
    if (tap >= 0).any():
      taps[d] = tap
  low, high = max(-min(taps), 0), max(count + max(taps) - windows, 0)
  return _Axis(count, taps, (low, high))


_largest.defvjp(_largest_forward, _largest_backward)


def average_pool(x: jax.Array, *, window: int = 3) -> jax.Array:
  """Mean of a square window at stride 1, zeros beyond the picture counted.

  Caffe's average pooling with padding, as in LargeFOV.

  Args:
    x: `[B, H, W, C]`.
    window: Side of the window, odd.

  Returns:
    `[B, H, W, C]`, added up in at least float32.
  """
  reach = window // 2
  wide = jnp.promote_types(x.dtype, jnp.float32)

  def op(y, pad):
    y = jnp.pad(y, ((0, 0), pad, (reach, reach), (0, 0)))
    return _window_sum(y, (window, window))

  total = rows.sliding(op, x.astype(wide), reach=reach, stride=1)
  return (total / window**2).astype(x.dtype)


def window_average(x: jax.Array, window: tuple[int, int]) -> jax.Array:
  """Mean of every whole window at stride 1.

  Args:
    x: `[B, H, W, C]`.
    window: (height, width); cut to the picture where that is smaller.

  Returns:
    `[B, H - height + 1, W - width + 1, C]`, added up in at least float32.
  """
  window = tuple(min(w, n) for w, n in zip(window, x.shape[1:3]))
  wide = jnp.promote_types(x.dtype, jnp.float32)
  total = _window_sum(x.astype(wide), window)
  return (total / np.prod(window)).astype(x.dtype)


def _window_sum(x, window):
  """Row sums, then column sums: `height + width` additions a pixel."""
  for axis, size in ((1, window[0]), (2, window[1])):
    shape = [1] * x.ndim
    shape[axis] = size
    x = lax.reduce_window(
      x, np.zeros((), x.dtype), lax.add, tuple(shape), (1,) * x.ndim, 'VALID'
    )
  return x


def global_average(x: jax.Array) -> jax.Array:
  """Mean over the picture, added up in at least float32.

  Args:
    x: `[B, H, W, C]`.

  Returns:
    `[B, 1, 1, C]` in the dtype of `x`.
  """
  wide = jnp.promote_types(x.dtype, jnp.float32)
  return jnp.mean(x, axis=(1, 2), keepdims=True, dtype=wide).astype(x.dtype)
