"""Keys that a config may leave open, as None: training fits them to the data.

`configs/folder.py` does so. See `fitting` for how they are chosen; commands
without data at hand take the most that would be chosen.
"""

import ml_collections

from deeplax import sharding
from deeplax.errors import ConfigError

KEYS = ('input.train', 'input.eval', 'batch_size')
LARGEST_CROP = 512  # rows and columns
LARGEST_BATCH = 8  # what the recipe's learning rate is for


def of(config: ml_collections.ConfigDict) -> tuple[str, ...]:
  """Those that this config leaves open."""
  sections = {'input': config.input, '': config}
  found = []
  for key in KEYS:
    section, _, name = key.rpartition('.')
    if sections[section][name] is None:
      found.append(key)
  return tuple(found)


def filled(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
  """A copy with the most that would be chosen; itself if nothing is open.

  Raises:
    ConfigError: If the mesh can't be made.
  """
  if not of(config):
    return config
  config = config.copy_and_resolve_references()
  with config.unlocked():
    if config.input.train is None:
      config.input.train = train_ops(config, LARGEST_CROP, LARGEST_CROP)
    if config.input.eval is None:
      config.input.eval = ''
    if config.batch_size is None:
      config.batch_size = batch_size(config, LARGEST_BATCH)
  return config


def train_ops(
  config: ml_collections.ConfigDict, height: int, width: int
) -> str:
  """`chain`, whose crops are one larger for aligned corners.

  See `configs/common.py`.
  """
  return chain(*(n + config.model.align_corners for n in (height, width)))


def chain(height: int, width: int) -> str:
  """The operations of training that end in crops of this size."""
  return (
    f'random_scale(0.5, 2.0)|random_crop({height}, {width})|random_flip()|'
    'photometric()'
  )


def parts(config: ml_collections.ConfigDict) -> int:
  """What a batch size must be divisible by.

  Raises:
    ConfigError: If the mesh can't be made.
  """
  try:
    mesh = sharding.make_mesh(**config.mesh)
  except ValueError as error:
    raise ConfigError(str(error)) from error
  return mesh.shape['data'] * config.optimizer.accumulate


def batch_size(config: ml_collections.ConfigDict, most: int) -> int:
  """The largest batch up to `most` that can be divided; or the smallest."""
  of_parts = parts(config)
  return max(most // of_parts, 1) * of_parts
