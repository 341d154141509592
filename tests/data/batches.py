"""Batches side by side."""

import numpy as np


def assert_equal(batches, others):
  assert len(batches) == len(others)
  for one, other in zip(batches, others):
    assert one.keys() == other.keys()
    for key in one:
      np.testing.assert_array_equal(one[key], other[key])
