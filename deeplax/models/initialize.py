"""Initial weights, drawn in numpy by parameter path.

Each array depends on the seed and its own path only: adding a layer changes
no other, and nothing has to be compiled.
"""

import hashlib
import math

import flax.linen as nn
import jax
import numpy as np


def initialize(
  model: nn.Module,
  seed: int,
  image_shape: tuple[int, ...] = (1, 64, 64, 3),
) -> dict:
  """Draws the variables of `model`.

  Kernels are normal with variance `2 / fan_out` (He et al. 2015), those that
  give class scores (`.../logits*/kernel`) normal with deviation 0.01; biases
  and running means are 0, scales and running variances 1.

  Args:
    model: From `deeplax.models.build`.
    seed: Any non-negative integer.
    image_shape: `[B, H, W, 3]`; no parameter depends on its numbers.

  Returns:
    `{'params': ..., 'batch_stats': ...}`, nested dicts of numpy arrays in the
    dtypes of the model.

  Raises:
    ValueError: For a variable this file has no rule for.
  """
  shapes = abstract_variables(model, image_shape)

  def draw(path, leaf):
    names = tuple(str(key.key) for key in path[1:])  # less the collection
    return _draw(names, leaf.shape, seed).astype(leaf.dtype)

  return jax.tree_util.tree_map_with_path(draw, shapes)


def abstract_variables(
  model: nn.Module, image_shape: tuple[int, ...] = (1, 64, 64, 3)
) -> dict:
  """The same tree of `jax.ShapeDtypeStruct`; computes nothing."""
  image = jax.ShapeDtypeStruct(image_shape, np.float32)
  key = jax.ShapeDtypeStruct((2,), np.uint32)
  shapes = jax.eval_shape(
    lambda key, image: model.init(key, image, train=False), key, image
  )
  return {'batch_stats': {}, **shapes}  # networks without batch norm have none


def _draw(names: tuple[str, ...], shape: tuple[int, ...], seed: int):
  if names[-1] in ('bias', 'mean'):
    return np.zeros(shape, np.float32)
  if names[-1] in ('scale', 'var', 'spatial_scale', 'bilateral_scale'):
    return np.ones(shape, np.float32)
  if names[-1] == 'compatibility':
    return 1 - np.eye(shape[0], dtype=np.float32)  # Potts
  if names[-1] != 'kernel':
    raise ValueError(
      f'No rule to initialise {"/".join(names)} of shape {shape}: add one for '
      f'the name {names[-1]!r} here.'
    )
  if names[-2].startswith('logits'):
    deviation = 0.01
  else:
    *window, inputs, outputs = shape
    # The one output channel of a depthwise filter, that is: [k, k, 1, C].
    fan_out = math.prod(window) * (1 if inputs == 1 else outputs)
    deviation = math.sqrt(2 / fan_out)
  digest = hashlib.sha256('/'.join(names).encode()).digest()
  rng = np.random.default_rng([seed, int.from_bytes(digest[:8], 'little')])
  return deviation * rng.standard_normal(shape)
