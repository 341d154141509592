"""Keeps the memory that a step has freed, for the next step on a CPU.

XLA allocates all scratch of a step as one piece and frees it at the end. The C
library gives pieces of that size back to the system at once, and the next step
begins with a page fault for every 4 KiB: on a CPU a quarter of its time.
"""

import ctypes
import importlib.metadata
import importlib.util
import os
import sys

# Of <malloc.h>.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> bool:
  """Tells the C library to keep what is freed; before JAX starts its threads.

  For glibc on Linux, where JAX computes on the CPU; elsewhere nothing is done.
  The process then stays as large as it once was.

  Returns:
    Whether it was done.
  """
  if not sys.platform.startswith('linux') or _has_accelerator():
    return False
  mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
  if mallopt is None:  # not glibc
    return False
  # One heap for all threads: those of their own can't hold large pieces.
  # -1 is never: the most that an int holds is less than large steps free.
  settings = ((_MMAP_MAX, 0), (_ARENA_MAX, 1), (_TRIM_THRESHOLD, -1))
  return all(mallopt(name, value) for name, value in settings)


def _has_accelerator() -> bool:
  """Whether JAX may find one: without asking it, which would start threads."""
  chosen = os.environ.get('JAX_PLATFORMS', '')
  if chosen:
    return chosen != 'cpu'
  packages = ('jax_plugins', 'libtpu')
  return any(map(importlib.util.find_spec, packages)) or bool(
    importlib.metadata.entry_points(group='jax_plugins')
  )
