"""The trainings that are compared. Needs PyTorch."""

import jax
import ml_collections
import numpy as np

from tests.side_by_side import ours, theirs, weights
from tests.side_by_side.curve import Curve

NUDGE = 1e-7  # about what float32 can tell apart


def train(
  config: ml_collections.ConfigDict, batches: dict[str, np.ndarray]
) -> dict[str, Curve]:
  """All of `curve.REFERENCES`, by name."""
  start = weights.initial(theirs.num_classes(config), config.seed)
  nudged = weights.nudged(start, NUDGE, config.seed)
  curves = {
    'PyTorch': theirs.train(config, batches, start),
    'deeplax': ours.train(config, batches, start),
    'nudged': theirs.train(config, batches, nudged),
  }
  return curves | in_float64(config, batches)


def in_float64(
  config: ml_collections.ConfigDict, batches: dict[str, np.ndarray]
) -> dict[str, Curve]:
  """`'PyTorch64'` and `'deeplax64'`."""
  config = ml_collections.ConfigDict(config)
  config.model.dtype = 'float64'
  start = weights.initial(theirs.num_classes(config), config.seed)
  expected = theirs.train(config, batches, start)
  with jax.enable_x64(True):
    found = ours.train(config, batches, start)
  return {'PyTorch64': expected, 'deeplax64': found}
