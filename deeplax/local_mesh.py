"""The devices on which this process evaluates or predicts on its own."""

import logging

import jax
import ml_collections
from jax.sharding import Mesh

from deeplax import sharding
from deeplax.errors import RunError

log = logging.getLogger('deeplax')


def local_mesh(
  config: ml_collections.ConfigDict, spatial: int | None, *, pictures: int
) -> Mesh:
  """A mesh of this process's devices for pictures at the config's spatial.

  A run is evaluated anywhere: where there are not the devices that it was
  trained on, pictures are not split, and that is said.

  Args:
    config: Of the run.
    spatial: Devices that share the rows of a picture; None for
      `config.mesh.spatial`, or 1 where that does not divide the devices.
    pictures: No more of them at once, and no more devices than they need: the
      rest would work on padding.

  Raises:
    RunError: If a `spatial` that was asked for does not divide the devices.
  """
  devices = jax.local_devices()
  wanted = config.mesh.spatial if spatial is None else spatial
  if wanted < 1 or len(devices) % wanted:
    if spatial is not None:
      raise RunError(
        f'spatial (={spatial}) must be 1 or more and divide the number of '
        f'devices of this process (={len(devices)}).'
      )
    log.warning(
      'mesh.spatial of the run (=%d) does not divide the number of devices '
      'here (=%d): the rows of a picture are not split.',
      wanted,
      len(devices),
    )
    wanted = 1
  data = min(len(devices) // wanted, pictures)
  return sharding.make_mesh(data, wanted, devices)
