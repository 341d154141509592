"""Parts of one example put over another: which, and how.

The rectangle is that of Yun et al., "CutMix", ICCV 2019; the labels are put
over pixel by pixel, as in French et al., BMVC 2020, not mixed by area. `rare`
is a mask of whole classes, as in Olsson et al., "ClassMix", WACV 2021, who take
half of the classes of a predicted label at random. That true labels come along,
and nothing is blended, so that what is rare is seen more often, is from
Ghiasi et al., "Simple Copy-Paste", CVPR 2021, who copy instances. To choose the
classes by their area is neither's.
"""

import cv2
import numpy as np

from deeplax.data import geometry
from deeplax.data.geometry import Example
from deeplax.data.info import IGNORE_LABEL


def rectangle(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
  """True in a rectangle with the proportions of the whole, bool[H, W].

  Its share of the area is drawn uniformly from [0, 1], its centre from
  everywhere; what sticks out is cut off.
  """
  half = np.sqrt(rng.uniform()) / 2
  inside = np.zeros((height, width), bool)
  spans = []
  for length in (height, width):
    centre = rng.uniform(0, length)
    ends = np.rint([centre - half * length, centre + half * length])
    spans.append(slice(*np.clip(ends, 0, length).astype(int)))
  inside[tuple(spans)] = True
  return inside


def rare(label: np.ndarray, max_share: float) -> np.ndarray:
  """True on classes on less than `max_share` of the labelled pixels.

  Args:
    label: uint8[H, W], 255 = void, which is never rare.
    max_share: More than 0, at most 1.

  Returns:
    bool[H, W].
  """
  counts = np.bincount(label.ravel(), minlength=IGNORE_LABEL + 1)
  chosen = counts < max_share * counts[:IGNORE_LABEL].sum()
  chosen[IGNORE_LABEL] = False
  return cv2.LUT(np.ascontiguousarray(label), chosen.view(np.uint8)) > 0


def paste(example: Example, other: Example, where: np.ndarray) -> Example:
  """`example` with the arrays of `other` where that is True.

  Args:
    example, other: Of one size, nothing pending; not changed.
    where: bool[H, W].

  Returns:
    The example; an array that `other` lacks is 0 there, as in padding.
  """
  result = dict(example)
  for key, array in geometry.spatial(example).items():
    over = other[key] if key in other else np.zeros_like(array)
    result[key] = _paste(array, over, where)
  return result


def _paste(array, over, where):
  result = np.array(array, order='C')
  if array.dtype in (np.uint8, np.int32, np.float32):
    # Many times faster than numpy, as in a flip.
    return cv2.copyTo(np.ascontiguousarray(over), where.view(np.uint8), result)
  result[where] = over[where]
  return result
