"""Runs one bad step of a run again, and says where its numbers go wrong."""

import logging
import pathlib
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deeplax import (
  bad_steps,
  data,
  dry_run,
  models,
  objective,
  recipe,
  sharding,
)
from deeplax import config as config_lib
from deeplax import workdir as workdir_lib
from deeplax.checkpoint import Checkpointer
from deeplax.data import pipeline
from deeplax.data.info import DatasetInfo
from deeplax.errors import RunError
from deeplax.models import watch
from deeplax.state import create_state

log = logging.getLogger('deeplax')

LISTED = 10  # arrays of each kind


def replay(folder: pathlib.Path) -> str:
  """The step that `bad_steps.keep` describes, once more, with checks on.

  In one process, whatever the run had. The state, the
  batch, the forward pass layer by layer, the loss and every gradient are
  looked at in this order; what is not finite first is where to look.

  Args:
    folder: `<workdir>/bad_steps/<step>`.

  Returns:
    The findings, lines of text.

  Raises:
    RunError: If the folder is no such thing, or the data is no longer that.
    DataError: If the data can't be read.
  """
  found = bad_steps.load(folder)
  step = found['step']
  workdir = folder.parent.parent
  config, info = workdir_lib.load_config(workdir)
  source = data.source(
    config.dataset.name, config.dataset.train_split, config.dataset.dir
  )
  config = config_lib.resolve(config, len(source))
  ids = recipe.batch_ids(config, source)(step)
  if ids != found['ids']:
    raise RunError(
      f'the pictures of step {step} are {", ".join(ids)}; they were '
      f'{", ".join(found["ids"])}. The data in {config.dataset.dir!r} has '
      'changed: replaying needs what the run was started with.'
    )
  dry_run.ends_here(lambda: f'Step {step} of {workdir} would be run again.')
  mesh = _mesh(config)
  options = config_lib.model_options(config) | {'remat': False}
  model = models.build(config_lib.num_outputs(config, info), **options)
  weights = recipe.saved_class_weights(config, workdir)
  state = _state(config, info, model, mesh, weights, folder)
  batch = _batch(config, source, mesh, step)
  lines = [
    f'step {step} of {workdir}, {len(ids)} pictures: {", ".join(ids)}',
    'then: ' + ', '.join(f'{k} {v}' for k, v in found['metrics'].items()),
    *_about_state(state),
    *_about_batch(batch, info),
    *_about_layers(model, state, batch),
    *_about_gradients(config, info, model, weights, state, batch),
  ]
  return '\n'.join(lines)


def _mesh(config):
  """That of the run, or one device where there are not as many."""
  try:
    return sharding.make_mesh(**config.mesh)
  except ValueError as error:
    log.info('On one device: %s', error)
    return sharding.make_mesh(devices=jax.local_devices()[:1])


def _state(config, info, model, mesh, weights, folder):
  """The state from before the step."""
  _, tx = recipe.make_step(config, info, model, mesh, weights)
  variables = models.initialize(model, config.seed)
  ema = config.optimizer.ema_decay is not None
  variables = sharding.put_replicated(variables, mesh)
  state = create_state(variables, tx, config.seed, ema=ema)
  checkpointer = Checkpointer(folder / 'checkpoints')
  try:
    return checkpointer.restore(sharding.put_replicated(state, mesh), mesh)
  finally:
    checkpointer.close()


def _batch(config, source, mesh, step):
  batches = pipeline.train_batches(
    source, start_step=step - 1, **recipe.batch_options(config, mesh)
  )
  with batches:
    batch = next(batches)
  keys = ('image', 'label', 'valid', 'photometric')
  used = {k: batch[k] for k in keys if k in batch}
  return sharding.cut(sharding.put_batch(used, mesh))


def _about_state(state) -> Iterable[str]:
  for name in ('params', 'batch_stats', 'opt_state', 'ema_params'):
    yield from _listing(f'before the step, {name}', getattr(state, name))


def _about_batch(batch, info: DatasetInfo) -> Iterable[str]:
  label = np.asarray(batch['label'])[np.asarray(batch['valid'])]
  counts = np.bincount(label.ravel(), minlength=256)
  named = [
    f'{name} {counts[i]}'
    for i, name in enumerate(info.class_names)
    if counts[i]
  ]
  yield (
    f'batch: {int(batch["valid"].sum())} valid examples, labels: '
    f'{", ".join(named) or "none"}, void {counts[info.ignore_label]}'
  )


def _about_layers(model, state, batch) -> Iterable[str]:
  """Every module's output, in the order in which they come."""
  outputs = watch.outputs(
    model,
    {'params': state.params, 'batch_stats': state.batch_stats},
    objective.image(batch),
    train=True,
    rngs={'dropout': objective.dropout_key(state)},
    mutable=['batch_stats'],
  )
  bad = [output for output in outputs if output.bad]
  largest = max(outputs, key=lambda output: output.largest)
  yield (
    f'layers: the largest finite output is {largest.largest:.3g}, of '
    f'{largest.name}'
  )
  if bad:
    yield (
      f'layers: the FIRST output that is not finite is that of {bad[0].name} '
      f'({bad[0].bad} numbers); {len(bad)} of {len(outputs)} are not'
    )
  else:
    yield f'layers: all {len(outputs)} outputs are finite'


def _about_gradients(
  config, info, model, weights, state, batch
) -> Iterable[str]:
  sums = jax.jit(recipe.make_gradient_sums(config, info, model, weights))
  total, weight, stats, grads = sums(state, batch)
  yield f'loss: {float(total)} / {float(weight)}'
  yield from _listing('after the step, batch_stats', stats)
  yield from _listing('gradients', grads)


def _listing(kind: str, tree: Any) -> Iterable[str]:
  """How many arrays of a tree are not finite, and the first of them."""
  looked_at = [
    (jax.tree_util.keystr(path, simple=True, separator='/'), leaf.size)
    + watch.numbers(leaf)
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    if jnp.issubdtype(leaf.dtype, jnp.inexact)
  ]
  if not looked_at:
    return
  bad = [(name, size, count) for name, size, _, count in looked_at if count]
  name, _, largest, _ = max(looked_at, key=lambda entry: entry[2])
  yield (
    f'{kind}: {len(looked_at) - len(bad)} of {len(looked_at)} arrays are '
    f'finite; the largest finite number is {largest:.3g}, in {name}'
  )
  for name, size, count in bad[:LISTED]:
    yield f'  NOT FINITE: {name}, {count} of {size} numbers'
  if len(bad) > LISTED:
    yield f'  and {len(bad) - LISTED} more'
