"""The trimap curve, against counting each band by itself."""

import by_hand
import numpy as np
import pytest

from deeplax import metrics
from deeplax.measures import trimap


@pytest.mark.parametrize('void_class', [False, True])
def test_bands(void_class):
  rows, columns = 3, 3 + void_class
  counts, want = 0, dict.fromkeys((1, 3, 32), 0)
  for seed in range(2):
    size = (30, 60 + seed)
    label = by_hand.labels(seed, size, rows, block=28, odd=0.001)
    pred = by_hand.labels(9 + seed, size, columns, void=False, block=5)
    counts += trimap.count(label, pred, rows, columns)
    for r in want:
      near = by_hand.near_another(label, r)
      band = np.where(near, label, by_hand.VOID)
      want[r] = want[r] + by_hand.confusion(band, pred, rows, columns)
  found = trimap.figures(counts)
  assert found['radius'] == [*range(1, 33)]
  for r, confusion in want.items():
    assert found['pixels'][r - 1] == confusion.sum()
    miou = metrics.mean(metrics.class_iou(confusion))
    assert found['miou'][r - 1] == pytest.approx(miou, abs=1e-12)
    right = np.trace(confusion) / confusion.sum()
    assert found['pixel_accuracy'][r - 1] == pytest.approx(right, abs=1e-12)
  assert len(set(found['pixels'])) > 10  # the bands do grow


def test_all_bands_and_the_rest_are_the_confusion_matrix():
  label = by_hand.labels(0, (70, 90), 4, odd=0.0)
  label[:, 40:] = 2
  pred = by_hand.labels(1, (70, 90), 4, void=False)
  counts = trimap.count(label, pred, 4, 4)
  assert counts[-1].any()
  np.testing.assert_array_equal(
    counts.sum(0), by_hand.confusion(label, pred, 4, 4)
  )


def test_void_is_a_label_and_the_border_is_none():
  label = np.zeros((20, 20), np.uint8)
  assert not trimap.count(label, label, 2, 2)[:-1].any()
  label[:, 10:] = 255
  counts = trimap.count(label, np.zeros_like(label), 2, 2)
  assert counts[:, 0, 0].tolist() == [20] * 10 + [0] * 23


def test_an_empty_band_has_no_figure():
  found = trimap.figures(np.zeros((33, 2, 2), np.int64))
  assert np.isnan(found['miou']).all() and found['pixels'] == [0] * 32
