"""A config whose network is small enough to be compiled in a test."""

import ml_collections

from configs import benchmark


def config(argument: str = 'v3plus_r18', **model) -> ml_collections.ConfigDict:
  """One of configs/benchmark.py on one device, narrow behind the encoder."""
  result = benchmark.get_config(argument)
  result = ml_collections.ConfigDict(result)
  result.input.train = 'random_crop(32, 48)'
  result.batch_size = 2
  result.mesh.data = 1
  result.model.update(head_channels=8, decoder_channels=8, dtype='float32')
  result.model.update(model)
  return result
