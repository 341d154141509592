"""The distance to another label, against looking at every pair of pixels."""

import by_hand
import numpy as np
import pytest

from deeplax.measures import contours


def brute_force(label):
  """float[H, W]; inf where there is no other label."""
  points = np.stack(np.indices(label.shape), -1).reshape(-1, 2)
  values = label.ravel()
  apart = np.abs(points[:, None] - points[None]).max(-1).astype(float)
  apart[values[:, None] == values[None]] = np.inf
  return apart.min(1).reshape(label.shape)


@pytest.mark.parametrize('size', [(17, 23), (1, 9), (30, 5)])
@pytest.mark.parametrize('seed', range(3))
def test_distance(seed, size):
  label = by_hand.labels(seed, size, 3, block=6)
  np.testing.assert_array_equal(contours.distance(label), brute_force(label))
  around = np.pad(label, 1, constant_values=255)
  np.testing.assert_array_equal(
    contours.distance(label, border=255), brute_force(around)[1:-1, 1:-1]
  )


def test_one_label_has_no_contour():
  label = np.full((5, 6), 3, np.uint8)
  assert (contours.distance(label) == contours.FAR).all()
  assert contours.distance(label, border=255).max() == 3
