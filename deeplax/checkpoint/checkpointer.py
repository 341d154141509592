"""What a run saves, and goes on from."""

import pathlib

import jax
import orbax.checkpoint as ocp
from jax.sharding import Mesh

from deeplax import sharding
from deeplax.checkpoint.manager import (
  check_space,
  composite,
  disk_errors,
  open_manager,
)
from deeplax.checkpoint.scores import read_scores, write_scores
from deeplax.errors import RunError
from deeplax.state import TrainState

_COUNTERS = ('step', 'bad_steps', 'skipped_examples')


class Checkpointer:
  """Saves asynchronously; keeps the two newest and the best by val mIoU."""

  def __init__(self, directory: pathlib.Path):
    """One process at a time may have one for a folder, or one job."""
    self._scores = read_scores(directory)
    self._directory = directory
    self._manager = open_manager(directory, self._scores, read_only=False)
    self._forget_scores_of_lost_steps()

  def _forget_scores_of_lost_steps(self) -> None:
    """Steps that are done again are evaluated again.

    A score comes while its checkpoint is still on the way, and one that was
    damaged is set aside.
    """
    latest = self.latest_step() or 0
    lost = [step for step in self._scores if step > latest]
    for step in lost:
      del self._scores[step]
    if lost and jax.process_index() == 0:
      write_scores(self._directory, self._scores)

  def latest_step(self) -> int | None:
    return self._manager.latest_step()

  def save(self, state: TrainState, step: int) -> None:
    """Starts saving `state` as `step`, unless that is there already.

    Args:
      state: May be donated by the next step: it is copied before this returns.
      step: Must not be below any step saved so far.

    Raises:
      OSError: If the disk is full, now or when the last one was written.
    """
    if step == self.latest_step():
      return
    items = _items(state)
    with disk_errors(self._manager.directory):
      self._manager.wait_until_finished()
      check_space(self._manager.directory, items)
      self._manager.save(step, args=composite(ocp.args.StandardSave, items))

  def score(self, step: int, miou: float) -> None:
    """Notes that a saved step was evaluated; the best one is kept.

    Args:
      step: Of a checkpoint.
      miou: NaN where nothing is labelled: evaluated, but never the best.
    """
    self._scores[step] = miou
    if jax.process_index() == 0:
      write_scores(self._directory, self._scores)

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
    args = composite(ocp.args.StandardRestore, _items(like))
    try:
      restored = self._manager.restore(step, args=args)
    except (ValueError, KeyError, FileNotFoundError) as error:
      raise RunError(
        f'checkpoint {step} in {self._manager.directory} does not fit the '
        f'model of this config ({_first_line(error)}). Use another --workdir, '
        'or start from its weights with --config.init_from.'
      ) from error
    optimizer = restored['optimizer']
    return state.replace(
      **{name: optimizer[name] for name in _COUNTERS},
      params=restored['model']['params'],
      batch_stats=restored['model']['batch_stats'],
      opt_state=optimizer['opt_state'],
      ema_params=restored['ema']['params'] if 'ema' in _items(like) else None,
    )

  def wait(self) -> None:
    """Returns when everything that was saved is on disk.

    Raises:
      OSError: If the disk is full.
    """
    with disk_errors(self._manager.directory):
      self._manager.wait_until_finished()

  def close(self) -> None:
    with disk_errors(self._manager.directory):
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


def _first_line(error: Exception) -> str:
  return str(error).strip().splitlines()[0][:300]
