"""Compares what a runtime makes of an exported file with deeplax's own."""

import dataclasses
import sys
from collections.abc import Callable, Iterator

import numpy as np
import tqdm

from deeplax import metrics
from deeplax.data.info import IGNORE_LABEL, DatasetInfo
from deeplax.export.pictures import Picture, Pictures

Run = Callable[[np.ndarray], dict[str, np.ndarray]]

# Of the pixels, in float: what is left to ties and rounding.
LEAST = 0.999
# How far the sum of a pixel's probabilities may be from 1, in float.
_SUM = 1e-3


@dataclasses.dataclass(frozen=True)
class Comparison:
  """What was found.

  Attributes:
    pictures, pixels: How many were compared.
    equal: Share of the pixels with the same label.
    worst: The picture with the fewest of them.
    worst_equal: Their share in it.
    miou: `{'deeplax', 'exported'}`, over the labelled pixels; None without
      labels.
    problem: What is wrong, in words; '' if nothing is.
  """

  pictures: int
  pixels: int
  equal: float
  worst: str
  worst_equal: float
  miou: dict[str, float] | None
  problem: str = ''


def compare(
  run: Run,
  reference: Callable[[np.ndarray], np.ndarray],
  pictures: Pictures,
  info: DatasetInfo,
  *,
  batch_size: int = 1,
  exact: bool = True,
) -> Comparison:
  """Runs the exported file on pictures.

  Args:
    run: uint8[B, H, W, 3] -> `{'labels', 'probs'}`, by the runtime.
    reference: uint8[H, W, 3] -> uint8[H, W], deeplax's labels.
    pictures: At least one that can be used.
    info: The classes.
    batch_size: Pictures at once; the last batch may have fewer.
    exact: Whether `LEAST` of the labels have to be equal, and probabilities to
      add up; in 8 bits they are not.

  Returns:
    What was found: also when it is not what it should be.
  """
  shares, pixels, problem = [], 0, ''
  confusions = dict.fromkeys(('deeplax', 'exported'), 0)
  bar = tqdm.tqdm(
    total=len(pictures),
    unit='picture',
    desc='comparing',
    leave=False,
    dynamic_ncols=True,
    disable=not sys.stderr.isatty(),
  )
  with bar:
    for batch in _batches(pictures, batch_size):
      found = run(np.stack([picture.image for picture in batch]))
      shape = (len(batch), *batch[0].label.shape)
      problem = problem or _malformed(found, shape, info, exact)
      if problem:
        break
      for picture, labels in zip(batch, found['labels']):
        wanted = reference(picture.image)
        shares.append((float(np.mean(labels == wanted)), picture.name))
        pixels += labels.size
        for name, pred in (('deeplax', wanted), ('exported', labels)):
          confusions[name] = confusions[name] + _confusion(picture, pred, info)
      bar.update(len(batch))
  if problem:
    return Comparison(0, 0, 0.0, '', 0.0, None, problem)
  # All are of one size.
  equal = float(np.mean([share for share, _ in shares]))
  worst_equal, worst = min(shares)
  if exact and equal < LEAST:
    problem = (
      f'the labels of {1 - equal:.3%} of the pixels are not those of deeplax, '
      f'expected at most {1 - LEAST:.1%}; most of all in {worst}, '
      f'{1 - worst_equal:.3%}'
    )
  miou = None
  if pictures.labelled:
    miou = {
      name: metrics.mean(metrics.class_iou(confusion))
      for name, confusion in confusions.items()
    }
  return Comparison(
    len(shares), pixels, equal, worst, worst_equal, miou, problem
  )


def _batches(pictures: Pictures, size: int) -> Iterator[list[Picture]]:
  batch = []
  for picture in pictures:
    batch.append(picture)
    if len(batch) == size:
      yield batch
      batch = []
  if batch:
    yield batch


def _malformed(found, shape, info: DatasetInfo, exact: bool) -> str:
  """What is wrong with the results as such, or ''."""
  labels = found['labels']
  if labels.shape != shape or labels.dtype != np.uint8:
    return (
      f'the labels are {labels.dtype}{list(labels.shape)}, expected '
      f'uint8{list(shape)}'
    )
  if 'probs' not in found:
    return ''
  probs = found['probs']
  if probs.shape[:3] != shape or probs.dtype != np.float32:
    return (
      f'the probabilities are {probs.dtype}{list(probs.shape)}, expected '
      f'float32{[*shape, "K"]}'
    )
  if not exact:
    return ''
  far = float(np.abs(probs.sum(-1) - 1).max())
  if not far <= _SUM:  # NaN is not, either
    return f'probabilities add up to 1 but for {far:.3g}, expected {_SUM:g}'
  likeliest = probs.argmax(-1)
  likeliest[likeliest >= info.num_classes] = IGNORE_LABEL
  other = float(np.mean(likeliest != labels))
  if other > 1 - LEAST:
    return f'the likeliest class is not the label of {other:.3%} of the pixels'
  return ''


def _confusion(picture: Picture, pred: np.ndarray, info: DatasetInfo):
  """int64[G, G + 1]: void is a prediction, too."""
  classes = info.num_classes
  counts = metrics.confusion_matrix(
    picture.label[None], pred[None], classes, classes + 1
  )
  return np.asarray(counts, np.int64)
