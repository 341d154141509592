"""Whether the network is right as often as it says: calibration.

Guo et al., On Calibration of Modern Neural Networks, ICML 2017. The confidence
of a pixel is the probability of its prediction, the largest of the softmax.
Labelled pixels are put into 15 bins of equal width, bin b taking those in
(b / 15, (b + 1) / 15], and the expected calibration error is

    ECE = sum over b of n_b / n * |accuracy_b - mean confidence_b|.
"""

import numpy as np

from deeplax import metrics

BINS = 15
# Confidences are summed as multiples of it, which is exact in any order; an
# ulp of a float32 below 1.
_UNIT = 2.0**-24


def count(
  label: np.ndarray, pred: np.ndarray, confidence: np.ndarray, num_classes: int
) -> np.ndarray:
  """Sums over the labelled pixels of a picture.

  Args:
    label: uint8[H, W], 255 = void.
    pred: uint8[H, W].
    confidence: float[H, W], 0..1, or NaN.
    num_classes: G, classes of the truth.

  Returns:
    int64[BINS + 1, 3]: pixels, right ones, confidence in units of 2^-24. The
    last row is for pixels whose confidence is no number.
  """
  inside = label < num_classes
  p = confidence[inside].astype(np.float64)
  right = (label == pred)[inside]
  known = ~np.isnan(p)
  p = np.where(known, p, 1)
  index = np.maximum(np.ceil(p * BINS).astype(np.int32) - 1, 0)
  index = np.where(known, index, BINS)
  units = np.rint(p / _UNIT)
  columns = [
    np.bincount(index, weights, BINS + 1) for weights in (None, right, units)
  ]
  return np.stack(columns, 1).astype(np.int64)


def figures(counts: np.ndarray) -> dict[str, float | list]:
  """Of the sum of `count` over pictures.

  Returns:
    `ece` (NaN if a confidence was no number, or there was no pixel), and by
    bin `pixels`, `accuracy` and `confidence` (NaN: empty).
  """
  pixels, right, units = counts[:-1].T
  accuracy = metrics.ratio(right, pixels)
  confidence = metrics.ratio(units * _UNIT, pixels)
  gap = np.where(pixels > 0, np.abs(accuracy - confidence), 0)
  ece = float(metrics.ratio(np.sum(pixels * gap), pixels.sum()))
  return {
    'ece': ece if not counts[-1, 0] else float('nan'),
    'pixels': pixels.tolist(),
    'accuracy': accuracy.tolist(),
    'confidence': confidence.tolist(),
  }
