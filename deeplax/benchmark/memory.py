"""How much of the device's memory a compiled step takes."""

from typing import Any

import jax


def peak(compiled: Any) -> dict[str, Any]:
  """`peak_memory_mib`, and in `peak_memory_is` what that is.

  The allocator's peak so far where the device keeps count, which has to be
  asked before anything else runs; else what the compiler planned.

  Args:
    compiled: Of `jax.jit(f).lower(...).compile()`.
  """
  stats = jax.local_devices()[0].memory_stats() or {}
  if 'peak_bytes_in_use' in stats:
    return _found(
      stats['peak_bytes_in_use'],
      "of the device's allocator (memory_stats) after the warm-up",
    )
  plan = compiled.memory_analysis()
  if plan is None:
    return {'peak_memory_mib': None, 'peak_memory_is': 'not told by the device'}
  # What was donated is written over, and not there twice.
  total = (
    plan.argument_size_in_bytes
    + plan.output_size_in_bytes
    - plan.alias_size_in_bytes
    + plan.temp_size_in_bytes
  )
  return _found(
    total,
    'planned by the compiler (memory_analysis): arguments, results, scratch',
  )


def _found(size: int, what: str) -> dict[str, Any]:
  return {'peak_memory_mib': round(size / 2**20, 1), 'peak_memory_is': what}
