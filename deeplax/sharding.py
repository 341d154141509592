"""Where arrays live: a mesh of data x spatial, batches split, state copied."""

from collections.abc import Sequence

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
    ValueError: If the axes do not use up the devices.
  """
  devices = jax.devices() if devices is None else list(devices)
  if spatial < 1 or len(devices) % spatial:
    raise ValueError(
      f'mesh.spatial (={spatial}) must divide the number of devices '
      f'(={len(devices)}).'
    )
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


def put_batch(batch: dict[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
  """Puts this process's share of a batch on its devices, as global arrays."""
  return {
    name: jax.make_array_from_process_local_data(
      batch_sharding(mesh, np.ndim(value)), value
    )
    for name, value in batch.items()
  }


def put_replicated(tree, mesh: Mesh):
  """Puts a tree of host arrays on every device of the mesh."""
  return jax.tree.map(
    lambda x: jax.make_array_from_process_local_data(replicated(mesh), x),
    jax.tree.map(np.asarray, tree),
  )
