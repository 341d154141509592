"""A config is checked here, whole, before anything is compiled or read."""

import math
from typing import Any

import jax
import ml_collections

from deeplax import (
  config_ranges,
  losses,
  models,
  open_keys,
  optimizers,
  refinement,
  sharding,
)
from deeplax.data import ops
from deeplax.data.info import DatasetInfo
from deeplax.errors import ConfigError

# Operations of `deeplax.data.ops` that draw random numbers.
RANDOM_OPS = (
  'random_scale',
  'random_crop',
  'class_crop',
  'random_flip',
  'cutmix',
  'paste_rare',
  'photometric',
)


def validate(config: ml_collections.ConfigDict) -> None:
  """Checks what can be checked without the data; see also `open_keys`.

  Raises:
    ConfigError: With the key, the value found and the value expected.
  """
  config_ranges.check(config)
  config = open_keys.filled(config)
  if config.model.dtype == 'float64' and not jax.config.jax_enable_x64:
    raise ConfigError(
      "model.dtype (='float64') needs JAX_ENABLE_X64=1 in the environment."
    )
  if not config.total_steps and not config.total_epochs:
    raise ConfigError(
      f'total_steps (={config.total_steps}) or total_epochs '
      f'(={config.total_epochs}) must be set to a positive number.'
    )
  if config.loss.class_weights and config.loss.class_weights_from_data:
    raise ConfigError(
      'loss.class_weights and loss.class_weights_from_data are both set; '
      'choose one.'
    )
  for check in (_build_model, _build_loss, _build_optimizer):
    try:
      check(config)
    except ValueError as error:
      raise ConfigError(str(error)) from error
  _check_input(config)
  _check_devices(config)


def validate_start(config: ml_collections.ConfigDict) -> None:
  """Checks what matters at the start of a run, not when one goes on.

  Raises:
    ConfigError: If fresh weights would be trained with frozen statistics.
  """
  if config.init_from:
    return
  for key in ('freeze_bn', 'freeze_encoder_bn'):
    if config.model[key]:
      raise ConfigError(
        f'model.{key} (=True) needs weights to start from, and init_from is '
        'empty: the statistics of fresh weights are mean 0 and variance 1, and '
        'with these kept the numbers grow from layer to layer until they are '
        'not finite. Give the folder of a run, or of weights that '
        'launch/convert.py wrote, as --config.init_from=..., or train the '
        f'statistics, too: --config.model.{key}=False'
      )


def validate_model(config: ml_collections.ConfigDict) -> None:
  """Checks the values of all keys, and what concerns the network alone.

  Raises:
    ConfigError: As `validate`.
  """
  config_ranges.check(config)
  try:
    refinement.options(config, True)
    _build_model(config)
  except ValueError as error:
    raise ConfigError(str(error)) from error


def _build_model(config):
  models.build(2, **model_options(config))


def _build_loss(config):
  weights = config.loss.class_weights_from_data or config.loss.class_weights
  losses.build(
    config.loss.name, class_weights=weights or None, **loss_options(config)
  )


def _build_optimizer(config):
  # The number of steps may hang on the data; a warm-up is checked again then.
  total = config.total_steps or max(config.schedule.warmup_steps + 1, 2)
  schedule = optimizers.make_schedule(
    **config.schedule.to_dict(), total_steps=total
  )
  optimizers.make_optimizer(schedule, **optimizer_options(config))


def _check_input(config):
  try:
    train_ops = ops.parse(config.input.train)
    eval_ops = ops.parse(config.input.eval)
  except ValueError as error:
    raise ConfigError(f'input: {error}') from error
  for key, parsed, wrong, why in (
    ('train', train_ops, ('resize_image',), 'leaves the label at another size'),
    ('eval', eval_ops, RANDOM_OPS, 'is random, each call would measure others'),
  ):
    for op in parsed:
      if op.name in wrong:
        raise ConfigError(
          f'input.{key} (={config.input[key]!r}): {op.name} {why}. Leave it '
          'out.'
        )
  crop = ops.crop_size(train_ops)
  if crop is None:
    raise ConfigError(
      f'input.train (={config.input.train!r}) must bring every picture to one '
      'size: end it with random_crop(height, width) or resize(height, width).'
    )
  stride = config.model.output_stride
  if min(crop) <= stride:
    raise ConfigError(
      f'input.train crops to {crop[0]}x{crop[1]}, which must be larger than '
      f'model.output_stride (={stride}) in both directions.'
    )


def _check_devices(config):
  try:
    mesh = sharding.make_mesh(**config.mesh)
  except ValueError as error:
    raise ConfigError(str(error)) from error
  spatial = config.mesh.spatial
  parts = mesh.shape['data'] * config.optimizer.accumulate
  if config.batch_size % parts:
    raise ConfigError(
      f'batch_size (={config.batch_size}) must be divisible by the '
      f'{mesh.shape["data"]} devices of mesh.data times '
      f'optimizer.accumulate (={config.optimizer.accumulate}), so by {parts}. '
      f'The nearest {_multiples(config.batch_size, parts)}.'
    )
  if jax.process_count() > 1 and (
    mesh.size < jax.device_count() or jax.local_device_count() % spatial
  ):
    raise ConfigError(
      f'mesh.data (={config.mesh.data}) x mesh.spatial (={spatial}) takes '
      f'{mesh.size} of {jax.device_count()} devices. With several processes '
      'all must be taken (mesh.data=-1), and mesh.spatial must divide the '
      f'devices of one process (={jax.local_device_count()}).'
    )
  if config.batch_size % jax.process_count():
    raise ConfigError(
      f'batch_size (={config.batch_size}) must be divisible by the number of '
      f'processes (={jax.process_count()}).'
    )


def _multiples(size: int, parts: int) -> str:
  below = size // parts * parts
  if not below:
    return f'size is {parts}'
  return f'sizes are {below} and {below + parts}'


def model_options(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """`config.model` as keyword arguments of `deeplax.models.build`."""
  return config.model.to_dict()


def resampling(config: ml_collections.ConfigDict) -> dict[str, bool]:
  """The grid of `config.model`, as keyword arguments of `ops.resize`."""
  return dict(
    align_corners=config.model.align_corners,
    # Runs made before there was a choice have no such key.
    half_pixel_centers=config.model.get('half_pixel_centers', True),
  )


def loss_options(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """Of `config.loss`, keyword arguments of `losses.build`, less weights."""
  keys = (
    'label_smoothing',
    'hard_pixels',
    'hard_pixels_ramp',
    'normalize_by',
    'region_weight',
  )
  return {key: config.loss[key] for key in keys}


def optimizer_options(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """`config.optimizer` as keyword arguments of `make_optimizer`."""
  options = config.optimizer.to_dict()
  # Of the step, not of the optimiser.
  for key in ('accumulate', 'ema_decay', 'skip_nonfinite'):
    options.pop(key)
  return options


def num_outputs(config: ml_collections.ConfigDict, info: DatasetInfo) -> int:
  """Classes that the network tells apart: the void class too, if trained."""
  return info.num_classes + config.loss.void_class


def resolve(
  config: ml_collections.ConfigDict, num_examples: int
) -> ml_collections.ConfigDict:
  """Returns a copy in which `total_steps` is set: epochs become steps."""
  # A plain copy would share its placeholders with this config.
  config = config.copy_and_resolve_references()
  if not config.total_steps:
    examples = config.total_epochs * num_examples
    config.total_steps = math.ceil(examples / config.batch_size)
  if config.schedule.warmup_steps >= config.total_steps:
    raise ConfigError(
      f'schedule.warmup_steps (={config.schedule.warmup_steps}) must be less '
      f'than the total number of steps (={config.total_steps}).'
    )
  return config.lock()
