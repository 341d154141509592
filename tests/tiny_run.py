"""A run that was not trained, small and quick to make; and its pictures."""

import pathlib

import numpy as np
from PIL import Image

from configs import common
from deeplax import checkpoint, data, models
from deeplax import config as config_lib
from deeplax import workdir as workdir_lib
from tests.models.random_weights import random_image, random_variables


def make(workdir: pathlib.Path, *, void: bool = False, ops: str = '') -> None:
  """Writes the folder of a run over the 19 classes of Cityscapes.

  Args:
    workdir: Of the run.
    void: Whether void is trained as a class.
    ops: `input.eval`.
  """
  config = common.base()
  config.dataset.name = 'synthetic:64x96x8x3'
  config.input.eval = ops
  config.model.variant = '18'
  config.model.head_channels = config.model.decoder_channels = 8
  config.loss.void_class = void
  workdir.mkdir(parents=True)
  workdir_lib.prepare(workdir, config, data.info(config.dataset.name))
  model = models.build(19 + void, **config_lib.model_options(config))
  image = np.zeros((1, 64, 96, 3), np.uint8)
  checkpoint.save_variables(
    workdir / 'checkpoints', random_variables(model, image)
  )


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
  """uint8[height, width, 3]: blots of colour."""
  small = random_image(-(-height // 8), -(-width // 8), seed=seed)[0]
  return np.kron(small, np.ones((8, 8, 1), np.uint8))[:height, :width]


def save(path: pathlib.Path, image: np.ndarray, **options) -> pathlib.Path:
  """Writes a picture, its folder made."""
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(image).save(path, **options)
  return path
