"""The trainings that are compared. Needs PyTorch."""

import ml_collections
import numpy as np

from tests.side_by_side import ours, theirs, weights
from tests.side_by_side.curve import Curve

NUDGE = 1e-7  # about what float32 can tell apart


def train(
  config: ml_collections.ConfigDict, batches: dict[str, np.ndarray]
) -> dict[str, Curve]:
  """`'PyTorch'`, `'deeplax'`, and PyTorch from `'nudged'` weights."""
  start = weights.initial(theirs.num_classes(config), config.seed)
  nudged = weights.nudged(start, NUDGE, config.seed)
  return {
    'PyTorch': theirs.train(config, batches, start),
    'deeplax': ours.train(config, batches, start),
    'nudged': theirs.train(config, batches, nudged),
  }
