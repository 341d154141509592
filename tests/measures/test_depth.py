"""IoU by distance, against a loop over pixels."""

import by_hand
import numpy as np
import pytest

from deeplax import metrics
from deeplax.measures import depth


def test_bands():
  camera = (0.2, 1000.0)
  rng = np.random.default_rng(0)
  label = by_hand.labels(0, (30, 40), 3)
  pred = by_hand.labels(1, (30, 40), 4, void=False)
  disparity = rng.choice([np.nan, 0, 1, 2.5, 4, 7, 10, 15, 30], (30, 40))
  counts = depth.count(label, pred, disparity.astype('f4'), camera, 3, 4)
  want = np.zeros((5, 3, 4), int)
  for t, p, d in zip(label.ravel(), pred.ravel(), disparity.ravel()):
    if t == 255 or np.isnan(d):
      continue
    metres = 200 / d if d else np.inf
    band = sum(metres >= edge for edge in (10, 20, 40, 80))
    want[band, t, p] += 1
  np.testing.assert_array_equal(counts, want)
  assert (want.sum((1, 2)) > 0).all()
  found = depth.figures(counts)
  assert found['from'] == [0, 10, 20, 40, 80]
  assert found['to'] == [10, 20, 40, 80, None]
  assert found['pixels'] == want.sum((1, 2)).tolist()
  for b in range(5):
    iou = metrics.class_iou(want[b])
    np.testing.assert_array_equal(found['iou'][b], iou)
    assert found['miou'][b] == pytest.approx(np.nanmean(iou))


def test_the_ends_of_the_bands():
  # 10 m and 80 m are the beginnings of their bands, and infinity is far.
  disparity = np.array([[20, 20.01, 2.5, 2.501, 0]])
  label = np.zeros((1, 5), np.uint8)
  counts = depth.count(label, label, disparity, (0.2, 1000.0), 1, 1)
  assert counts.ravel().tolist() == [1, 1, 0, 1, 2]


def test_nothing_measured_no_figures():
  label = np.zeros((2, 2), np.uint8)
  nothing = np.full((2, 2), np.nan, np.float32)
  counts = depth.count(label, label, nothing, depth.DEFAULT_CAMERA, 2, 2)
  assert depth.figures(counts) is None


def test_the_default_camera_is_that_of_cityscapes():
  # 473.6 m by 1 px of disparity.
  assert np.prod(depth.DEFAULT_CAMERA) == pytest.approx(473.55, abs=0.1)
