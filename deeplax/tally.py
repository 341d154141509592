"""What an evaluation adds up, and the figures that come of it."""

from collections.abc import Mapping

import jax
import numpy as np
from jax.experimental import multihost_utils

from deeplax import instances, metrics
from deeplax.data.info import DatasetInfo

_TOTALS = (
  *('loss_sum', 'loss_weight', 'losses', 'soft_iou', 'labelled'),
  *('examples', 'skipped', 'object_batches', 'stopped'),
)


class Tally:
  """Sums over batches and processes, in int64 and float64.

  Attributes:
    confusion: int64[G, G + void_class].
    totals: Floats by name.
    objects: Sums for iIoU.
  """

  def __init__(self, info: DatasetInfo, *, void_class: bool = False):
    self._info = info
    self.confusion = np.zeros(
      (info.num_classes, info.num_classes + void_class), np.int64
    )
    self.totals = dict.fromkeys(_TOTALS, 0.0)
    self.objects = instances.InstanceScores(
      info.num_classes, info.train_to_category
    )

  def add(
    self,
    out: Mapping[str, np.ndarray],
    classes: np.ndarray | None,
    valid: np.ndarray,
  ) -> None:
    """Adds a batch.

    Args:
      out: Of `steps.make_eval_step`; and `'objects'`, int[N or more, K], pixels
        by object and prediction, if `classes` are given.
      classes: int[N], train id of each object; None: the data has no objects.
      valid: bool[B].
    """
    self.confusion += out['confusion']
    totals = self.totals
    for name in ('loss_sum', 'loss_weight', 'soft_iou', 'labelled'):
      if name in out:
        totals[name] += float(np.sum(out[name], dtype=np.float64))
    totals['losses'] += 'loss_sum' in out
    totals['examples'] += int(np.sum(valid))
    if classes is not None:
      totals['object_batches'] += 1
      self.objects.add(out['objects'][: len(classes)], classes)

  def add_processes(self) -> None:
    """Adds up over the processes of the job; each of them has to call."""
    self.confusion = sum_over_processes(self.confusion)
    totals = sum_over_processes(np.array([*self.totals.values()]))
    self.totals = dict(zip(self.totals, totals.tolist()))
    self.objects.sums = sum_over_processes(self.objects.sums)

  def scalars(self) -> dict[str, float]:
    """Figures by name, see `evaluate.Evaluator`."""
    info, totals, confusion = self._info, self.totals, self.confusion
    iou = metrics.class_iou(confusion)
    category_iou = metrics.category_iou(confusion, info.train_to_category)
    scalars = {
      'miou': metrics.mean(iou),
      'category_miou': metrics.mean(category_iou),
      'pixel_accuracy': metrics.pixel_accuracy(confusion),
      'mean_accuracy': metrics.mean(metrics.class_accuracy(confusion)),
      'one_minus_soft_iou': 1
      - float(metrics.ratio(totals['soft_iou'], totals['labelled'])),
    }
    if totals['losses']:
      loss = metrics.ratio(totals['loss_sum'], totals['loss_weight'])
      scalars = {'loss': float(loss), **scalars}
    scalars |= _listed('iou', info.class_names, iou)
    scalars |= _listed('category_iou', info.categories, category_iou)
    if totals['object_batches']:
      scalars |= self._object_scalars()
    return scalars

  def _object_scalars(self):
    info = self._info
    sizes = self.objects.mean_sizes(info.class_names)
    classes = info.instance_classes
    iou = self.objects.class_iou(self.confusion, sizes, classes)
    names = [info.class_names[c] for c in classes]
    scalars = {'miiou': metrics.mean(iou)}
    scalars |= _listed('iiou', names, iou[list(classes)])
    categories = _instance_categories(info)
    iou = self.objects.category_iou(self.confusion, sizes, categories)
    names = [info.categories[c] for c in categories]
    scalars |= {'category_miiou': metrics.mean(iou)}
    return scalars | _listed('category_iiou', names, iou[list(categories)])


def _listed(kind, names, values):
  return {f'{kind}/{n}': float(v) for n, v in zip(names, values)}


def _instance_categories(info: DatasetInfo) -> list[int]:
  """Categories of which every label, ignored ones too, has objects."""
  partly = {
    l.category
    for l in info.labels
    if not l.has_instances and l.label_id >= 0  # -1 is never drawn
  }
  return [i for i, name in enumerate(info.categories) if name not in partly]


def sum_over_processes(array: np.ndarray) -> np.ndarray:
  """The sum of a host array of 64-bit numbers over all processes."""
  if jax.process_count() == 1:
    return array
  # As bytes: without x64, jax would cut the numbers to 32 bits.
  data = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
  rows = np.asarray(multihost_utils.process_allgather(data))
  rows = np.ascontiguousarray(rows).view(array.dtype)
  return rows.reshape(-1, *array.shape).sum(0)
