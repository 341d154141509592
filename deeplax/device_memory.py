"""How much memory a training step may take on a device."""

import os
import pathlib

import jax

# The rest is for other batches, evaluation and what fragments.
_OF_DEVICE = 0.9
# On a CPU also for the workers, the pictures they read, and other programs.
_OF_HOST = 0.6
_CGROUPS = (
  '/sys/fs/cgroup/memory.max',
  '/sys/fs/cgroup/memory/memory.limit_in_bytes',
)


def for_a_step(mesh: jax.sharding.Mesh) -> int | None:
  """Bytes on each device of a mesh, or None where the device does not tell.

  Of an accelerator nine tenths of what its allocator may have; of a host's
  memory, or of its container's, six tenths, shared by its CPU devices.
  """
  devices = mesh.local_devices
  if devices[0].platform == 'cpu':
    return int(_OF_HOST * of_host() / len(devices))
  limits = [(d.memory_stats() or {}).get('bytes_limit') for d in devices]
  return None if None in limits else int(_OF_DEVICE * min(limits))


def of_host() -> int:
  """Bytes of memory of this machine, or of the container if that has less."""
  found = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
  for path in map(pathlib.Path, _CGROUPS):
    text = path.read_text().strip() if path.is_file() else 'max'
    if text.isdigit():
      found = min(found, int(text))
  return found
