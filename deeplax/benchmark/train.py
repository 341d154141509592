"""How fast a network trains: the step of a training run, without its input."""

from typing import Any

import ml_collections
import numpy as np

from deeplax import models, recipe, sharding
from deeplax.benchmark.program import Program, compile_step, measure
from deeplax.benchmark.subject import Subject, prepare
from deeplax.state import create_state


def benchmark_train(
  config: ml_collections.ConfigDict | None = None,
  *,
  size: tuple[int, int] | None = None,
  batch_size: int | None = None,
  peer: str | None = None,
  profile: bool = False,
  repeats: int = 20,
) -> dict[str, Any]:
  """Pictures a second of the jitted train step, its batch on the device.

  Args:
    config: The network, loss and optimiser.
    size: Height and width of the pictures; the training crop by default.
    batch_size: Over all devices; the config's by default.
    peer: `'smp'`, `'torchvision'` or `'timm'`: the same network of PyTorch is
      measured in the same run, by turns.
    profile: Whether to list the kernels that take most of the device's time.
    repeats: Measurements of each, after a warm-up.

  Returns:
    `'images_per_second'` and `'milliseconds'` of the median step and the
    extremes, operations a second and their share of what a matrix product
    reaches, memory, compilation, the peer's, and what it was measured on.

  Raises:
    ConfigError, RunError, DataError: See `subject.prepare`.
  """
  keys = dict(size=size, batch_size=batch_size, peer=peer)
  subject = prepare(config, **keys)
  program = _program(subject)
  result = measure(
    subject, program, peer=peer, repeats=repeats, profiled=profile
  )
  return {'what': 'train', **result}


def _program(subject: Subject) -> Program:
  """The step as `train.train_and_evaluate` makes it."""
  config = subject.config
  mesh = sharding.make_mesh(**config.mesh)
  weights = None
  if config.loss.class_weights_from_data or config.loss.class_weights:
    # Whatever they are, they cost the same.
    weights = np.ones(subject.num_classes, np.float32)
  train_step, tx = recipe.make_step(
    config, subject.info, subject.model, mesh, weights
  )
  variables = sharding.put_replicated(
    models.initialize(subject.model, config.seed), mesh
  )
  ema = config.optimizer.ema_decay is not None
  state = create_state(variables, tx, config.seed, ema=ema)
  state = sharding.put_replicated(state, mesh)
  batch = sharding.put_batch(subject.batch, mesh)
  compiled, seconds = compile_step(train_step, state, batch)

  def step():
    nonlocal state
    state, metrics = compiled(state, batch)
    return metrics

  return Program(step, compiled, seconds, devices=mesh.size, training=True)
