"""A small network with random weights, as a run has it."""

import jax
import numpy as np

from configs import common
from deeplax import config as config_lib
from deeplax import data, models
from tests.models.random_weights import random_image, random_variables

NAME = 'synthetic:40x72x8x4'
INFO = data.info(NAME)


def config(*, void_class=False, evaluation='', **model):
  """A config of a network of 30 layers; more than one output stride."""
  result = common.base()
  result.dataset.name = NAME
  result.input.train = 'random_crop(32, 64)'
  result.input.eval = evaluation
  result.input.workers = 0
  result.model.encoder, result.model.variant = 'mobilenet_v2', '0.25'
  result.model.head_channels = result.model.decoder_channels = 8
  result.model.low_level_channels = 8
  result.loss.void_class = void_class
  result.total_steps = 4
  with result.unlocked():
    result.model.update(model)
  return result


def variables(of, seed=0):
  """Random ones, whose labels differ from place to place."""
  outputs = config_lib.num_outputs(of, INFO)
  network = models.build(outputs, **config_lib.model_options(of))
  drawn = random_variables(network, random_image(40, 72), seed=seed)
  return jax.tree.map(lambda x: np.asarray(x, np.float32), drawn)


def picture(height, width, seed=0):
  """Blocks of one colour each: uint8[height, width, 3]."""
  blocks = random_image(-(-height // 8), -(-width // 8), seed=seed)[0]
  return blocks.repeat(8, 0).repeat(8, 1)[:height, :width]
