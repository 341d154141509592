"""Sliding windows over pictures whose rows lie on several devices.

XLA splits a convolution over devices by itself, but not always rightly: where
it splits the rows of the *kernel* instead (small maps, large kernels), the
gradient of the input was wrong by as much as its own size, silently (jax 0.10
and 0.11, CPU), and where a window reaches beyond the neighbouring device the
compiler aborted (jax 0.10). So windows are split here, with the rows they need
from other devices exchanged by hand; what each device then computes is an
ordinary operation on an ordinary array. Everything else in a network
(elementwise, reductions, matrix products, resampling) XLA splits rightly.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

# The axes of `deeplax.sharding.make_mesh`.
BATCH = 'data'
ROWS = 'spatial'


def sliding(
  op: Callable[..., jax.Array],
  x: jax.Array,
  *weights: jax.Array,
  reach: int,
  stride: int,
  fill: float = 0.0,
  pad: tuple[int, int] | None = None,
) -> jax.Array:
  """Applies `op(x, *weights, pad)`, over devices where `x` is on several.

  Row i of the result of `op` depends on the rows `stride * i - reach` to
  `stride * i + reach` of `x`, once `pad` = (above, below) rows of `fill` have
  been added, which is `op`'s to do. On a mesh whose axis `spatial` has more
  than one device, each device applies `op` to its own rows, with those within
  reach fetched from its neighbours, as many devices away as need be, and no
  `pad`. Rows that cannot be shared out evenly before and after the stride are
  gathered, and every device of the axis computes them all.

  The mesh is that of `x`'s type: arrays that were put on a mesh pass it on to
  all that is computed from them under `jit`.

  Args:
    op: As above; treats pictures of a batch separately.
    x: `[B, H, W, C]`.
    *weights: Arrays that every device has whole.
    reach: Rows that a window covers above and below its centre.
    stride: Rows between centres.
    fill: What lies beyond the picture.
    pad: Rows of `fill` above and below, where they are not `reach` each: then
      every device computes all rows.

  Returns:
    `[B, ceil(H / stride), ...]`.
  """
  everywhere = (reach, reach) if pad is None else pad
  if reach == 0 and stride == 1:
    return op(x, *weights, everywhere)
  mesh, devices = jax.typeof(x).sharding.mesh, devices_of(x)
  if devices == 1:
    return op(x, *weights, everywhere)
  pictures = dict(mesh.shape).get(BATCH, 1)
  batch = BATCH if x.shape[0] % pictures == 0 and pictures > 1 else None
  if everywhere != (reach, reach) or x.shape[1] % (devices * stride):
    whole = NamedSharding(mesh, P(batch))
    # Before and after: both gradients are then computed on whole rows too.
    y = op(lax.with_sharding_constraint(x, whole), *weights, everywhere)
    return lax.with_sharding_constraint(y, whole)

  axes = (batch, ROWS) if batch else (ROWS,)

  def on_one_device(x, *weights):
    # The same everywhere, but not so their gradients until they are summed.
    weights = [lax.pcast(w, axes, to='varying') for w in weights]
    x = _with_neighbours(x, devices, reach, max(reach - stride + 1, 0), fill)
    return op(x, *weights, (0, 0))

  rows = P(batch, ROWS)
  return jax.shard_map(
    on_one_device,
    mesh=mesh,
    in_specs=(rows, *(P() for _ in weights)),
    out_specs=rows,
  )(x, *weights)


def devices_of(x: jax.Array) -> int:
  """Number of devices that the rows of `x` are split over; 1 inside of one."""
  mesh = jax.typeof(x).sharding.mesh
  if AxisType.Manual in mesh.axis_types:
    return 1
  return dict(mesh.shape).get(ROWS, 1)


def _with_neighbours(
  x: jax.Array, devices: int, above: int, below: int, fill: float
) -> jax.Array:
  """Adds rows of the devices before and after, `fill` beyond the ends."""
  parts = [x]
  for need, direction in ((above, -1), (below, 1)):
    distance = 0
    while need > 0:
      distance += 1
      count = min(need, x.shape[1])
      need -= count
      rows = x[:, -count:] if direction < 0 else x[:, :count]
      part = _from_device(rows, devices, direction * distance, fill)
      parts = [part, *parts] if direction < 0 else [*parts, part]
  return jnp.concatenate(parts, axis=1) if len(parts) > 1 else x


def _from_device(
  rows: jax.Array, devices: int, offset: int, fill: float
) -> jax.Array:
  """What the device `offset` further has; `fill` where there is none."""
  pairs = [(i + offset, i) for i in range(devices) if 0 <= i + offset < devices]
  received = lax.ppermute(rows, ROWS, pairs)  # 0 where nobody sends
  if fill == 0:
    return received
  source = lax.axis_index(ROWS) + offset
  exists = (source >= 0) & (source < devices)
  return jnp.where(exists, received, jnp.asarray(fill, rows.dtype))
