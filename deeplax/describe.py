"""What a config's network is and needs, before anything is trained.

Nothing is computed: shapes, operations and memory are read off the traced and
compiled program.
"""

from collections.abc import Iterator

import ml_collections

from deeplax import config as config_lib
from deeplax import data, models, open_keys
from deeplax.data import ops
from deeplax.errors import ConfigError
from deeplax.models.flops import forward_flops
from deeplax.models.table import Row, layer_table
from deeplax.step_memory import format_memory


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
    memory: Whether to compile the steps of training and evaluation and say
      what they need.

  Yields:
    The layers; the numbers of parameters and running statistics; the
    operations of one forward pass; the memory of a training step
    and of an evaluation step.

  Raises:
    ConfigError: On a config, a size or a batch size that can't be run.
    DataError: If the classes lie with the data, and that is missing.
  """
  config = ml_collections.ConfigDict(config)
  if batch_size is not None:
    config.batch_size = batch_size
  config_lib.validate(config)
  config = open_keys.filled(config)
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
  flops = forward_flops(model, (1, *size, 3), on_padding=False)
  yield ''
  yield f'Total params: {trainable:,}'
  yield f'Trainable: {trainable:,}'
  yield f'Statistics: {sum(row.statistics for row in rows):,}'
  yield (
    f'GFLOPs: {flops / 1e9:,.1f} for one picture of {size[0]}x{size[1]}, '
    'forward, convolutions (1 multiply-add is 2 FLOPs; taps on padding are '
    'not counted)'
  )
  if not memory:
    return
  yield 'Compiling the steps; a minute for a large network ...'
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
