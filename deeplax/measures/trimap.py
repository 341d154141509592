"""mIoU of the pixels close to where labels change: the trimap curve.

Kohli et al. 2009, Krähenbühl & Koltun 2011 and the DeepLab papers measure in a
narrow band around the contours of the truth how well these are met. With d of
`contours.distance` on the truth, void being a label like another,

    band(r) = {x : d(x) <= r, truth(x) is not void},

and mIoU(r) is the mean IoU over the pixels of band(r) in the whole split. Void
counts as a label because the annotators of VOC left the contours void: there
band(r) is what DeepLab V1 took, void dilated by r pixels. The picture's own
border is no contour.
"""

import numpy as np

from deeplax import metrics
from deeplax.measures import contours

# Pixels; bands of 1 to 32.
WIDEST = 32


def count(
  label: np.ndarray, pred: np.ndarray, num_rows: int, num_columns: int
) -> np.ndarray:
  """Pixels of a picture by d, truth and prediction.

  Args:
    label: uint8[H, W], 255 = void, without what was padded.
    pred: uint8[H, W], below `num_columns`.
    num_rows: G, classes of the truth.
    num_columns: K, classes of the prediction.

  Returns:
    int64[WIDEST + 1, G, K]: d = 1, ..., WIDEST, and beyond. The sum over d is
    the confusion matrix.
  """
  shape = (WIDEST + 1, num_rows, num_columns)
  inside = label < num_rows
  d = np.minimum(contours.distance(label), WIDEST + 1)[inside].astype(np.int32)
  index = ((d - 1) * num_rows + label[inside]) * num_columns + pred[inside]
  return np.bincount(index, minlength=np.prod(shape)).reshape(shape)


def figures(counts: np.ndarray) -> dict[str, list]:
  """By radius, of the sum of `count` over pictures.

  Returns:
    `radius` 1..WIDEST; `miou` and `pixel_accuracy`, NaN where the band is
    empty; `pixels` of the band.
  """
  bands = np.cumsum(counts[:-1], axis=0)
  return {
    'radius': list(range(1, WIDEST + 1)),
    'miou': [metrics.mean(metrics.class_iou(c)) for c in bands],
    'pixel_accuracy': [metrics.pixel_accuracy(c) for c in bands],
    'pixels': bands.sum((1, 2)).tolist(),
  }
