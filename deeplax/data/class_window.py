"""Windows of a picture that hold a class drawn from its own, rare or not.

After the class-uniform sampling of Zhu et al., "Improving Semantic Segmentation
via Video Propagation and Label Relaxation", CVPR 2019. They draw among the
classes of the data set and cut about the middle of a region of the class; here
class and pixel are drawn within one picture, so that nothing has to be counted
before.
"""

import cv2
import numpy as np

from deeplax.data import geometry
from deeplax.data.geometry import Example
from deeplax.data.info import IGNORE_LABEL


def draw(
  example: Example, rng: np.random.Generator, height: int, width: int
) -> tuple[int, int] | None:
  """One of the windows that hold a drawn pixel, each equally likely.

  Args:
    example: See `pixel`.
    height, width: Of the window, which sticks out, bottom and right, only where
      it is larger than the picture.

  Returns:
    Its first row and column, or None where all is void.
  """
  at = pixel(example, rng)
  if at is None:
    return None
  top, left = (
    int(rng.integers(max(0, i - part + 1), min(i, max(0, length - part)) + 1))
    for i, part, length in zip(at, (height, width), geometry.size(example))
  )
  return top, left


def pixel(example: Example, rng: np.random.Generator) -> tuple[int, int] | None:
  """One of the label's classes, then one of its pixels, each equally likely.

  A pending scale is not carried out. One that makes the label smaller loses
  rows and columns, whose pixels are not drawn. One that enlarges it makes
  several pixels of one, of which that in the middle is taken.

  Args:
    example: With `'label'` uint8[H, W], 255 = void, a scale pending or not.

  Returns:
    (row, column) in the scaled picture, whose label there is of the class; None
    where all is void.
  """
  whole, label = geometry.size(example), example['label']
  label = geometry.hide_unseen(label, whole, IGNORE_LABEL)
  label = np.ascontiguousarray(label)
  # Five times as fast as np.bincount.
  counts = cv2.calcHist([label], [0], None, [256], [0, 256])
  classes = np.flatnonzero(counts[:IGNORE_LABEL])
  if not classes.size:
    return None
  found = label == classes[rng.integers(classes.size)]
  ends = np.cumsum(np.count_nonzero(found, axis=1))
  nth = rng.integers(ends[-1])
  row = int(np.searchsorted(ends, nth, side='right'))
  # Counted from the end of its row: negative.
  column = int(np.flatnonzero(found[row])[nth - ends[row]])
  return (
    geometry.shown_at(row, label.shape[0], whole[0]),
    geometry.shown_at(column, label.shape[1], whole[1]),
  )
