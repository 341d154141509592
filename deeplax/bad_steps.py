"""What is kept of a step with a NaN or an infinity, to run it once more."""

import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

import numpy as np

from deeplax import atomic, distributed, saved_config
from deeplax.checkpoint import Checkpointer
from deeplax.errors import RunError
from deeplax.state import TrainState

FOLDER = 'bad_steps'
FILE = 'step.json'


def keep(
  workdir: pathlib.Path,
  state: TrainState,
  step: int,
  values: dict[str, Any],
  ids: Sequence[str],
) -> pathlib.Path:
  """Writes `bad_steps/<step>/` in a workdir; all processes of a job must call.

  Args:
    workdir: Of the run.
    state: From before the step.
    step: The bad one.
    values: Its metrics.
    ids: Of the pictures in its batch.

  Returns:
    The folder.
  """
  folder = workdir / FOLDER / str(step)
  with distributed.first_alone(f'bad step {step}') as first:
    if first:
      # There may be that of an earlier run, of another config.
      shutil.rmtree(folder, ignore_errors=True)
      folder.mkdir(parents=True)
      # As words: JSON has no NaN.
      numbers = {name: f'{np.asarray(v).item()}' for name, v in values.items()}
      atomic.write_json(
        folder / FILE, {'step': step, 'metrics': numbers, 'ids': list(ids)}
      )
  checkpointer = Checkpointer(folder / 'checkpoints')
  checkpointer.save(state, step - 1)
  checkpointer.close()
  return folder


def message(found: str, kept: str, folder: pathlib.Path, allowed: int) -> str:
  """What a run that ends here says of it.

  Args:
    found: What is not finite, and where.
    kept: What there is to go on from.
    folder: Of `keep`.
    allowed: Steps that were left out before.
  """
  skipped = f', after {allowed} that were left out' if allowed else ''
  return (
    f'{found}{skipped}. The {kept}. The state before this step and the ids of '
    f'its batch are kept: launch/train.py --replay={folder} runs it alone and '
    'says where the first such number appears. Try a lower schedule.peak, a '
    'warm-up (schedule.warmup_steps), or gradient clipping '
    '(optimizer.clip_norm), with another --workdir; or leave such steps out '
    '(optimizer.skip_nonfinite=3).'
  )


def load(folder: pathlib.Path) -> dict[str, Any]:
  """`'step'`, `'metrics'` (strings) and `'ids'` of what `keep` wrote.

  Raises:
    RunError: If the folder is none of its.
  """
  found = saved_config.load_json(folder / FILE)
  if not isinstance(found, dict) or {'step', 'metrics', 'ids'} - {*found}:
    raise RunError(
      f'{folder / FILE} does not describe a bad step. Give the folder that the '
      'message of the run named: <workdir>/bad_steps/<step>.'
    )
  return found
