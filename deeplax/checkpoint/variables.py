"""Weights alone: to evaluate with, or to start from."""

import logging
import pathlib
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.sharding import SingleDeviceSharding

from deeplax import checksums
from deeplax.checkpoint.folder import saved_steps
from deeplax.checkpoint.manager import composite, open_manager
from deeplax.checkpoint.scores import best_step, read_scores
from deeplax.errors import RunError

log = logging.getLogger('deeplax')


def save_variables(directory: pathlib.Path, variables: dict[str, Any]) -> None:
  """Writes weights alone as step 0: for what starts from or evaluates them."""
  model = {name: variables[name] for name in ('params', 'batch_stats')}
  with open_manager(directory, {}, read_only=False) as manager:
    manager.save(0, args=composite(ocp.args.StandardSave, {'model': model}))
    manager.wait_until_finished()


def steps(workdir: pathlib.Path) -> tuple[list[int], int | None]:
  """All steps there are, and the best one (None without an evaluation)."""
  directory = _directory(workdir)
  found = saved_steps(directory)
  return found, best_step(found, read_scores(directory))


def load_variables(
  workdir: pathlib.Path, *, step: int | None = None, best: bool = True
) -> tuple[dict[str, Any], int]:
  """Reads weights to evaluate with: the averaged ones where a run keeps them.

  Args:
    workdir: Of a run.
    step: Of a checkpoint that is there; default: see `best`.
    best: Take the best by val mIoU, if there was an evaluation, not the newest.
      Damaged ones are named and skipped.

  Returns:
    `({'params', 'batch_stats'} as numpy arrays, step)`.

  Raises:
    RunError: If there is no such checkpoint, or it is damaged.
  """
  directory = _directory(workdir)
  step = _choose(directory, step, best)
  with open_manager(directory, {}, read_only=True) as manager:
    shapes = manager.item_metadata(step)
    names = [name for name in ('model', 'ema') if shapes.get(name) is not None]
    items = {name: _abstract(shapes[name]) for name in names}
    restored = manager.restore(
      step, args=composite(ocp.args.StandardRestore, items)
    )
  variables = restored['model']
  if 'ema' in items:
    variables = {**variables, 'params': restored['ema']['params']}
  variables = jax.tree.map(np.asarray, variables)
  return {name: variables[name] for name in ('params', 'batch_stats')}, step


def _choose(directory, step, best):
  """The step to load: there, and not damaged."""
  found = saved_steps(directory)
  if step not in found and (step is not None or not found):
    there = f'{step}, only {found}' if found else 'at all'
    raise RunError(
      f'{directory.parent} has no checkpoint {there}. Train first: '
      f'launch/train.py --config=... --workdir={directory.parent}'
    )
  if step is not None:
    candidates = [step]
  else:
    first = best_step(found, read_scores(directory)) if best else None
    newest = sorted(found, reverse=True)
    candidates = sorted(newest, key=lambda s: s != first)
  for candidate in candidates:
    damage = checksums.damage(directory / str(candidate))
    if not damage:
      return candidate
    log.warning('The checkpoint of step %d is damaged: %s.', candidate, damage)
  raise RunError(
    f'the checkpoint of step {candidate} in {directory} is damaged ({damage}). '
    'Copy the folder again, or choose another with --step.'
  )


def _abstract(shapes):
  device = SingleDeviceSharding(jax.local_devices()[0])
  return jax.tree.map(
    lambda m: jax.ShapeDtypeStruct(m.shape, m.dtype, sharding=device),
    dict(shapes),
  )


def _directory(workdir):
  directory = pathlib.Path(workdir) / 'checkpoints'
  if not directory.is_dir():
    raise RunError(
      f'{directory} is missing: there is no checkpoint yet. Train first: '
      f'launch/train.py --config=... --workdir={workdir}'
    )
  return directory
