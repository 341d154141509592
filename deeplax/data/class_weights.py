"""Class weights proposed from what the label doctor counted."""

from collections.abc import Sequence

import numpy as np

# Classes whose shares differ less need none.
_IMBALANCE = 10


def median_frequency(counts: np.ndarray) -> np.ndarray:
  """w_c = median(f) / f_c of the shares f of all labelled pixels.

  Eigen and Fergus 2015, but for shares of whole data sets instead of those of
  the pictures that have the class. Scaled so that the mean weight of a pixel
  is 1, which leaves the learning rate as it was.

  Args:
    counts: int[K], pixels of each class; one without any gets weight 1.

  Returns:
    float64[K].
  """
  return _scaled(counts, 1.0)


def inverse_root(counts: np.ndarray) -> np.ndarray:
  """w_c = 1 / sqrt(f_c), scaled and with arguments as `median_frequency`."""
  return _scaled(counts, 0.5)


def _scaled(counts, power):
  counts = np.asarray(counts, np.float64)
  seen = counts > 0
  weights = np.ones(len(counts))
  weights[seen] = counts[seen] ** -power
  # The median is a factor, too, and goes with any other.
  weights[seen] *= counts.sum() / (counts * weights)[seen].sum()
  return weights


def advice(counts: np.ndarray, names: Sequence[str]) -> str:
  """Weights as flags, in words; '' where classes are about equally frequent.

  Args:
    counts: int[K or more], pixels by train id.
    names: Of the K classes.
  """
  counts = np.asarray(counts)[: len(names)]
  seen = np.flatnonzero(counts)
  if len(seen) < 2 or counts.max() < _IMBALANCE * counts[seen].min():
    return ''
  rare, common = seen[counts[seen].argmin()], counts.argmax()
  share = counts / counts.sum()
  lines = [
    f'{names[common]} has {share[common]:.1%} of the labelled pixels, '
    f'{names[rare]} {share[rare]:.2%}. Class weights make the loss look at '
    'rare ones; the root is the milder choice:'
  ]
  for words, weights in (
    ('root of inverse frequency', inverse_root(counts)),
    ('median frequency', median_frequency(counts)),
  ):
    numbers = ','.join(f'{w:.3g}' for w in weights)
    lines.append(f"  {words}: --config.loss.class_weights='({numbers})'")
  lines.append(
    '  1 / ln(1.02 + share), counted when training starts: '
    '--config.loss.class_weights_from_data=True '
    '--config.loss.normalize_by=weights'
  )
  return '\n'.join(lines)
