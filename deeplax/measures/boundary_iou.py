"""Boundary IoU: how well the contours of each class agree.

Cheng et al., Boundary IoU, CVPR 2021 (arXiv:2103.16562). For a class with the
masks G of the truth and P of the prediction, G_d and P_d are what of each lies
within d pixels of its own contour (what d erosions with 3 x 3 take away), and

    IoU = |G_d and P_d| / |G_d or P_d|,   d = 2 % of the picture's diagonal,

at least 1. Of a mask that the picture's border cuts, the border is a contour,
as theirs is. Counted over the whole split, and divided once. Void pixels of the
truth are void in the prediction, too, so that a right prediction scores 1; they
count nowhere.
"""

import math

import numpy as np

from deeplax import metrics
from deeplax.data.info import IGNORE_LABEL
from deeplax.measures import contours

RATIO = 0.02


def reach(height: int, width: int) -> int:
  """d, in pixels."""
  return max(round(RATIO * math.hypot(height, width)), 1)


def count(label: np.ndarray, pred: np.ndarray, num_classes: int) -> np.ndarray:
  """Pixels of a picture: int64[3, G] of G_d, of P_d, and of both.

  Args:
    label: uint8[H, W], 255 = void, without what was padded.
    pred: uint8[H, W]; classes from G on have no truth, and no contour counts.
    num_classes: G.
  """
  d = reach(*label.shape)
  pred = np.where(label == IGNORE_LABEL, np.uint8(IGNORE_LABEL), pred)
  near = [contours.distance(x, border=IGNORE_LABEL) <= d for x in (label, pred)]
  both = near[0] & near[1] & (label == pred)
  return np.stack(
    [
      np.bincount(x[mask], minlength=256)[:num_classes]
      for x, mask in ((label, near[0]), (pred, near[1]), (label, both))
    ]
  )


def figures(counts: np.ndarray) -> dict[str, float | list[float]]:
  """Of the sum of `count`: `ratio`, `iou` by class (NaN: none) and `miou`."""
  truth, predicted, both = counts
  iou = metrics.ratio(both, truth + predicted - both)
  return {'ratio': RATIO, 'miou': metrics.mean(iou), 'iou': iou.tolist()}
