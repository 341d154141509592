"""The family side by side: parameters, operations, time of one picture."""

from collections.abc import Iterator, Mapping

import jax
import ml_collections
import numpy as np

from deeplax import config as config_lib
from deeplax import cost, data, models
from deeplax.errors import ConfigError
from deeplax.models.flops import forward_flops
from deeplax.models.table import layer_table


def compare(
  configs: Mapping[str, ml_collections.ConfigDict],
  *,
  size: tuple[int, int] = (512, 1024),
  repeats: int = 3,
) -> Iterator[str]:
  """Describes the networks of several configs, a line each.

  All are measured alike: one picture of that size, labels at its size, in
  float32 on a CPU and in bfloat16 elsewhere, at the output stride of the
  config.

  Args:
    configs: By name.
    size: Height and width of the picture.
    repeats: Timed predictions of each.

  Yields:
    A head, and a line for each config.

  Raises:
    ConfigError: On a config or a size that can't be.
  """
  if min(size) < 1:
    raise ConfigError(f'size (={size}) must be at least 1x1.')
  device = jax.local_devices()[0]
  dtype = 'float32' if device.platform == 'cpu' else 'bfloat16'
  width = max(len(name) for name in configs)
  yield (
    f'{"config":<{width}}  {"encoder":<18}  {"stride":>6}  {"params":>11}  '
    f'{"GFLOPs":>8}  {"ms":>8}  {"MiB":>6}'
  )
  for name, config in configs.items():
    config_lib.validate_model(config)
    info = data.info(config.dataset.name, config.dataset.dir)
    options = {**config_lib.model_options(config), 'dtype': dtype}
    model = models.build(config_lib.num_outputs(config, info), **options)
    params = sum(row.params for row in layer_table(model, (1, *size, 3)))
    flops = forward_flops(model, (1, *size, 3), on_padding=False)
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    measured = cost.measure_picture(
      model,
      models.initialize(model, config.seed),
      picture,
      size,
      repeats=repeats,
      **config_lib.resampling(config),
    )
    encoder = f'{config.model.encoder} {config.model.variant}'
    memory = '-'
    if measured.memory is not None:
      memory = f'{measured.memory / 2**20:.0f}'
    yield (
      f'{name:<{width}}  {encoder:<18}  {config.model.output_stride:>6}  '
      f'{params:>11,}  {flops / 1e9:>8,.1f}  {measured.milliseconds:>8,.1f}  '
      f'{memory:>6}'
    )
  yield (
    f'One picture of {size[0]}x{size[1]}, {dtype}, on {device.device_kind}; ms '
    f'is the median of {repeats} predictions, MiB what the device needs for '
    'one. A multiply-add is 2 FLOPs; taps on padding are not counted.'
  )
