"""Calibration, against a loop over pixels."""

import math

import by_hand
import numpy as np
import pytest

from deeplax.measures import calibration


def picture(seed):
  rng = np.random.default_rng(seed)
  label = by_hand.labels(seed, (20, 30), 3)
  pred = by_hand.labels(seed + 5, (20, 30), 3, void=False)
  return label, pred, rng.random((20, 30), np.float32) ** 0.3


def test_figures():
  bins = [[] for _ in range(15)]
  counts = 0
  for seed in range(3):
    label, pred, confidence = picture(seed)
    counts += calibration.count(label, pred, confidence, 3)
    for t, p, q in zip(label.ravel(), pred.ravel(), confidence.ravel()):
      if t != 255:
        b = next(b for b in range(15) if q <= (b + 1) / 15)
        bins[b].append((float(q), t == p))
  total = sum(map(len, bins))
  ece = 0
  found = calibration.figures(counts)
  for b, pixels in enumerate(bins):
    assert found['pixels'][b] == len(pixels)
    if not pixels:
      assert math.isnan(found['accuracy'][b])
      continue
    said, right = np.mean(pixels, axis=0)
    assert found['confidence'][b] == pytest.approx(said, abs=1e-7)
    assert found['accuracy'][b] == pytest.approx(right, abs=1e-12)
    ece += len(pixels) / total * abs(said - right)
  assert found['ece'] == pytest.approx(ece, abs=1e-7)
  assert ece > 0.1


def test_the_ends_of_the_bins():
  label = np.zeros((1, 4), np.uint8)
  confidence = np.array([[1, 1 / 3, 0, np.nextafter(1 / 3, 1)]])
  counts = calibration.count(label, label, confidence, 1)
  assert np.flatnonzero(counts[:, 0]).tolist() == [0, 4, 5, 14]
  assert counts[14].tolist() == [1, 1, 2**24]


def test_certain_and_right_is_calibrated():
  label = by_hand.labels(0, (9, 9), 2)
  counts = calibration.count(label, label, np.ones((9, 9), np.float32), 2)
  assert calibration.figures(counts)['ece'] == 0


def test_a_confidence_that_is_no_number_is_not_hidden():
  label, pred, confidence = picture(0)
  confidence[label == 255] = np.nan  # does not count
  counts = calibration.count(label, pred, confidence, 3)
  assert calibration.figures(counts)['ece'] > 0
  confidence[label == 1] = np.nan
  counts = calibration.count(label, pred, confidence, 3)
  assert counts[-1, 0] == (label == 1).sum()
  assert counts[:, 0].sum() == (label != 255).sum()
  assert math.isnan(calibration.figures(counts)['ece'])


def test_no_pixel_no_figure():
  found = calibration.figures(np.zeros((16, 3), np.int64))
  assert math.isnan(found['ece'])
