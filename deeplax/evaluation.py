"""What one evaluation found."""

import dataclasses
import pathlib
from typing import Any

import numpy as np

from deeplax.measures import Measures


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """Figures, counts and a few pictures of a split.

  Attributes:
    scalars: Plain floats by name, `'val/miou'` and so on; a figure that does
      not exist (a class that is neither there nor predicted) is NaN.
    confusion: int64[G, K], pixels by truth and prediction; K = G, or G + 1 with
      a trained void class, which comes last.
    pictures: The first few: `'image'` uint8[h, w, 3], `'label'` and `'pred'`
      uint8[H, W] (void is 255 in a label), `'id'`.
    examples: Pictures that were counted.
    skipped: Pictures left out because they could not be used.
    refined: The same after the CRF, if there is one.
    measures: Of the predictions, after the CRF if there is one; None unless
      asked for.
    file: The JSON that it was written to; None where it was not, as by all
      processes of a job but the first.
  """

  scalars: dict[str, float]
  confusion: np.ndarray
  pictures: list[dict[str, Any]]
  examples: int
  skipped: int
  refined: 'Evaluation | None' = None
  measures: Measures | None = None
  file: pathlib.Path | None = None
