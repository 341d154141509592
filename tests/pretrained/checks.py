"""How the tests here compare; numpy only."""

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
