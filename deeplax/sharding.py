"""Where arrays live: a mesh of data x spatial, batches split, state copied.

Rows that can't be shared out evenly are filled up when a batch is put on its
devices, as a `Filled` array, and cut off again (`cut`) as the first thing that
is compiled: the network sees the picture that there is, and the last device
has fewer rows of it.
"""

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


def make_mesh(
  data: int = -1,
  spatial: int = 1,
  devices: Sequence[jax.Device] | None = None,
) -> Mesh:
  """Returns a mesh with the axes `('data', 'spatial')`.

  Args:
    data: Devices over which the pictures of a batch are split; -1 takes all
      that `spatial` leaves.
    spatial: Devices over which the rows of one picture are split.
    devices: Default: all devices of the job.

  Raises:
    ValueError: If the axes do not use up the devices, or the rows of a picture
      would lie in several processes: each reads whole pictures.
  """
  devices = jax.devices() if devices is None else list(devices)
  if spatial < 1 or len(devices) % spatial:
    raise ValueError(
      f'mesh.spatial (={spatial}) must divide the number of devices '
      f'(={len(devices)}).'
    )
  of_process = collections.Counter(d.process_index for d in devices)
  if any(count % spatial for count in of_process.values()):
    raise ValueError(
      f'mesh.spatial (={spatial}) must divide the number of devices of every '
      f'process: there are {sorted(of_process.values())}. Rows of one picture '
      'lie on devices of one process, which reads it.'
    )
  devices = sorted(devices, key=lambda d: d.process_index)  # stable
  if data == -1:
    data = len(devices) // spatial
  if data < 1 or data * spatial > len(devices):
    raise ValueError(
      f'mesh.data (={data}) x mesh.spatial (={spatial}) needs '
      f'{data * spatial} devices; there are {len(devices)}. Use '
      'mesh.data=-1 to take what is there.'
    )
  grid = np.array(devices[: data * spatial]).reshape(data, spatial)
  # Explicit axes (the default of jax.make_mesh) reject the reductions of a
  # confusion matrix; Auto leaves the layout of intermediates to XLA.
  return Mesh(grid, ('data', 'spatial'), axis_types=(AxisType.Auto,) * 2)


def replicated(mesh: Mesh) -> NamedSharding:
  """The whole array on every device: parameters, optimiser state."""
  return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh, ndim: int = 4) -> NamedSharding:
  """Pictures over `data`; their rows, where there are any, over `spatial`."""
  spec = ('data', 'spatial') if ndim >= 3 else ('data',)
  return NamedSharding(mesh, PartitionSpec(*spec))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Filled:
  """An array with more rows than there are, so that devices have as many each.

  Attributes:
    array: `[B, H, ...]`.
    height: Its rows that count, the first ones.
  """

  array: jax.Array
  height: int = dataclasses.field(metadata=dict(static=True))


def cut(tree: Any) -> Any:
  """The tree with plain arrays for `Filled` ones; for use under `jit`."""
  return jax.tree.map(
    lambda x: x.array[:, : x.height] if isinstance(x, Filled) else x,
    tree,
    is_leaf=lambda x: isinstance(x, Filled),
  )


def put_batch(
  batch: dict[str, np.ndarray], mesh: Mesh
) -> dict[str, jax.Array | Filled]:
  """Puts this process's share of a batch on its devices, as global arrays.

  Those whose rows the mesh can't share out evenly become `Filled`.
  """

  def put(value):
    missing = _missing_rows(value.shape, mesh)
    edges = [(0, 0)] * value.ndim
    if missing:
      edges[1] = (0, missing)
      value = np.pad(value, edges)
    array = jax.make_array_from_process_local_data(
      batch_sharding(mesh, value.ndim), value
    )
    return Filled(array, array.shape[1] - missing) if missing else array

  return {name: put(np.asarray(value)) for name, value in batch.items()}


def abstract_batch(
  batch: dict[str, jax.ShapeDtypeStruct], mesh: Mesh
) -> dict[str, jax.ShapeDtypeStruct | Filled]:
  """What `put_batch` makes of arrays of these shapes, for compilation."""

  def put(value):
    shape, missing = list(value.shape), _missing_rows(value.shape, mesh)
    if missing:
      shape[1] += missing
    array = jax.ShapeDtypeStruct(
      shape, value.dtype, sharding=batch_sharding(mesh, len(shape))
    )
    return Filled(array, value.shape[1]) if missing else array

  return {name: put(value) for name, value in batch.items()}


def _missing_rows(shape: Sequence[int], mesh: Mesh) -> int:
  return -shape[1] % mesh.shape['spatial'] if len(shape) >= 3 else 0


def put_replicated(tree, mesh: Mesh):
  """Puts a tree of host arrays on every device of the mesh."""
  return jax.tree.map(
    lambda x: jax.make_array_from_process_local_data(replicated(mesh), x),
    jax.tree.map(np.asarray, tree),
  )
