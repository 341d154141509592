"""Checkpoints of a run: the only file that knows Orbax.

`checkpoints/<step>/` holds `model` (parameters and statistics), `optimizer`
(its state) and, where one is kept, `ema` (averaged parameters). Orbax writes
into a temporary folder and renames it, so a checkpoint is whole or absent. The
position in the data needs no entry: it is a function of the step.
"""

import json
import pathlib
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.sharding import Mesh, SingleDeviceSharding

from deeplax import sharding
from deeplax.errors import RunError
from deeplax.state import TrainState

BEST_METRIC = 'val/miou'


def _metric(metrics: dict[str, float]) -> float:
  return metrics[BEST_METRIC]


class Checkpointer:
  """Saves asynchronously; keeps the newest and the best by val mIoU."""

  def __init__(self, directory: pathlib.Path):
    self._manager = _open(directory, read_only=False)

  def latest_step(self) -> int | None:
    return self._manager.latest_step()

  def save(
    self, state: TrainState, step: int, metrics: dict[str, float] | None
  ) -> None:
    """Starts saving `state` as `step`; `metrics` rank it among the best.

    Args:
      state: May be donated by the next step: it is copied before this returns.
      step: Must be above every step saved so far.
      metrics: The evaluation at this step, or None when there was none.
    """
    items = {
      'model': {'params': state.params, 'batch_stats': state.batch_stats},
      'optimizer': {'opt_state': state.opt_state, 'step': state.step},
    }
    if state.ema_params is not None:
      items['ema'] = {'params': state.ema_params}
    # Without a labelled pixel there is no mIoU, and nothing to rank by.
    ranked = metrics is not None and np.isfinite(_metric(metrics))
    self._manager.save(
      step,
      args=_composite(ocp.args.StandardSave, items),
      metrics={BEST_METRIC: float(_metric(metrics))} if ranked else None,
    )

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
    items = {
      'model': {'params': like.params, 'batch_stats': like.batch_stats},
      'optimizer': {'opt_state': like.opt_state, 'step': like.step},
    }
    if like.ema_params is not None:
      items['ema'] = {'params': like.ema_params}
    try:
      restored = self._manager.restore(
        step, args=_composite(ocp.args.StandardRestore, items)
      )
    except (ValueError, KeyError, FileNotFoundError) as error:
      raise RunError(
        f'checkpoint {step} in {self._manager.directory} does not fit the '
        f'model of this config ({_first_line(error)}). Use another --workdir, '
        'or start from its weights with --config.init_from.'
      ) from error
    return TrainState(
      step=restored['optimizer']['step'],
      params=restored['model']['params'],
      batch_stats=restored['model']['batch_stats'],
      opt_state=restored['optimizer']['opt_state'],
      ema_params=restored['ema']['params'] if 'ema' in items else None,
    )

  def wait(self) -> None:
    """Returns when everything that was saved is on disk."""
    self._manager.wait_until_finished()

  def close(self) -> None:
    self._manager.close()


def save_variables(directory: pathlib.Path, variables: dict[str, Any]) -> None:
  """Writes weights alone as step 0: for what starts from or evaluates them."""
  model = {name: variables[name] for name in ('params', 'batch_stats')}
  with _open(directory, read_only=False) as manager:
    manager.save(0, args=_composite(ocp.args.StandardSave, {'model': model}))
    manager.wait_until_finished()


def steps(workdir: pathlib.Path) -> tuple[list[int], int | None]:
  """All steps there are, and the best one (None without an evaluation)."""
  with _reading(workdir) as manager:
    return sorted(manager.all_steps()), _best(manager)


def load_variables(
  workdir: pathlib.Path, *, step: int | None = None, best: bool = True
) -> tuple[dict[str, Any], int]:
  """Reads weights to evaluate with: the averaged ones where a run keeps them.

  Args:
    workdir: Of a run.
    step: Of a checkpoint that is there; default: see `best`.
    best: Take the best by val mIoU, if there was an evaluation, not the newest.

  Returns:
    `({'params', 'batch_stats'} as numpy arrays, step)`.

  Raises:
    RunError: If there is no such checkpoint.
  """
  with _reading(workdir) as manager:
    found = sorted(manager.all_steps())
    if step is None and found:
      step = (_best(manager) if best else None) or found[-1]
    if step not in found:
      there = f'{step}, only {found}' if found else 'at all'
      raise RunError(
        f'{workdir} has no checkpoint {there}. Train first: launch/train.py '
        f'--config=... --workdir={workdir}'
      )
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


def _reading(workdir):
  directory = pathlib.Path(workdir) / 'checkpoints'
  if not directory.is_dir():
    raise RunError(
      f'{directory} is missing: there is no checkpoint yet. Train first: '
      f'launch/train.py --config=... --workdir={workdir}'
    )
  return _open(directory, read_only=True)


def _best(manager):
  ranked = {
    step: metrics[BEST_METRIC]
    for step in manager.all_steps()
    if (metrics := manager.metrics(step))
  }
  return max(ranked, key=ranked.get) if ranked else None


def _open(directory: pathlib.Path, *, read_only: bool):
  policy = ocp.checkpoint_managers.AnyPreservationPolicy(
    [
      ocp.checkpoint_managers.LatestN(1),
      ocp.checkpoint_managers.BestN(
        get_metric_fn=_metric, n=1, keep_checkpoints_without_metrics=False
      ),
    ]
  )
  reading = {'save_interval_steps': 0, 'create': False} if read_only else {}
  options = ocp.CheckpointManagerOptions(
    preservation_policy=policy, best_fn=_metric, read_only=read_only, **reading
  )
  # Named here, so that a fresh manager can tell what a checkpoint holds.
  handlers = {
    name: ocp.StandardCheckpointHandler()
    for name in ('model', 'optimizer', 'ema')
  }
  return ocp.CheckpointManager(
    pathlib.Path(directory).absolute(), options=options, item_handlers=handlers
  )


def merge(
  target: dict[str, Any], source: dict[str, Any]
) -> tuple[dict[str, Any], str, bool]:
  """Puts what fits of `source` into `target`, by path and shape.

  Args:
    target: Freshly drawn variables of the new model.
    source: Variables of another model.

  Returns:
    `(variables, report, complete)`: the merged variables, a listing of what
    was taken, what kept its fresh values and what was left over, and whether
    every one of the target's arrays was found.
  """
  new, old = _flat(target), _flat(source)
  taken = [k for k in new if k in old and new[k].shape == old[k].shape]
  shapes = [k for k in new if k in old and new[k].shape != old[k].shape]
  missing = [k for k in new if k not in old]
  unused = [k for k in old if k not in new]
  lines = [f'{len(taken)} of {len(new)} arrays taken']
  lines += [
    f'  other shape, kept fresh: {k}: {old[k].shape} there, {new[k].shape} here'
    for k in shapes
  ]
  lines += [f'  not there, kept fresh: {k} {new[k].shape}' for k in missing]
  lines += [f'  there, not used: {k} {old[k].shape}' for k in unused]
  merged = jax.tree_util.tree_map_with_path(
    lambda path, x: (
      np.asarray(old[_name(path)], x.dtype) if _name(path) in taken else x
    ),
    target,
  )
  return merged, '\n'.join(lines), not shapes and not missing


def _flat(tree):
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  return {_name(path): np.asarray(leaf) for path, leaf in leaves}


def _name(path):
  return jax.tree_util.keystr(path, simple=True, separator='/')


def write_json(path: pathlib.Path, tree: Any) -> None:
  """Writes JSON all at once or not at all."""
  part = path.with_suffix('.part')
  part.write_text(json.dumps(tree, indent=2) + '\n')
  part.replace(path)
