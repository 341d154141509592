"""Work on upsampled maps tile by tile: the whole of one never exists.

Scores for every pixel are small at the network's stride and large at the
picture's size: 19 classes at 1024 x 2048 take 160 MB. Whoever wants of them
only labels, sums or a gradient at the network's stride needs no more than a
tile at a time, which stays in the processor's cache.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from deeplax.ops.resize import Grid
from deeplax.ops.rows import BATCH, ROWS

# Axes of a tile of scores.
PICTURES, CLASSES = 1, 2
# Bytes of a tile. On 2 CPU cores 0.3 to 2 MB are equally fast and both less and
# more are slower. An accelerator wants enough work in each of its many short
# kernels; its number is nobody's measurement yet.
_BYTES = {'cpu': 2**20}
_BYTES_ELSEWHERE = 2**25
# The products below cost in proportion to it.
_LONGEST_SIDE = 128


class Tiled(NamedTuple):
  """What `map_tiles` puts together: trees of arrays.

  Attributes:
    maps: `[B, H, W]`.
    sums: `[B, ...]`.
    gradient: `[B, h, w, K]`, or None.
  """

  maps: Any
  sums: Any = ()
  gradient: jax.Array | None = None


def is_enlarged(size: Sequence[int], larger: Sequence[int]) -> bool:
  """Whether tiles are less than what there is: no side shrinks, one grows."""
  return tuple(size) != tuple(larger) and all(
    a <= b for a, b in zip(size, larger)
  )


def map_tiles(
  fn: Callable[..., Tiled],
  logits: jax.Array,
  *pixels: jax.Array,
  grid: Grid,
  size: tuple[int, int] | None = None,
  fill: int = 0,
  with_gradient: bool = False,
) -> Tiled:
  """Applies `fn` to tiles of `grid.resize(logits, size)`.

  `fn(x, *pixels)` takes a tile `[R, P, K, T]` of the upsampled scores (R rows
  and T columns of P pictures, the classes beside the columns because the
  innermost dimension should be long) and the same tile `[R, P, T]` of every
  array of `pixels`. It gives a `Tiled` of `maps` `[R, P, T]`, put together;
  `sums` `[P, ...]` over its pixels, added up; and as `gradient` the cotangent
  of x, which is brought back to the size of the logits. Tiles at the edges
  reach beyond the picture: pixels there are `fill`, and `fn` must give them
  neither sum nor gradient.

  On a mesh every device works on its own pictures (where they can be shared out
  evenly; else on all) and its own rows, for which it gets the logits of these
  pictures whole: they are the small side.

  Args:
    fn: As above; it may close over constants alone.
    logits: `float[B, h, w, K]`; narrow types are widened to float32.
    *pixels: `[B, H, W]`.
    grid: Where pixels lie.
    size: (H, W), neither smaller than h and w; default: that of the pixels.
    fill: What `pixels` are beyond the picture.
    with_gradient: Whether `fn` gives one.
  """
  size = pixels[0].shape[1:] if size is None else tuple(size)
  mesh = jax.typeof(logits).sharding.mesh
  devices = dict(mesh.shape)
  if AxisType.Manual in mesh.axis_types:
    devices = {}

  parts, pictures = devices.get(ROWS, 1), devices.get(BATCH, 1)
  batch = BATCH if logits.shape[0] % pictures == 0 and pictures > 1 else None
  rows = ROWS if parts > 1 else None
  # The last part may reach beyond the picture, as tiles may.
  missing = ((0, 0), (0, -size[0] % parts), (0, 0))
  pixels = [jnp.pad(x, missing, constant_values=fill) for x in pixels]

  def on_one_device(logits, *pixels):
    part = lax.axis_index(ROWS) if rows else 0
    out = _map_tiles(
      fn, logits, size, pixels, grid, fill, with_gradient, part, parts
    )
    if rows is None:
      return out
    return out._replace(
      sums=lax.psum(out.sums, ROWS), gradient=lax.psum(out.gradient, ROWS)
    )

  if math.prod(devices.values()) == 1:
    return on_one_device(logits, *pixels)
  out = jax.shard_map(
    on_one_device,
    mesh=mesh,
    in_specs=(P(batch), *(P(batch, rows) for _ in pixels)),
    out_specs=Tiled(P(batch, rows), P(batch), P(batch)),
    # A loop's first gradient is the same on every device, the next is not.
    check_vma=False,
  )(logits, *pixels)
  return out._replace(maps=jax.tree.map(lambda x: x[:, : size[0]], out.maps))


def _map_tiles(
  fn, logits, size, pixels, grid, fill, with_gradient, part, parts
):
  """`map_tiles` on one device: its pictures, and rows of one of the parts."""
  batch, height, width, classes = logits.shape
  dtype = jnp.promote_types(logits.dtype, jnp.float32)
  local = (batch, -(-size[0] // parts), size[1])
  group, side = _tile(local, classes * dtype.itemsize)
  down = _axis(height, size[0], grid, side, dtype, parts)
  across = _axis(width, size[1], grid, side, dtype)
  layout = (batch // group, group, down.count, down.length)
  layout += (across.count, across.length)
  small = jnp.transpose(logits, (1, 0, 3, 2)).astype(dtype)
  window = (down.reach, group, classes, across.reach)

  def body(gradient, xs):
    i, pixels = xs
    picture = i // (down.count * across.count) * group
    row = part * down.count + i // across.count % down.count
    column = i % across.count
    zero = jnp.int32(0)  # a 0 is int64 where x64 is on
    at = (down.start[row], picture, zero, across.start[column])

    def upsample(x):
      # Products with small matrices: no gather, and the gradient is the
      # product with the transposed. No TF32 or bfloat16 passes.
      options = dict(precision=lax.Precision.HIGHEST)
      x = jnp.einsum('spkw,tw->spkt', x, across.matrix[column], **options)
      return jnp.einsum('rs,spkt->rpkt', down.matrix[row], x, **options)

    x = lax.dynamic_slice(small, at, window)
    if not with_gradient:
      out = fn(upsample(x), *pixels)
      return gradient, (out.maps, out.sums)
    x, back = jax.vjp(upsample, x)
    out = fn(x, *pixels)
    new = lax.dynamic_slice(gradient, at, window) + back(out.gradient)[0]
    gradient = lax.dynamic_update_slice(gradient, new, at)
    return gradient, (out.maps, out.sums)

  tiles = batch // group * down.count * across.count
  gradient, (maps, sums) = lax.scan(
    body,
    jnp.zeros_like(small) if with_gradient else None,
    (
      jnp.arange(tiles, dtype=jnp.int32),
      tuple(_split(x, layout, fill) for x in pixels),
    ),
  )
  if with_gradient:
    gradient = jnp.transpose(gradient, (1, 0, 3, 2)).astype(logits.dtype)
  return Tiled(
    jax.tree.map(lambda x: _join(x, layout, local), maps),
    jax.tree.map(lambda x: _add(x, layout), sums),
    gradient,
  )


def _tile(shape: tuple[int, ...], pixel_bytes: int) -> tuple[int, int]:
  """Pictures of a tile, a divisor of the batch, and its longest side."""
  batch, height, width = shape
  room = _BYTES.get(jax.default_backend(), _BYTES_ELSEWHERE) // pixel_bytes
  side = _LONGEST_SIDE
  while side > 1 and side * side > room:
    side //= 2
  fitting = max(room // (min(side, height) * min(side, width)), 1)
  return max(n for n in range(1, fitting + 1) if batch % n == 0), side


class _Axis(NamedTuple):
  """One axis in tiles.

  Attributes:
    count, length: Tiles of each part, and their output pixels.
    reach: Input pixels that a tile reads.
    start: int32[parts * count], the first of them.
    matrix: float[parts * count, length, reach], their weights.
  """

  count: int
  length: int
  reach: int
  start: jax.Array
  matrix: jax.Array


def _axis(size_in, size_out, grid, side, dtype, parts=1) -> _Axis:
  """Cuts each of the parts of an axis evenly into tiles of at most `side`."""
  low, high, weight = (
    np.pad(x, (0, -size_out % parts), mode='edge').reshape(parts, -1)
    for x in grid.neighbours(size_in, size_out)
  )
  count = -(-low.shape[1] // side)
  length = -(-low.shape[1] // count)
  # What is beyond the end repeats the last pixel, and is cut off again.
  pad = ((0, 0), (0, count * length - low.shape[1]))
  low, high, weight = (
    np.pad(x, pad, mode='edge').reshape(-1, length) for x in (low, high, weight)
  )
  reach = int((high.max(1) - low.min(1)).max()) + 1
  start = np.minimum(low.min(1), size_in - reach)
  matrix = np.zeros((*low.shape, reach))
  tile, pixel = np.indices(low.shape)
  np.add.at(matrix, (tile, pixel, low - start[:, None]), 1 - weight)
  np.add.at(matrix, (tile, pixel, high - start[:, None]), weight)
  return _Axis(
    count,
    length,
    reach,
    jnp.asarray(start, jnp.int32),
    jnp.asarray(matrix, dtype),
  )


def _split(x: jax.Array, layout: tuple[int, ...], fill: int) -> jax.Array:
  """`[B, H, W]` to `[tiles, R, P, T]`."""
  _, group, down, rows, across, columns = layout
  pad = (down * rows - x.shape[1], across * columns - x.shape[2])
  x = jnp.pad(x, ((0, 0), (0, pad[0]), (0, pad[1])), constant_values=fill)
  x = x.reshape(layout).transpose(0, 2, 4, 3, 1, 5)
  return x.reshape(-1, rows, group, columns)


def _join(
  x: jax.Array, layout: tuple[int, ...], shape: tuple[int, ...]
) -> jax.Array:
  """`[tiles, R, P, T]` to `[B, H, W]`, the padding cut off."""
  groups, group, down, rows, across, columns = layout
  x = x.reshape(groups, down, across, rows, group, columns)
  x = x.transpose(0, 4, 1, 3, 2, 5)
  x = x.reshape(groups * group, down * rows, across * columns)
  return x[:, : shape[1], : shape[2]]


def _add(x: jax.Array, layout: tuple[int, ...]) -> jax.Array:
  """`[tiles, P, ...]` to the sums of each picture, `[B, ...]`."""
  groups, group = layout[:2]
  x = jnp.sum(x.reshape(groups, -1, *x.shape[1:]), axis=1)
  return x.reshape(groups * group, *x.shape[2:])
