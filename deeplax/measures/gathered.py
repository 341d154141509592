"""All measures of an evaluation: added picture by picture, divided once."""

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from deeplax.data import geometry
from deeplax.data.info import DatasetInfo
from deeplax.measures import boundary_iou, calibration, depth, trimap, worst
from deeplax.tally import sum_over_processes


class Measures:
  """Sums in int64; threads may add at the same time, in any order.

  Memory does not grow with the number of pictures.
  """

  def __init__(self, info: DatasetInfo, *, void_class: bool = False):
    """Starts with no picture.

    Args:
      info: The G classes of the truth.
      void_class: Whether the network has void as class G.
    """
    self._info = info
    classes = info.num_classes
    self._shape = classes, classes + void_class
    self._sums = {
      'trimap': np.zeros((trimap.WIDEST + 1, *self._shape), np.int64),
      'boundary': np.zeros((3, classes), np.int64),
      'calibration': np.zeros((calibration.BINS + 1, 3), np.int64),
      'distance': np.zeros((depth.BANDS, *self._shape), np.int64),
    }
    self._worst = worst.Worst()
    self._lock = threading.Lock()

  @property
  def pictures(self) -> list[worst.Picture]:
    """The worst ones, the worst first."""
    return self._worst.pictures

  def add(
    self,
    batch: Mapping[str, Any],
    i: int,
    pred: np.ndarray,
    confidence: np.ndarray,
  ) -> None:
    """Adds a picture.

    Args:
      batch: Of `pipeline.eval_batches`.
      i: Which picture of it.
      pred: uint8[H, W], train ids, G for void.
      confidence: float[H, W], the probability of the prediction.
    """
    image, label = batch['image'][i], batch['label'][i]
    height, width = geometry.unpadded(image, label)
    if image.shape[:2] == label.shape:
      image = image[:height, :width]
    label, pred, confidence = (
      x[:height, :width] for x in (label, pred, confidence)
    )
    rows, columns = self._shape
    counts = {
      'trimap': trimap.count(label, pred, rows, columns),
      'boundary': boundary_iou.count(label, pred, rows),
      'calibration': calibration.count(label, pred, confidence, rows),
    }
    if 'disparity' in batch:
      counts['distance'] = depth.count(
        label,
        pred,
        batch['disparity'][i, :height, :width],
        batch['camera'][i] if 'camera' in batch else depth.DEFAULT_CAMERA,
        rows,
        columns,
      )
    with self._lock:
      for name, count in counts.items():
        self._sums[name] += count
    confusion = counts['trimap'].sum(0)
    index = int(batch['index'][i])
    self._worst.offer(
      confusion,
      index,
      lambda: worst.Picture(
        worst.score(confusion),
        index,
        batch['id'][i],
        worst.encode(image, label, pred, self._info.palette),
        worst.iou_of_present(confusion),
      ),
    )

  def add_processes(self) -> None:
    """Adds up over the processes of the job; each of them has to call."""
    self._sums = {k: sum_over_processes(v) for k, v in self._sums.items()}
    self._worst.add_processes()

  def figures(self) -> dict[str, Any]:
    """By measure, see the `figures` of each; `distance` may be None."""
    return {
      'boundary': boundary_iou.figures(self._sums['boundary']),
      'trimap': trimap.figures(self._sums['trimap']),
      'calibration': calibration.figures(self._sums['calibration']),
      'distance': depth.figures(self._sums['distance']),
    }
