"""TensorFlow's SavedModel: a folder, for TensorFlow and what serves it.

The network is one operation, XlaCallModule, which XLA compiles where it runs:
on CPU, GPU or TPU.
"""

import pathlib
from collections.abc import Callable

import numpy as np

from deeplax.export.formats import _tensorflow
from deeplax.export.program import INPUT, Program

NEEDS = {**_tensorflow.NEEDS}
RUNTIME = 'tensorflow'
FILE = 'saved_model'
DYNAMIC_BATCH = True
PLATFORMS = ('cpu', 'cuda', 'tpu')
USE = """import tensorflow as tf

model = tf.saved_model.load('saved_model')
segment = model.signatures['serving_default']
labels = segment(image=tf.constant(images))['labels']"""


def write(program: Program, path: pathlib.Path) -> None:
  """Writes the folder `saved_model`."""
  tf = _tensorflow.import_tensorflow()
  module = _tensorflow.as_module(program, PLATFORMS)
  signature = module.segment.get_concrete_function()
  tf.saved_model.save(module, str(path), signatures=signature)


def load(
  path: pathlib.Path,
) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
  """The folder as a function of uint8[B, H, W, 3]."""
  tf = _tensorflow.import_tensorflow()
  model = tf.saved_model.load(str(path))

  def run(images):
    segment = model.signatures['serving_default']
    found = segment(**{INPUT: tf.constant(images)})
    return {name: value.numpy() for name, value in found.items()}

  return run
