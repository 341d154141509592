"""Boundary IoU, against the masks and erosions of its authors' definition."""

import by_hand
import numpy as np
import pytest

from deeplax.measures import boundary_iou


@pytest.mark.parametrize('void_class', [False, True])
def test_counts(void_class):
  for seed, size in enumerate([(30, 40), (60, 90), (9, 100)]):
    label = by_hand.labels(seed, size, 3, block=12)
    pred = by_hand.labels(seed, size, 3 + void_class, void=False, block=12)
    pred = np.roll(pred, 1, axis=1)
    d = boundary_iou.reach(*size)
    assert d == max(round(0.02 * np.hypot(*size)), 1)
    want = np.zeros((3, 3), int)
    for c in range(3):
      strips = []
      for mask in (label == c, (pred == c) & (label != 255)):
        strips.append(mask & ~by_hand.erode(mask, d))
      want[:, c] = *(s.sum() for s in strips), (strips[0] & strips[1]).sum()
    found = boundary_iou.count(label, pred, 3)
    np.testing.assert_array_equal(found, want)


def test_a_right_prediction_scores_1_whatever_it_says_of_void():
  label = by_hand.labels(0, (50, 60), 3, block=10)
  pred = np.where(
    label == 255, by_hand.labels(1, (50, 60), 3, void=False), label
  )
  found = boundary_iou.figures(boundary_iou.count(label, pred, 3))
  assert found['iou'] == [1, 1, 1] and found['miou'] == 1


def test_a_shift_costs_more_than_of_the_plain_iou():
  label = np.zeros((200, 200), np.uint8)
  label[50:150, 50:150] = 1
  found = boundary_iou.count(label, np.roll(label, 3, 1), 2)
  iou = boundary_iou.figures(found)['iou'][1]
  assert iou < 0.75 < 0.94 < 97 / 103


def test_a_class_that_is_nowhere_has_no_figure():
  label = np.zeros((20, 20), np.uint8)
  found = boundary_iou.figures(boundary_iou.count(label, label, 2))
  assert found['iou'][0] == 1 and np.isnan(found['iou'][1])
  assert found['miou'] == 1


def test_padding_changes_nothing():
  label = by_hand.labels(3, (40, 50), 3, block=9)
  pred = by_hand.labels(4, (40, 50), 3, void=False, block=9)
  # Of the same d, which the size of the picture decides.
  padded = [
    np.pad(x, ((0, 1), (0, 1)), constant_values=v)
    for x, v in ((label, 255), (pred, 2))
  ]
  assert boundary_iou.reach(41, 51) == boundary_iou.reach(40, 50)
  np.testing.assert_array_equal(
    boundary_iou.count(*padded, 3), boundary_iou.count(label, pred, 3)
  )
