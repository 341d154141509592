"""The memory that compiled steps of a config need, without running them."""

import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from deeplax import config as config_lib
from deeplax import data, models, recipe, sharding, steps
from deeplax.data import ops
from deeplax.errors import ConfigError
from deeplax.state import create_state


def train_step_memory(
  config: ml_collections.ConfigDict,
  info: data.DatasetInfo,
  model: Any,
  size: tuple[int, int],
) -> dict[str, int]:
  """Bytes that one training step needs on each device, as compiled here.

  Args:
    config: Valid; `total_steps` may be unset.
    info: Of the data set.
    model: Of the config.
    size: Of the training crop.

  Returns:
    `state` (parameters, statistics, optimiser), `batch`, `temporary`
    (activations kept for the gradient, gradients, scratch) and `total`.

  Raises:
    ConfigError: Where the backend does not tell.
  """
  config = config.copy_and_resolve_references()
  # Any length will do, if the warm-up fits: the schedule takes no memory.
  config.total_steps = (
    config.total_steps or config.schedule.warmup_steps + 1_000
  )
  mesh = sharding.make_mesh(**config.mesh)
  weights = None  # as in training, whose program this may be, then
  if config.loss.class_weights or config.loss.class_weights_from_data:
    weights = np.ones(config_lib.num_outputs(config, info), np.float32)
  step, tx = recipe.make_step(config, info, model, mesh, weights)
  state = jax.eval_shape(
    lambda v: create_state(
      v, tx, config.seed, ema=config.optimizer.ema_decay is not None
    ),
    models.abstract_variables(model),
  )
  # What the device is left to do to the pictures, see `pipeline`.
  left = recipe.batch_options(config, mesh)['photometric_on_device']
  left = left and ops.split(ops.parse(config.input.train))[1]
  return _compiled(step, state, config.batch_size, size, mesh, drawn=left)


def eval_step_memory(
  config: ml_collections.ConfigDict,
  info: data.DatasetInfo,
  model: Any,
  size: tuple[int, int],
) -> dict[str, int]:
  """The same of one evaluation step, on pictures and labels of a size."""
  mesh = sharding.make_mesh(**config.mesh)
  step = steps.make_eval_step(
    model,
    num_classes=info.num_classes,
    loss_fn=recipe.eval_loss(config, None),
    void_class=config.loss.void_class,
    **config_lib.resampling(config),
  )
  variables = models.abstract_variables(model)
  return _compiled(step, variables, config.batch_size, size, mesh)


def _compiled(
  step, state, batch_size, size, mesh, *, drawn=False
) -> dict[str, int]:
  state = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(
      x.shape, x.dtype, sharding=sharding.replicated(mesh)
    ),
    state,
  )
  batch = {
    'image': jax.ShapeDtypeStruct((batch_size, *size, 3), jnp.uint8),
    'label': jax.ShapeDtypeStruct((batch_size, *size), jnp.uint8),
    'valid': jax.ShapeDtypeStruct((batch_size,), jnp.bool_),
  }
  if drawn:
    batch['photometric'] = jax.ShapeDtypeStruct((batch_size, 6), jnp.float32)
  batch = sharding.abstract_batch(batch, mesh)
  found = step.lower(state, batch).compile().memory_analysis()
  if found is None:
    raise ConfigError(
      f'{jax.default_backend()} does not tell what a compiled step needs; run '
      'this with JAX_PLATFORMS=cpu for an estimate.'
    )
  of_batch = sum(
    x.dtype.itemsize * math.prod(x.sharding.shard_shape(x.shape))
    for x in jax.tree.leaves(batch)
  )
  # The next state is written over the old one, which was donated.
  result = max(found.output_size_in_bytes - found.alias_size_in_bytes, 0)
  return {
    # Of what is used: evaluation has no auxiliary head.
    'state': found.argument_size_in_bytes - of_batch,
    'batch': of_batch,
    'temporary': found.temp_size_in_bytes + result,
    'total': found.argument_size_in_bytes + found.temp_size_in_bytes + result,
  }


def format_memory(
  config: ml_collections.ConfigDict,
  info: data.DatasetInfo,
  model: Any,
  size: tuple[int, int],
) -> Iterator[str]:
  """`train_step_memory` and `eval_step_memory` in words."""
  devices = sharding.make_mesh(**config.mesh).size
  where = (
    f'of batch_size {config.batch_size} at {size[0]}x{size[1]} on each of '
    f'{devices} device(s)'
  )
  gib = _gib(train_step_memory(config, info, model, size))
  yield (
    f'Memory: {gib["total"]} for one training step {where}: {gib["state"]} '
    f'parameters and optimiser, {gib["batch"]} batch, {gib["temporary"]} '
    f'activations, gradients and scratch. As compiled for '
    f'{jax.default_backend()}; another backend plans otherwise.'
  )
  gib = _gib(eval_step_memory(config, info, model, size))
  yield (
    f'Memory: {gib["total"]} for one evaluation step {where}: {gib["state"]} '
    f'parameters, {gib["batch"]} batch, {gib["temporary"]} activations, '
    'results and scratch.'
  )


def _gib(found: dict[str, int]) -> dict[str, str]:
  return {name: f'{value / 2**30:.2f} GiB' for name, value in found.items()}
