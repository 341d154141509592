"""The layers of a network as a table, without computing anything."""

import dataclasses
import math

import flax.linen as nn
import jax
import numpy as np


@dataclasses.dataclass(frozen=True)
class Row:
  """One layer with parameters of its own.

  Attributes:
    path: Of its parameters, e.g. `'encoder/stage2/unit1/conv1'`.
    shape: Of its result, `[B, H, W, C]`.
    params: Number of trainable parameters.
    statistics: Number of running statistics.
  """

  path: str
  shape: tuple[int, ...]
  params: int
  statistics: int


def layer_table(
  model: nn.Module, image_shape: tuple[int, int, int, int]
) -> list[Row]:
  """The layers in the order they are called, for a picture of that shape.

  A layer that is called again, for another scale of the picture, is one row.
  """
  rows = {}

  def record(next_function, args, kwargs, context):
    result = next_function(*args, **kwargs)
    if context.method_name == '__call__':
      own = [
        sum(
          math.prod(leaf.shape)
          for leaf in context.module.variables.get(collection, {}).values()
          if hasattr(leaf, 'shape')
        )
        for collection in ('params', 'batch_stats')
      ]
      if any(own):
        path = '/'.join(context.module.path)
        rows.setdefault(path, Row(path, result.shape, *own))
    return result

  def run(key, image):
    with nn.intercept_methods(record):
      return model.init(key, image, train=False)

  jax.eval_shape(
    run,
    jax.ShapeDtypeStruct((2,), np.uint32),
    jax.ShapeDtypeStruct(image_shape, np.uint8),
  )
  return list(rows.values())
