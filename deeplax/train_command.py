"""What launch/train.py does: one run, or one for each of several seeds."""

import math
import pathlib

import ml_collections

from deeplax import distributed, seeds
from deeplax.train import train_and_evaluate


def train_command(
  config: ml_collections.ConfigDict, workdir: pathlib.Path, count: int | None
) -> None:
  """Trains, and prints the scores.

  Args:
    config: One of configs/.
    workdir: Of the run, or of the seeds.
    count: How many seeds; None trains the config's alone, in `workdir` itself.

  Raises:
    Stopped, UserError, DataError, WorkerError: See `train_and_evaluate` and
      `train_seeds`.
  """
  if count is None:
    scalars = train_and_evaluate(config, workdir)
    words = f'val mIoU {scalars.get("val/miou", math.nan):.4f}. '
  else:
    words = f'{seeds.table(seeds.train_seeds(config, workdir, count))}\n'
  if distributed.is_first():
    print(f'{words}Everything lies in {workdir}')
