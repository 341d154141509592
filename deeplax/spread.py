"""Mean and standard deviation of a figure over several runs."""

import math
from collections.abc import Sequence
from typing import NamedTuple


class Spread(NamedTuple):
  """What several runs have of a figure.

  Attributes:
    mean: NaN if none has it.
    std: With n - 1 below; NaN if fewer than two have it.
    n: How many have it.
  """

  mean: float
  std: float
  n: int

  def words(self) -> str:
    """`61.20 ± 0.40`, in percent; a dash for what there is not."""
    if math.isnan(self.mean):
      return '-'
    std = '-' if math.isnan(self.std) else f'{100 * self.std:.2f}'
    return f'{100 * self.mean:.2f} ± {std}'

  def to_json(self) -> dict[str, float | int | None]:
    """`'mean'`, `'std'` and `'n'`; JSON knows no NaN."""
    return {
      key: None if math.isnan(value) else value
      for key, value in self._asdict().items()
    }


def of(values: Sequence[float]) -> Spread:
  """Of the values that are numbers; NaN says that a run lacks the figure."""
  known = [value for value in values if not math.isnan(value)]
  n = len(known)
  if not n:
    return Spread(math.nan, math.nan, 0)
  mean = math.fsum(known) / n
  if n == 1:
    return Spread(mean, math.nan, 1)
  squares = math.fsum((value - mean) ** 2 for value in known)
  return Spread(mean, math.sqrt(squares / (n - 1)), n)
