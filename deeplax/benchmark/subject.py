"""The network that is measured, and a batch for it."""

import dataclasses
import os
from typing import Any

import jax
import ml_collections
import numpy as np

from deeplax import config as config_lib
from deeplax import data, models, open_keys, sharding
from deeplax.benchmark import peers
from deeplax.benchmark.machine import load, machine
from deeplax.data import DatasetInfo, ops
from deeplax.errors import ConfigError

_PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'numpy')


@dataclasses.dataclass(frozen=True)
class Subject:
  """What is measured.

  Attributes:
    config: Valid, `total_steps` set.
    info: Classes of its data set.
    model: Its network.
    size: Height and width of the pictures.
    batch: `image` uint8[B, H, W, 3], `label` uint8[B, H, W], `valid` bool[B],
      on the host; drawn, as no figure depends on the values.
    load_before: Load average before this made any.
  """

  config: ml_collections.ConfigDict
  info: DatasetInfo
  model: Any
  size: tuple[int, int]
  batch: dict[str, np.ndarray]
  load_before: float | None

  @property
  def num_classes(self) -> int:
    """Channels of the logits."""
    return config_lib.num_outputs(self.config, self.info)

  def describe(self) -> dict[str, Any]:
    """What the figures belong to, for the end of a result."""
    model = self.config.model
    return {
      'network': (
        f'{model.name}, encoder {model.encoder} {model.variant}, head '
        f'{model.head}, decoder {model.decoder}, output stride '
        f'{model.output_stride}, {self.num_classes} classes'
      ),
      'size': '{}x{}'.format(*self.size),
      'batch_size': self.config.batch_size,
      'dtype': model.dtype,
      'seed': self.config.seed,
      'device': jax.local_devices()[0].device_kind,
      'backend': jax.default_backend(),
      'load_before': self.load_before,
      **machine(*_PACKAGES),
    }


def prepare(
  config: ml_collections.ConfigDict | None,
  *,
  size: tuple[int, int] | None,
  batch_size: int | None,
  peer: str | None,
) -> Subject:
  """The network of a config and a batch for it.

  Args:
    config: One of configs/.
    size: Height and width; the training crop by default.
    batch_size: The config's by default.
    peer: Library that is to be measured, too: shown to be there.

  Raises:
    ConfigError: There is no config, or it can't be run so, or the peer does
      not have its network.
    RunError: The peer is not installed.
    DataError: The classes lie with the data, and that is missing.
  """
  before = load()
  if config is None:
    raise ConfigError('give --config=configs/....py, the network to measure.')
  config = ml_collections.ConfigDict(config)
  if batch_size is not None:
    config.batch_size = batch_size
  if size is not None:
    if min(size) < 1:
      raise ConfigError(f'size (={size}) must be at least 1x1.')
    # So that what is checked is what is measured.
    config.input.train = f'random_crop({size[0]}, {size[1]})'
  # Any length will do, if the warm-up fits.
  config.total_steps = config.schedule.warmup_steps + 1_000
  if peer:
    # Else jax takes most of the device's memory before PyTorch comes.
    os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  config = open_keys.filled(config)
  config_lib.validate(config)
  if peer:
    peers.choose(peer, config.model)
    devices = sharding.make_mesh(**config.mesh).size
    if devices > 1:
      raise ConfigError(
        f'--peer is measured on one device, and this config takes {devices}: '
        'give --config.mesh.data=1 --config.mesh.spatial=1.'
      )
  size = ops.crop_size(ops.parse(config.input.train))
  info = data.info(config.dataset.name, config.dataset.dir)
  model = models.build(
    config_lib.num_outputs(config, info), **config_lib.model_options(config)
  )
  pictures = config.batch_size // jax.process_count()
  rng = np.random.default_rng(config.seed)
  return Subject(
    config=config,
    info=info,
    model=model,
    size=size,
    batch={
      'image': rng.integers(0, 256, (pictures, *size, 3), np.uint8),
      'label': rng.integers(0, info.num_classes, (pictures, *size), np.uint8),
      'valid': np.ones(pictures, bool),
    },
    load_before=before,
  )
