"""IoU by distance from the camera, where the data has stereo disparity.

    depth = baseline * focal length / disparity

in metres, with disparity and focal length in pixels. Bands are 0 to 10, 10 to
20, 20 to 40, 40 to 80 metres and beyond, the lower end included; a disparity of
0 is infinitely far away. Pixels without a measurement (NaN) are in no band, so
the bands together have fewer pixels than the split.
"""

import numpy as np

from deeplax import metrics

EDGES = (10.0, 20.0, 40.0, 80.0)
BANDS = len(EDGES) + 1
# Metres and pixels of most Cityscapes cameras, for data that has no camera
# files (`camera_trainvaltest.zip`).
DEFAULT_CAMERA = (0.209313, 2262.52)


def count(
  label: np.ndarray,
  pred: np.ndarray,
  disparity: np.ndarray,
  camera: np.ndarray | tuple[float, float],
  num_rows: int,
  num_columns: int,
) -> np.ndarray:
  """Pixels of a picture by band, truth and prediction: int64[BANDS, G, K].

  Args:
    label: uint8[H, W], 255 = void.
    pred: uint8[H, W], below `num_columns`.
    disparity: float[H, W], in pixels; NaN where it was not measured.
    camera: Baseline in metres, focal length in pixels.
    num_rows: G, classes of the truth.
    num_columns: K, classes of the prediction.
  """
  shape = (BANDS, num_rows, num_columns)
  inside = (label < num_rows) & (disparity >= 0)
  baseline, focal = camera
  with np.errstate(divide='ignore'):
    depth = baseline * focal / disparity[inside].astype(np.float64)
  band = np.digitize(depth, EDGES)
  index = (band * num_rows + label[inside]) * num_columns + pred[inside]
  return np.bincount(index, minlength=np.prod(shape)).reshape(shape)


def figures(counts: np.ndarray) -> dict[str, list] | None:
  """Of the sum of `count` over pictures; None if nothing was measured.

  Returns:
    By band `from` and `to` (metres, None: no end), `pixels`, `miou`, and `iou`,
    a list by class; NaN where a band lacks a class.
  """
  if not counts.any():
    return None
  iou = [metrics.class_iou(c) for c in counts]
  return {
    'from': [0.0, *EDGES],
    'to': [*EDGES, None],
    'pixels': counts.sum((1, 2)).tolist(),
    'miou': [metrics.mean(x) for x in iou],
    'iou': [x.tolist() for x in iou],
  }
