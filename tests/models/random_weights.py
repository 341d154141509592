"""Weights for tests: small networks with all but trivial statistics."""

import jax
import numpy as np


def random_variables(model, *inputs, seed=0):
  """Variables of any part, every array of them random.

  Args:
    model: A Flax module with a `train` argument.
    *inputs: Its arguments, arrays.
    seed: Of the draw.
  """
  shapes = jax.eval_shape(
    lambda *a: model.init(jax.random.key(0), *a, train=False), *inputs
  )
  rng = np.random.default_rng(seed)

  def draw(path, leaf):
    name = path[-1].key
    noise = rng.standard_normal(leaf.shape)
    if name == 'kernel':
      noise *= np.sqrt(2 / np.prod(leaf.shape[:-1]))
    elif name == 'var':
      noise = np.exp(0.3 * noise)
    else:
      noise = 0.2 * noise + (name == 'scale')
    return noise.astype(leaf.dtype)

  return jax.tree_util.tree_map_with_path(draw, shapes)


def random_image(height, width, batch=1, seed=0):
  """uint8 `[batch, height, width, 3]`."""
  rng = np.random.default_rng(seed)
  return rng.integers(0, 256, (batch, height, width, 3)).astype(np.uint8)
