"""deeplax's side: the importer, the train step and the evaluation of a run."""

import pathlib
import sys
import tempfile
import time

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import safetensors.numpy
import tqdm

from deeplax import config as config_lib
from deeplax import data, models, pretrained, recipe, sharding
from deeplax.state import create_state
from tests.side_by_side.curve import Curve

# Of XLA. A step of a small network takes twice as long, compilation half.
HASTE = {
  'xla_backend_optimization_level': 0,
  'xla_llvm_disable_expensive_passes': True,
}


def train(
  config: ml_collections.ConfigDict,
  batches: dict[str, np.ndarray],
  weights: dict[str, np.ndarray],
  *,
  evaluate: bool = True,
  in_a_hurry: bool = False,
) -> Curve:
  """Trains on all the batches there are, of a run of `config.total_steps`.

  Args:
    config: Of `recipe.make_config`.
    batches: Of `batches.draw`.
    weights: Of `weights.initial`.
    evaluate: Whether the curve has figures of the eval split, too.
    in_a_hurry: Compiles with less care, which pays for a few steps.
  """
  config_lib.validate(config)
  info = data.info(config.dataset.name, config.dataset.dir)
  mesh = sharding.make_mesh(**config.mesh)
  options = config_lib.model_options(config)
  model = models.build(config_lib.num_outputs(config, info), **options)
  train_step, tx = recipe.make_step(config, info, model, mesh, None)
  variables = _imported(model, options, weights)
  state = create_state(
    sharding.put_replicated(variables, mesh), tx, config.seed
  )
  # Steps in float64 count in int64: as they leave it, for one program alone.
  state = state.replace(skipped_examples=jnp.zeros((), int))
  state = sharding.put_replicated(state, mesh)
  valid = np.ones(config.batch_size, bool)
  batches = [
    sharding.put_batch({'image': image, 'label': label, 'valid': valid}, mesh)
    for image, label in zip(batches['image'], batches['label'])
  ]
  if in_a_hurry:
    train_step = train_step.lower(state, batches[0]).compile(HASTE)
  rows, start = [], time.perf_counter()
  bar = tqdm.tqdm(
    batches, desc='deeplax', leave=False, disable=not sys.stderr.isatty()
  )
  for batch in bar:
    state, metrics = train_step(state, batch)
    rows.append((metrics['loss'], metrics['learning_rate']))
  losses, rates = np.array(jax.device_get(rows), np.float64).T
  seconds = time.perf_counter() - start
  if not evaluate:
    return Curve(losses, rates, seconds=seconds)
  source = data.source(
    config.dataset.name, config.dataset.eval_split, config.dataset.dir
  )
  evaluator = recipe.make_evaluator(config, info, model, source, None)
  scalars = evaluator(state.eval_variables).scalars
  return Curve(losses, rates, scalars['val/miou'], scalars['val/loss'], seconds)


def _imported(model, options, weights):
  """By the way of a user: a file of SMP's."""
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / 'initial.safetensors'
    safetensors.numpy.save_file(weights, path)
    file = pretrained.read('smp', path)
    variables, report = pretrained.fill(
      'smp', file, models.initialize(model, 0), options=options
    )
  assert not report.missing, report
  return variables
