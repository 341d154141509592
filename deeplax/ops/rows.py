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

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType
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

  Row i of the result of `op` depends on the `2 * reach + 1` rows of `x` from
  `stride * i` on, once `pad` = (above, below) rows of `fill` have been added,
  which is `op`'s to do. On a mesh whose axis `spatial` has more than one
  device, each device applies `op` to its own rows, with those within reach
  fetched from its neighbours, as many devices away as need be, and no `pad`.
  Where rows are no multiple of devices and stride, the last device gets fewer:
  rows of `fill` stand in for what is missing and are cut off again.

  The mesh is that of `x`'s type: arrays that were put on a mesh pass it on to
  all that is computed from them under `jit`.

  Args:
    op: As above; treats pictures of a batch separately.
    x: `[B, H, W, C]`.
    *weights: Arrays that every device has whole.
    reach: Rows that a window covers above and below its centre.
    stride: Rows between centres.
    fill: What lies beyond the picture.
    pad: Rows of `fill` above and below; default: `reach` each.

  Returns:
    `[B, ceil(H / stride), ...]`.
  """
  pad = (reach, reach) if pad is None else pad
  devices = devices_of(x)
  if devices == 1 or (reach == 0 and stride == 1):
    return op(x, *weights, pad)
  above, below = pad[0], max(2 * reach + 1 - stride - pad[0], 0)

  def on_one_device(x, *weights):
    return op(
      _with_neighbours(x, devices, above, below, fill), *weights, (0, 0)
    )

  height = x.shape[1]
  y = _over_devices(
    on_one_device, _filled(x, devices * stride, fill), weights=weights
  )
  return y[:, : -(-height // stride)]


def reading(
  op: Callable[..., jax.Array],
  x: jax.Array,
  first: np.ndarray,
  last: np.ndarray,
  *others: np.ndarray,
) -> jax.Array:
  """Applies `op(x, first, last, *others)`, whose rows read two rows of `x`.

  On a mesh as of `sliding` each device gets the part of the arrays that
  concerns its rows of the result, and the rows of `x` that are read there.

  Args:
    op: `[B, h, W, C]` and three arrays `[n]` or more give `[B, n, W, C]`.
    x: `[B, H, W, C]`.
    first, last: int32[N], which row 0..H-1 of `x` each row of the result reads
      first and last.
    *others: `[N]`, of each row of the result.

  Returns:
    `[B, N, W, C]`.
  """
  devices = devices_of(x)
  if devices == 1:
    return op(x, first, last, *others)
  x = _filled(x, devices, 0)
  height, count = x.shape[1] // devices, len(first)
  # Rows of the result that do not exist read what the last one does.
  first, last, *others = (
    np.pad(table, (0, -count % devices), mode='edge')
    for table in (first, last, *others)
  )
  own = np.repeat(np.arange(devices) * height, len(first) // devices)
  above = max(int((own - first).max()), 0)
  below = max(int((last - own).max()) - height + 1, 0)
  first, last = (
    rows - own.astype(rows.dtype) + above for rows in (first, last)
  )

  def on_one_device(x, *tables):
    return op(_with_neighbours(x, devices, above, below, 0), *tables)

  y = _over_devices(on_one_device, x, tables=(first, last, *others))
  return y[:, :count]


def _over_devices(
  op: Callable[..., jax.Array],
  x: jax.Array,
  *,
  tables: Sequence[np.ndarray] = (),
  weights: Sequence[jax.Array] = (),
) -> jax.Array:
  """Each device applies `op` to its rows of x and tables, and all weights."""
  mesh = jax.typeof(x).sharding.mesh
  pictures = dict(mesh.shape).get(BATCH, 1)
  batch = BATCH if x.shape[0] % pictures == 0 and pictures > 1 else None
  axes = (batch, ROWS) if batch else (ROWS,)

  def on_one_device(x, tables, weights):
    # The same everywhere, but not so their gradients until they are summed.
    weights = [lax.pcast(w, axes, to='varying') for w in weights]
    if batch:
      tables = [lax.pcast(table, BATCH, to='varying') for table in tables]
    return op(x, *tables, *weights)

  return jax.shard_map(
    on_one_device,
    mesh=mesh,
    in_specs=(P(batch, ROWS), P(ROWS), P()),
    out_specs=P(batch, ROWS),
  )(x, list(tables), list(weights))


def _filled(x: jax.Array, multiple: int, fill: float) -> jax.Array:
  """Adds rows of `fill` at the end, up to a multiple."""
  missing = -x.shape[1] % multiple
  edges = ((0, 0), (0, missing), (0, 0), (0, 0))
  return jnp.pad(x, edges, constant_values=fill) if missing else x


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
  parts, beyond = [x], []
  for need, direction in ((above, -1), (below, 1)):
    for distance in range(1, devices):
      count = min(need, x.shape[1])
      need -= count
      if count:
        rows = x[:, -count:] if direction < 0 else x[:, :count]
        part = _from_device(rows, devices, direction * distance, fill)
        parts = [part, *parts] if direction < 0 else [*parts, part]
    # As far away there is no device for anybody.
    beyond.append(need)
  if len(parts) > 1:
    x = jnp.concatenate(parts, axis=1)
  edges = ((0, 0), tuple(beyond), (0, 0), (0, 0))
  return jnp.pad(x, edges, constant_values=fill) if any(beyond) else x


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
