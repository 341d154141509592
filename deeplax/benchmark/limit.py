"""What the device can do at best: one big matrix product."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

# Rows and columns: large enough for the best kernels, and still fractions of a
# second.
_CPU, _ACCELERATOR = 2048, 8192


def product(dtype: str) -> tuple[Callable[[], jax.Array], int]:
  """A function that starts one product of square matrices, and its FLOPs.

  Args:
    dtype: Of the matrices and the product; accumulated as the device likes.
  """
  device = jax.local_devices()[0]
  n = _CPU if device.platform == 'cpu' else _ACCELERATOR
  keys = jax.random.split(jax.random.key(0), 2)
  a, b = (
    jax.device_put(jax.random.normal(key, (n, n)).astype(dtype), device)
    for key in keys
  )
  compiled = jax.jit(jnp.matmul).lower(a, b).compile()
  return functools.partial(compiled, a, b), 2 * n**3
