"""The values that each key of a config may take, as a table."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import ml_collections

from deeplax import losses
from deeplax.errors import ConfigError


def _whole(value):
  return isinstance(value, int) and not isinstance(value, bool)


def _number(value):
  return _whole(value) or (isinstance(value, float) and math.isfinite(value))


# Keys, what a value must fulfil, and that in words. Numbers are finite already.
_RULES: tuple[tuple[tuple[str, ...], Callable[[Any], bool], str], ...] = (
  (
    (
      'batch_size',
      'input.eval_batch_size',
      'total_steps',
      'log_every',
      'eval_every',
      'checkpoint_every',
      'optimizer.accumulate',
      'mesh.spatial',
    ),
    lambda v: v >= 1,
    'must be positive, 1 or more',
  ),
  (
    (
      'total_epochs',
      'schedule.peak',
      'schedule.power',
      'schedule.factor',
      'optimizer.clip_norm',
      'model.bn_epsilon',
      'model.encoder_bn_epsilon',
    ),
    lambda v: v > 0,
    'must be positive',
  ),
  (
    (
      'input.workers',
      'schedule.end',
      'schedule.warmup_steps',
      'loss.hard_pixels_ramp',
      'loss.auxiliary_weight',
      'loss.region_weight',
      'optimizer.weight_decay',
      'optimizer.skip_nonfinite',
      'optimizer.encoder_lr_mult',
      'optimizer.logits_lr_mult',
      'optimizer.bias_lr_mult',
      'optimizer.bn_lr_mult',
    ),
    lambda v: v >= 0,
    'must be 0 or more',
  ),
  (
    (
      'loss.label_smoothing',
      'optimizer.momentum',
      'optimizer.b1',
      'optimizer.b2',
      'model.bn_decay',
    ),
    lambda v: 0 <= v < 1,
    'must be in [0, 1)',
  ),
  (('optimizer.ema_decay',), lambda v: 0 < v < 1, 'must be in (0, 1)'),
  (('loss.hard_pixels',), lambda v: 0 < v <= 1, 'is a fraction in (0, 1]'),
  (
    ('mesh.data',),
    lambda v: v == -1 or v >= 1,
    'must be 1 or more, or -1: all',
  ),
  (('seed',), lambda v: 0 <= v < 2**32, 'must be in 0..4294967295'),
  (
    ('dataset.on_error',),
    lambda v: v in ('raise', 'skip'),
    "must be one of 'raise', 'skip'",
  ),
  (
    ('model.dtype',),
    lambda v: v in ('float32', 'bfloat16', 'float64'),
    "must be one of 'float32', 'bfloat16', 'float64'",
  ),
  (
    ('loss.name',),
    lambda v: v in losses.available(),
    f'must be one of {", ".join(map(repr, losses.available()))}',
  ),
  (
    ('loss.normalize_by',),
    lambda v: v in ('pixels', 'weights'),
    "must be one of 'pixels', 'weights'",
  ),
  (
    (
      'model.multi_grid',
      'model.atrous_rates',
      'model.image_pooling_window',
      'model.unet_channels',
    ),
    lambda v: all(_whole(x) and x >= 1 for x in v),
    'must hold whole numbers, 1 or more, as in (1, 2, 4)',
  ),
  (
    ('loss.class_weights',),
    lambda v: all(_number(x) and x >= 0 for x in v) and (not v or any(v)),
    'must hold numbers, 0 or more, and not zeros alone',
  ),
  (
    ('model.input_scales',),
    lambda v: all(_number(x) and x > 0 for x in v),
    'must hold positive numbers, as in (1.0, 0.75, 0.5)',
  ),
  (
    ('schedule.boundaries',),
    lambda v: all(_number(x) and 0 < x < 1 for x in v) and list(v) == sorted(v),
    'must hold ascending fractions of the whole run, as in (0.5, 0.75)',
  ),
)


def check(config: ml_collections.ConfigDict) -> None:
  """Checks every value by itself; what hangs on several is checked elsewhere.

  A key whose value is None (a placeholder left open) passes.

  Raises:
    ConfigError: A key is missing, or its value is out of its range.
  """
  for key, value in _leaves(config.to_dict()):
    if isinstance(value, float) and not math.isfinite(value):
      raise ConfigError(f'{key} (={value}) must be a finite number.')
  for keys, fits, words in _RULES:
    for key in keys:
      value = get(config, key)
      if value is not None and not fits(value):
        raise ConfigError(f'{key} (={value!r}) {words}.')


def get(config: ml_collections.ConfigDict, key: str) -> Any:
  """The value of a key such as 'model.head'.

  Raises:
    ConfigError: There is none.
  """
  for part in key.split('.'):
    if not isinstance(config, ml_collections.ConfigDict) or part not in config:
      raise ConfigError(
        f'the config has no key {key}. Start from configs/common.py, where '
        'every key stands: config = common.base().'
      )
    config = config[part]
  return config


def _leaves(tree: Any, prefix: str = '') -> Iterator[tuple[str, Any]]:
  if not isinstance(tree, dict):
    yield prefix[:-1], tree
    return
  for key, value in tree.items():
    yield from _leaves(value, f'{prefix}{key}.')
