"""Checkpoints of a run: the only room that knows Orbax.

`checkpoints/<step>/` holds `model` (parameters and statistics), `optimizer`
(its state and the counters of the run), where one is kept `ema` (averaged
parameters), and `checksums.txt`. Orbax writes into a temporary folder and
renames it, so a checkpoint is whole or absent; the sums tell one that was
damaged later. `checkpoints/scores.json` has the val mIoU of the evaluated
ones. The position in the data needs no entry: it is a function of the step.
"""

from deeplax.checkpoint.checkpointer import Checkpointer
from deeplax.checkpoint.folder import set_damaged_aside
from deeplax.checkpoint.scores import (
  BEST_METRIC,
  SCORES,
  best_step,
  read_scores,
)
from deeplax.checkpoint.variables import load_variables, save_variables, steps

__all__ = [
  'BEST_METRIC',
  'SCORES',
  'Checkpointer',
  'best_step',
  'load_variables',
  'read_scores',
  'save_variables',
  'set_damaged_aside',
  'steps',
]
