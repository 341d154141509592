"""Checkpoints of a run: the only file that knows Orbax.

`checkpoints/<step>/` holds `model` (parameters and statistics), `optimizer`
(its state and the counters of the run), where one is kept `ema` (averaged
parameters), and `checksums.txt`. Orbax writes into a temporary folder and
renames it, so a checkpoint is whole or absent; the sums tell one that was
damaged later. `checkpoints/scores.json` has the val mIoU of the evaluated
ones. The position in the data needs no entry: it is a function of the step.
"""

import asyncio
import dataclasses
import json
import logging
import math
import pathlib
import shutil
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.sharding import Mesh, SingleDeviceSharding

from deeplax import atomic, checksums, sharding
from deeplax.errors import RunError
from deeplax.state import TrainState

log = logging.getLogger('deeplax')

BEST_METRIC = 'val/miou'
SCORES = 'scores.json'
# Kept besides the best: should the newest be damaged, there is another.
NEWEST = 2
_COUNTERS = ('step', 'bad_steps', 'skipped_examples')


class Checkpointer:
  """Saves asynchronously; keeps the two newest and the best by val mIoU."""

  def __init__(self, directory: pathlib.Path):
    """One process at a time may have one for a folder, or one job."""
    self._scores = _read_scores(directory)
    self._path = directory / SCORES
    self._manager = _open(directory, self._scores, read_only=False)

  def latest_step(self) -> int | None:
    return self._manager.latest_step()

  def save(self, state: TrainState, step: int) -> None:
    """Starts saving `state` as `step`, unless that is there already.

    Args:
      state: May be donated by the next step: it is copied before this returns.
      step: Must not be below any step saved so far.
    """
    if step == self.latest_step():
      return
    items = _items(state)
    self._manager.save(step, args=_composite(ocp.args.StandardSave, items))

  def score(self, step: int, miou: float) -> None:
    """Notes that a saved step was evaluated; the best one is kept.

    Args:
      step: Of a checkpoint.
      miou: NaN where nothing is labelled: evaluated, but never the best.
    """
    self._scores[step] = miou
    if jax.process_index() == 0:
      values = {
        str(s): v if math.isfinite(v) else None for s, v in self._scores.items()
      }
      atomic.write_json(self._path, values)

  def has_score(self, step: int) -> bool:
    """Whether the checkpoint of this step was evaluated."""
    return step in self._scores

  def restore(self, state: TrainState, mesh: Mesh) -> TrainState:
    """Returns the newest checkpoint as a state like `state`, on the mesh.

    Raises:
      RunError: If the checkpoint has other parameters than `state`.
    """
    step = self._manager.latest_step()
    like = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(
        x.shape, x.dtype, sharding=sharding.replicated(mesh)
      ),
      state,
    )
    args = _composite(ocp.args.StandardRestore, _items(like))
    try:
      restored = self._manager.restore(step, args=args)
    except (ValueError, KeyError, FileNotFoundError) as error:
      raise RunError(
        f'checkpoint {step} in {self._manager.directory} does not fit the '
        f'model of this config ({_first_line(error)}). Use another --workdir, '
        'or start from its weights with --config.init_from.'
      ) from error
    optimizer = restored['optimizer']
    return TrainState(
      **{name: optimizer[name] for name in _COUNTERS},
      params=restored['model']['params'],
      batch_stats=restored['model']['batch_stats'],
      opt_state=optimizer['opt_state'],
      ema_params=restored['ema']['params'] if 'ema' in _items(like) else None,
    )

  def wait(self) -> None:
    """Returns when everything that was saved is on disk."""
    self._manager.wait_until_finished()

  def close(self) -> None:
    self._manager.close()


def _items(state):
  items = {
    'model': {'params': state.params, 'batch_stats': state.batch_stats},
    'optimizer': {
      'opt_state': state.opt_state,
      **{name: getattr(state, name) for name in _COUNTERS},
    },
  }
  if state.ema_params is not None:
    items['ema'] = {'params': state.ema_params}
  return items


def set_damaged_aside(directory: pathlib.Path) -> None:
  """Leaves a folder whose newest checkpoint is sound, for whoever goes on.

  What is damaged is named and renamed, to `damaged-<step>`; what a killed run
  left half written is deleted. Only the folder's one writer may do this.
  """
  if not directory.is_dir():
    return
  for part in directory.glob(f'*{ocp.path.atomicity.TMP_DIR_SUFFIX}*'):
    shutil.rmtree(part)
  for step in reversed(_saved_steps(directory)):
    damage = checksums.damage(directory / str(step))
    if not damage:
      return
    aside = _free_name(directory / f'damaged-{step}')
    (directory / str(step)).rename(aside)
    log.warning(
      'The checkpoint of step %d is damaged: %s. It is skipped, and kept as '
      '%s.',
      step,
      damage,
      aside,
    )


def _saved_steps(directory):
  """Steps by the names of the folders, without opening anything."""
  return sorted(int(p.name) for p in directory.iterdir() if p.name.isdigit())


def _free_name(path):
  names = [path, *(path.with_name(f'{path.name}-{i}') for i in range(2, 1000))]
  return next(name for name in names if not name.exists())


def save_variables(directory: pathlib.Path, variables: dict[str, Any]) -> None:
  """Writes weights alone as step 0: for what starts from or evaluates them."""
  model = {name: variables[name] for name in ('params', 'batch_stats')}
  with _open(directory, {}, read_only=False) as manager:
    manager.save(0, args=_composite(ocp.args.StandardSave, {'model': model}))
    manager.wait_until_finished()


def steps(workdir: pathlib.Path) -> tuple[list[int], int | None]:
  """All steps there are, and the best one (None without an evaluation)."""
  directory = _directory(workdir)
  found = _saved_steps(directory)
  return found, _best(found, _read_scores(directory))


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
  with _open(directory, {}, read_only=True) as manager:
    shapes = manager.item_metadata(step)
    names = [name for name in ('model', 'ema') if shapes.get(name) is not None]
    items = {name: _abstract(shapes[name]) for name in names}
    restored = manager.restore(
      step, args=_composite(ocp.args.StandardRestore, items)
    )
  variables = restored['model']
  if 'ema' in items:
    variables = {**variables, 'params': restored['ema']['params']}
  variables = jax.tree.map(np.asarray, variables)
  return {name: variables[name] for name in ('params', 'batch_stats')}, step


def _choose(directory, step, best):
  """The step to load: there, and not damaged."""
  found = _saved_steps(directory)
  if step not in found and (step is not None or not found):
    there = f'{step}, only {found}' if found else 'at all'
    raise RunError(
      f'{directory.parent} has no checkpoint {there}. Train first: '
      f'launch/train.py --config=... --workdir={directory.parent}'
    )
  if step is not None:
    candidates = [step]
  else:
    first = _best(found, _read_scores(directory)) if best else None
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


def _composite(kind, items):
  return ocp.args.Composite(**{name: kind(x) for name, x in items.items()})


def _first_line(error: Exception) -> str:
  return str(error).strip().splitlines()[0][:300]


def _directory(workdir):
  directory = pathlib.Path(workdir) / 'checkpoints'
  if not directory.is_dir():
    raise RunError(
      f'{directory} is missing: there is no checkpoint yet. Train first: '
      f'launch/train.py --config=... --workdir={workdir}'
    )
  return directory


def _read_scores(directory):
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


def _best(found, scores):
  ranked = {s: v for s, v in scores.items() if s in found and math.isfinite(v)}
  # The later one of equals.
  return max(ranked, key=lambda s: (ranked[s], s)) if ranked else None


@dataclasses.dataclass
class _BestAndNewest(ocp.checkpoint_managers.PreservationPolicy):
  """By the scores, which come after the checkpoint that they are of."""

  scores: dict[int, float]

  def should_preserve(self, checkpoints, *, context):
    del context
    found = [checkpoint.step for checkpoint in checkpoints]
    kept = {*sorted(found)[-NEWEST:], _best(found, self.scores)}
    return [step in kept for step in found]


class _Summed(ocp.path.atomicity.AtomicRenameTemporaryPath):
  """A checkpoint gets its checksums before its name."""

  async def finalize(self):
    await asyncio.to_thread(self._finish)

  def _finish(self):
    if self._checkpoint_metadata_store:
      self._checkpoint_metadata_store.wait_until_finished()
    folder = pathlib.Path(self.get())
    (folder / ocp.path.atomicity.COMMIT_SUCCESS_FILE).touch()
    checksums.write(folder)
    atomic.publish(folder, self.get_final())


def _open(directory, scores, *, read_only):
  reading = {'save_interval_steps': 0, 'create': False} if read_only else {}
  options = ocp.CheckpointManagerOptions(
    preservation_policy=_BestAndNewest(scores),
    read_only=read_only,
    temporary_path_class=_Summed,
    **reading,
  )
  # Named here, so that a fresh manager can tell what a checkpoint holds.
  handlers = {
    name: ocp.StandardCheckpointHandler()
    for name in ('model', 'optimizer', 'ema')
  }
  return ocp.CheckpointManager(
    pathlib.Path(directory).absolute(), options=options, item_handlers=handlers
  )
