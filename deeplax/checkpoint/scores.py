"""Which steps were evaluated, and how good they were."""

import json
import math
import pathlib
from collections.abc import Collection, Mapping

from deeplax import atomic
from deeplax.errors import RunError

BEST_METRIC = 'val/miou'
SCORES = 'scores.json'


def read_scores(directory: pathlib.Path) -> dict[int, float]:
  """val mIoU by step, NaN where nothing is labelled."""
  path = directory / SCORES
  try:
    values = json.loads(path.read_text())
    return {int(s): math.nan if v is None else v for s, v in values.items()}
  except FileNotFoundError:
    return {}
  except (ValueError, AttributeError) as error:
    raise RunError(
      f'{path} is damaged ({error}). Expected the mIoU of each evaluated step. '
      'Delete the file: the newest checkpoint then counts as the best.'
    ) from error


def best_step(
  found: Collection[int], scores: Mapping[int, float]
) -> int | None:
  """The best of the steps `found`, None where none was evaluated."""
  ranked = {s: v for s, v in scores.items() if s in found and math.isfinite(v)}
  # The later one of equals.
  return max(ranked, key=lambda s: (ranked[s], s)) if ranked else None


def write_scores(directory: pathlib.Path, scores: Mapping[int, float]) -> None:
  """The opposite of `read_scores`."""
  values = {str(s): v if math.isfinite(v) else None for s, v in scores.items()}
  atomic.write_json(directory / SCORES, values)
