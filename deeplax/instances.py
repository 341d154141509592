"""Instance-weighted IoU (iIoU) of the official Cityscapes scorer.

The sums are plain arrays that add up over pictures and processes; the division
is done once.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from deeplax import metrics
from deeplax.overlap import Threads

# Mean number of pixels of one object in the Cityscapes training set: the
# weights of the official iIoU.
CITYSCAPES_INSTANCE_SIZES: Mapping[str, float] = {
  'person': 3462.4756337644,
  'rider': 3930.4788056518,
  'car': 12794.0202738185,
  'truck': 27855.1264367816,
  'bus': 35732.1511111111,
  'caravan': 36771.8241758242,
  'trailer': 16926.9763313609,
  'train': 67583.7075812274,
  'motorcycle': 6298.7200839748,
  'bicycle': 4672.3249222261,
}


def index_instances(
  instance: np.ndarray, label_to_train: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Numbers the objects of one picture that iIoU counts.

  Args:
    instance: int[H, W] in the Cityscapes coding: label id x 1000 + number for
      a single object, the bare label id for stuff, groups and crowds.
    label_to_train: int[256], train id by label id, 255 for ignored classes.

  Returns:
    `(index, classes)`: int32[H, W] with 0..N-1, or -1 where no object counts;
    and int64[N], the train id of each object.
  """
  index = np.full(instance.shape, -1, np.int32)
  # The official scorer asks for > 1000, too.
  single = instance > 1000
  ids, inverse = np.unique(instance[single], return_inverse=True)
  label_ids = ids // 1000
  known = label_ids < len(label_to_train)
  classes = np.asarray(label_to_train)[np.where(known, label_ids, 0)]
  classes = np.where(known, classes, 255).astype(np.int64)
  keep = classes != 255
  number = np.where(keep, np.cumsum(keep) - 1, -1).astype(np.int32)
  if len(ids):
    index[single] = number[inverse]
  return index, classes[keep]


def number_objects(
  instance: np.ndarray,
  valid: np.ndarray,
  label_to_train: np.ndarray,
  threads: Threads,
) -> tuple[np.ndarray, np.ndarray]:
  """`index_instances` of a batch, numbered through.

  Args:
    instance: int[B, H, W].
    valid: bool[B].
    label_to_train: int[256].
    threads: Each takes a picture.

  Returns:
    int32[B, H, W] with 0..N-1 or -1, and the N train ids.
  """

  def number(i):
    return i, *index_instances(instance[i], label_to_train)

  index = np.full(instance.shape, -1, np.int32)
  classes = []
  start = 0
  for i, one, found in threads.ahead(number, np.flatnonzero(valid)):
    np.add(one, start, out=index[i], where=one >= 0)
    start += len(found)
    classes.append(found)
  return index, np.concatenate(classes) if classes else np.zeros(0, np.int64)


class InstanceScores:
  """Sums for the instance-weighted IoU (iIoU) over a split.

  TP and FN of an object of class c count with (mean size of c) / (its own
  size), so a small object weighs as much as a large one; FP can't be given to
  an object and count as pixels:

      iIoU_c = iTP_c / (iTP_c + FP_c + iFN_c).

  For a category, a pixel predicted as any class of it is a hit.
  """

  def __init__(self, num_classes: int, train_to_category: np.ndarray):
    """Starts with no objects.

    Args:
      num_classes: G.
      train_to_category: int[G].
    """
    self._train_to_category = np.asarray(train_to_category)
    # Per class: objects, their pixels, sum of hit share by class, by category.
    self.sums = np.zeros((num_classes, 4))

  def add(self, counts: np.ndarray, classes: np.ndarray) -> None:
    """Adds the objects of a picture.

    Args:
      counts: int[N, K], pixels by object and prediction.
      classes: int[N], train id of each object.
    """
    counts = np.asarray(counts, np.int64)
    classes = np.asarray(classes)
    size = counts.sum(1)
    same = (
      self._train_to_category[None] == self._train_to_category[classes][:, None]
    )
    hits = counts[np.arange(len(classes)), classes]
    category_hits = (counts[:, : len(self.sums)] * same).sum(1)
    rows = [np.ones(len(size)), size, hits / size, category_hits / size]
    np.add.at(self.sums, classes, np.stack(rows, 1))

  def mean_sizes(self, class_names: Sequence[str]) -> np.ndarray:
    """float64[G]: the official mean sizes; for other classes, this split's."""
    objects, pixels = self.sums[:, 0], self.sums[:, 1]
    own = pixels / np.maximum(objects, 1)
    return np.array(
      [CITYSCAPES_INSTANCE_SIZES.get(n, m) for n, m in zip(class_names, own)]
    )

  def class_iou(
    self,
    confusion: np.ndarray,
    mean_sizes: np.ndarray,
    instance_classes: Sequence[int],
  ) -> np.ndarray:
    """iIoU: float64[G], NaN where there is neither an object nor an FP.

    Args:
      confusion: int[G, K] of the same pictures.
      mean_sizes: float[G], see `mean_sizes`.
      instance_classes: Train ids that have objects; the others are NaN.
    """
    confusion = metrics.as_counts(confusion)
    wrong = confusion.sum(0)[: len(confusion)] - np.diagonal(confusion)
    # iTP + iFN of an object is the mean size of its class.
    iou = metrics.ratio(
      self.sums[:, 2] * mean_sizes, self.sums[:, 0] * mean_sizes + wrong
    )
    has = np.isin(np.arange(len(confusion)), instance_classes)
    return np.where(has, iou, np.nan)

  def category_iou(
    self,
    confusion: np.ndarray,
    mean_sizes: np.ndarray,
    instance_categories: Sequence[int],
  ) -> np.ndarray:
    """iIoU of categories: float64[C]; arguments as in `class_iou`.

    Args:
      confusion: int[G, K] of the same pictures.
      mean_sizes: float[G].
      instance_categories: Categories all of whose classes have objects; the
        others are NaN.
    """
    merged = metrics.merge_categories(confusion, self._train_to_category)
    wrong = merged.sum(0)[: len(merged)] - np.diagonal(merged)
    total, hits = np.zeros(len(merged)), np.zeros(len(merged))
    np.add.at(total, self._train_to_category, self.sums[:, 0] * mean_sizes)
    np.add.at(hits, self._train_to_category, self.sums[:, 3] * mean_sizes)
    iou = metrics.ratio(hits, total + wrong)
    has = np.isin(np.arange(len(merged)), instance_categories)
    return np.where(has, iou, np.nan)
