"""What a config's network is and needs, before anything is trained.

Nothing is computed: shapes, operations and memory are read off the traced and
compiled program.
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from deeplax import config as config_lib
from deeplax import data, models, sharding
from deeplax.data import ops
from deeplax.errors import ConfigError
from deeplax.models.table import Row, layer_table
from deeplax.recipe import make_step
from deeplax.state import create_state


def describe(
  config: ml_collections.ConfigDict,
  *,
  size: tuple[int, int] | None = None,
  batch_size: int | None = None,
  memory: bool = False,
) -> Iterator[str]:
  """Describes the network of a config, line by line.

  Args:
    config: One of configs/.
    size: Height and width of a picture; the training crop by default.
    batch_size: For the memory of a training step; the config's by default.
    memory: Whether to compile the training step and say what it needs.

  Yields:
    The layers; the numbers of parameters and running statistics; the
    operations of one forward pass; the memory of one training step.

  Raises:
    ConfigError: On a config, a size or a batch size that can't be run.
    DataError: If the classes lie with the data, and that is missing.
  """
  config = ml_collections.ConfigDict(config)
  if batch_size is not None:
    config.batch_size = batch_size
  config_lib.validate(config)
  size = size or ops.crop_size(ops.parse(config.input.train))
  if min(size) < 1:
    raise ConfigError(f'size (={size}) must be at least 1x1.')
  info = data.info(config.dataset.name, config.dataset.dir)
  model = models.build(
    config_lib.num_outputs(config, info), **config_lib.model_options(config)
  )
  rows = layer_table(model, (1, *size, 3))
  yield from format_table(rows)
  trainable = sum(row.params for row in rows)
  yield ''
  yield f'Total params: {trainable:,}'
  yield f'Trainable: {trainable:,}'
  yield f'Statistics: {sum(row.statistics for row in rows):,}'
  yield (
    f'GFLOPs: {forward_flops(model, size) / 1e9:,.1f} for one picture of '
    f'{size[0]}x{size[1]}, forward (1 multiply-add is 2 FLOPs; taps on '
    'padding are not counted)'
  )
  if not memory:
    return
  yield 'Compiling the training step; half a minute for a large network ...'
  yield from format_memory(config, info, model, size)


def format_table(rows: list[Row]) -> Iterator[str]:
  """The layers, their results and their numbers of parameters."""
  width = max(len(row.path) for row in rows)
  yield f'{"layer":<{width}}  {"result":>16}  {"params":>11}  {"stats":>7}'
  for row in rows:
    shape = 'x'.join(map(str, row.shape[1:]))
    yield (
      f'{row.path:<{width}}  {shape:>16}  {row.params:>11,}  '
      f'{row.statistics:>7,}'
    )


def forward_flops(model, size: tuple[int, int]) -> float:
  """Floating-point operations of the logits of one picture.

  XLA's count of the program before its optimisation; one multiply-add is two
  operations, and taps that fall on padding are none.
  """
  image = jax.ShapeDtypeStruct((1, *size, 3), np.uint8)
  lowered = jax.jit(
    lambda variables, image: model.apply(variables, image, train=False)[0]
  ).lower(models.abstract_variables(model), image)
  return lowered.cost_analysis()['flops']


def train_step_memory(
  config: ml_collections.ConfigDict,
  info: data.DatasetInfo,
  model,
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
  """
  config = ml_collections.ConfigDict(config)
  # Any length will do, if the warm-up fits: the schedule takes no memory.
  config.total_steps = config.schedule.warmup_steps + 1_000
  mesh = sharding.make_mesh(**config.mesh)
  weights = np.ones(config_lib.num_outputs(config, info), np.float32)
  step, tx = make_step(config, info, model, mesh, weights)
  variables = models.abstract_variables(model)
  state = jax.eval_shape(
    lambda v: create_state(v, tx, ema=config.optimizer.ema_decay is not None),
    variables,
  )
  state = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(
      x.shape, x.dtype, sharding=sharding.replicated(mesh)
    ),
    state,
  )
  batch = {
    name: jax.ShapeDtypeStruct(
      (config.batch_size, *shape),
      dtype,
      sharding=sharding.batch_sharding(mesh, 1 + len(shape)),
    )
    for name, shape, dtype in (
      ('image', (*size, 3), jnp.uint8),
      ('label', size, jnp.uint8),
      ('valid', (), jnp.bool_),
    )
  }
  found = step.lower(state, batch).compile().memory_analysis()
  if found is None:
    raise ConfigError(
      f'{jax.default_backend()} does not tell what a compiled step needs; run '
      'this with JAX_PLATFORMS=cpu for an estimate.'
    )
  of_state = sum(
    x.dtype.itemsize * int(np.prod(x.shape)) for x in jax.tree.leaves(state)
  )
  # The next state is written over the old one, which was donated.
  result = found.output_size_in_bytes - found.alias_size_in_bytes
  return {
    'state': of_state,
    'batch': found.argument_size_in_bytes - of_state,
    'temporary': found.temp_size_in_bytes + max(result, 0),
    'total': found.argument_size_in_bytes
    + found.temp_size_in_bytes
    + max(result, 0),
  }


def format_memory(config, info, model, size) -> Iterator[str]:
  """`train_step_memory` in words."""
  found = train_step_memory(config, info, model, size)
  gib = {name: f'{value / 2**30:.2f} GiB' for name, value in found.items()}
  devices = sharding.make_mesh(**config.mesh).size
  yield (
    f'Memory: {gib["total"]} for one training step of batch_size '
    f'{config.batch_size} at {size[0]}x{size[1]} on each of {devices} '
    f'device(s): {gib["state"]} parameters and optimiser, {gib["batch"]} '
    f'batch, {gib["temporary"]} activations, gradients and scratch. As '
    f'compiled for {jax.default_backend()}; another backend plans otherwise.'
  )
