"""How the tests here run a network, and compare."""

import functools

import jax
import numpy as np

TOLERANCE = 1e-4


def error(found, expected) -> float:
  """Largest difference, as a part of the largest value expected."""
  found, expected = np.asarray(found), np.asarray(expected)
  assert found.shape == expected.shape
  scale = np.abs(expected).max()
  assert np.isfinite(scale) and scale > 0
  return float(np.abs(found - expected).max() / scale)


def check(what: str, found, expected, tolerance: float = TOLERANCE):
  """Fails if `found` is further from `expected`."""
  worst = error(found, expected)
  print(f'{what}: {worst:.1e}')  # shown by pytest -rP
  assert worst <= tolerance, what


def apply(model, variables, image):
  """Logits and endpoints of `model`, compiled quickly: it is run but once."""
  run = jax.jit(
    functools.partial(model.apply, train=False),
    compiler_options={
      'xla_backend_optimization_level': 0,
      'xla_llvm_disable_expensive_passes': True,
    },
  )
  return run(variables, image)
