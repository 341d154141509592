"""3x3 kernels by Winograd's minimal filtering, F(2x2, 3x3), for a CPU.

Two neighbouring outputs of a row take four products instead of six, so that
four of a square take 16 instead of 36 (Lavin & Gray 2015). With a tile d of
four inputs, a kernel g and two outputs y,

    y = A^T ((G g) * (B^T d))

    B^T = 1  0 -1  0     G =  1   0   0     A^T = 1  1  1  0
          0  1  1  0         1/2 1/2 1/2          0  1 -1 -1
          0 -1  1  0         1/2 -1/2 1/2
          0  1  0 -1          0   0   1

in each direction: a convolution is 16 matrix products over a quarter of its
pixels. At rate r a tile takes every r-th pixel. The factors are so small that
rounding is that of the plain sum. The gradients have the same form: at x it is
a convolution with the mirrored kernel, at the kernel the products are of
`A g A^T`, g the gradient at y, and the tiles.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jax import lax

from deeplax.ops.apart import apart
from deeplax.ops.lowerings.window import Window

# Channels of input and result below which a product is no faster than reading
# and writing its tiles: with gradients, and without.
_FEWEST_CHANNELS = {True: 32, False: 128}
# Of what is computed, the most that may lie beyond the picture.
_MOST_WASTE = 0.4
# Pixels below which the kernel's transform is too large a part of the work, and
# numbers above which the tiles, four times as many, take too much memory.
_FEWEST_PIXELS = 144
_MOST_NUMBERS = 2**22
APPLIES = 'to 3x3 kernels in one group at stride 1, padded by 2 rates at most'


def applies(window: Window) -> bool:
  """Whether the kernel is 3x3, dense and not strided."""
  pads = (*window.rows, *window.columns)
  return (
    window.size == (3, 3)
    and window.groups == 1
    and window.stride == 1
    and max(pads) <= 2 * window.rate
  )


def pays(window: Window, height: int, width: int, *, train: bool) -> bool:
  """Whether it is the fastest on a CPU, as far as a rule can tell.

  Args:
    window: Any.
    height, width: Of the picture.
    train: Whether gradients will be asked for.
  """
  if not applies(window):
    return False
  if min(window.inputs, window.outputs) < _FEWEST_CHANNELS[train]:
    return False
  if height * width < _FEWEST_PIXELS:
    return False
  if height * width * max(window.inputs, window.outputs) > _MOST_NUMBERS:
    return False
  useful = 1.0
  for n, pads in ((height, window.rows), (width, window.columns)):
    count, tiles = _counts(n, pads, window.rate)
    useful *= count / (2 * window.rate * tiles)
  return useful >= 1 - _MOST_WASTE


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def lower(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
  """`[B, H, W, C]` to `[B, h, w, O]`, transformed in at least float32."""
  return _filtered(x, _matrices(kernel), window, window.out_dtype or x.dtype)


def _forward(x, kernel, window):
  return lower(x, kernel, window), (x, kernel)


def _backward(window, kept, g):
  x, kernel = kept
  reach = 2 * window.rate
  mirrored = dataclasses.replace(
    window,
    inputs=window.outputs,
    outputs=window.inputs,
    rows=tuple(reach - n for n in window.rows),
    columns=tuple(reach - n for n in window.columns),
  )
  matrices = _matrices(kernel)
  # In a mirrored kernel's, the first and the last of four change places.
  order = [4 * i + j for i in (3, 1, 2, 0) for j in (3, 1, 2, 0)]
  g_x = _filtered(
    g, [matrices[n] for n in order], mirrored, x.dtype, over_outputs=True
  )
  products = [
    _product(_transposed(tile), part)
    for tile, part in zip(_tiles(window)(x), _spread(window)(g))
  ]
  return g_x, _taps(products).astype(kernel.dtype)


lower.defvjp(_forward, _backward)


def _filtered(x, matrices, window, dtype, *, over_outputs=False):
  """The outputs of all tiles; sums over a matrix' inputs or outputs."""
  products = [
    _product(tile, matrix, int(over_outputs))
    for tile, matrix in zip(_tiles(window)(x), matrices)
  ]
  return _outputs(window, *x.shape[:3])(products).astype(dtype)


def _product(a, b, axis=0):
  """`a b`, or `a b^T` over axis 1 of b."""
  dimensions = (((1,), (axis,)), ((), ()))
  return lax.dot_general(a, b, dimensions, precision=lax.Precision.HIGHEST)


def _wide(x):
  return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _counts(size, pads, rate):
  """Outputs along an axis, and the tiles that make them at each phase."""
  count = size + sum(pads) - 2 * rate
  return count, -(-count // (2 * rate))


@functools.cache
def _tiles(window):
  @apart
  def tiles(x):
    """`B^T x B` of all tiles: 16 of `[tiles, C]`."""
    x = _wide(x)
    edges = [(0, 0)]
    for n, pads in zip(x.shape[1:3], (window.rows, window.columns)):
      _, count = _counts(n, pads, window.rate)
      edges.append((pads[0], 2 * window.rate * (count + 1) - n - pads[0]))
    x = jnp.pad(x, [*edges, (0, 0)])
    return [
      tile.reshape(-1, x.shape[-1])
      for row in _differences(_halves(x, 1, window.rate), 1)
      for tile in _differences(_halves(row, 3, window.rate), 3)
    ]

  return tiles


def _halves(x, axis, rate):
  """Takes an axis apart into `tiles, phases`: two, of first and second."""
  shape = (*x.shape[:axis], -1, 2, rate, *x.shape[axis + 1 :])
  x = x.reshape(shape)
  return [lax.index_in_dim(x, i, axis + 1, keepdims=False) for i in (0, 1)]


def _differences(halves, axis):
  """B^T: a tile's third and fourth input are the next one's first two."""
  count = halves[0].shape[axis] - 1
  (a, b), (c, d) = (
    [lax.slice_in_dim(x, i, i + count, axis=axis) for x in halves]
    for i in (0, 1)
  )
  return [a - c, b + c, c - b, b - d]


@apart
def _matrices(kernel):
  """`G kernel G^T`: 16 of `[C, O]`."""

  def expand(a, b, c):
    return [a, (a + b + c) / 2, (a - b + c) / 2, c]

  return [part for row in expand(*_wide(kernel)) for part in expand(*row)]


@functools.cache
def _outputs(window, batch, height, width):
  (height, down), (width, across) = (
    _counts(n, pads, window.rate)
    for n, pads in ((height, window.rows), (width, window.columns))
  )
  shape = batch, down, window.rate, across, window.rate, window.outputs

  @apart
  def outputs(products):
    """`A^T products A`, put together: `[B, h, w, O]`."""

    def reduce(a, b, c, d):
      return [a + b + c, b - c - d]

    products = [x.reshape(shape) for x in products]
    columns = [reduce(*products[j::4]) for j in range(4)]
    y = jnp.stack(
      [jnp.stack(reduce(*row), axis=4) for row in zip(*columns)], axis=2
    )
    whole = y.reshape(
      batch, 2 * window.rate * down, 2 * window.rate * across, -1
    )
    return whole[:, :height, :width]

  return outputs


@functools.cache
def _spread(window):
  @apart
  def spread(g):
    """`A g A^T` of all tiles: 16 of `[tiles, O]`."""

    def expand(a, b):
      return [a, a + b, a - b, -b]

    g = _wide(g)
    edges = [(0, -n % (2 * window.rate)) for n in g.shape[1:3]]
    g = jnp.pad(g, [(0, 0), *edges, (0, 0)])
    return [
      part.reshape(-1, g.shape[-1])
      for row in expand(*_halves(g, 1, window.rate))
      for part in expand(*_halves(row, 3, window.rate))
    ]

  return spread


@apart
def _transposed(x):
  return x.T


@apart
def _taps(products):
  """`G^T products G`: `[3, 3, C, O]`."""

  def reduce(a, b, c, d):
    return [a + (b + c) / 2, (b - c) / 2, (b + c) / 2 + d]

  rows = zip(*(reduce(*products[4 * i : 4 * i + 4]) for i in range(4)))
  return jnp.stack([jnp.stack(reduce(*column)) for column in rows], axis=1)
