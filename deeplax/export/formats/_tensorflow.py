"""A program as TensorFlow has it."""

import os
from typing import Any

from deeplax.export.program import INPUT, Program

NEEDS = {
  'tensorflow': 'tensorflow',
  'jax.experimental.jax2tf': 'a jax that has jax2tf',
}
# Read as TensorFlow is imported: its own words are of no use to anybody.
_QUIET = {'TF_CPP_MIN_LOG_LEVEL': '3', 'TF_ENABLE_ONEDNN_OPTS': '0'}


def import_tensorflow() -> Any:
  """The module."""
  for key, value in _QUIET.items():
    os.environ.setdefault(key, value)
  import tensorflow

  return tensorflow


def as_module(program: Program, platforms: tuple[str, ...]) -> Any:
  """A `tf.Module` whose `segment` is the program."""
  tf = import_tensorflow()
  from jax.experimental import jax2tf

  shapes = None
  if program.dynamic_batch:
    shapes = ['(b, {}, {}, 3)'.format(*program.size)]
  module = tf.Module()
  module.segment = tf.function(
    jax2tf.convert(
      program.function,
      polymorphic_shapes=shapes,
      with_gradient=False,
      native_serialization_platforms=platforms,
    ),
    input_signature=[tf.TensorSpec(program.shape, tf.uint8, name=INPUT)],
    autograph=False,
  )
  return module
