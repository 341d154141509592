"""Operations of a network, counted layer by layer: of it, not of a program.

How a convolution is carried out changes no figure here.
"""

import math

import flax.linen as nn
import jax
import numpy as np

from deeplax.models.unet_layers import UpConv


def forward_flops(model: nn.Module, image_shape: tuple[int, ...]) -> int:
  """Floating-point operations of the convolutions of one forward pass.

  A convolution has

      2 * results * taps * input channels per group,

  a multiply-add being two and taps that fall on padding counted, as PyTorch's
  `torch.utils.flop_counter` does. What is not a convolution (batch norm, ReLU,
  pooling, resizing) counts nothing. Training is three times that: the gradients
  to the features and to the kernels are as much each.

  Args:
    model: From `deeplax.models.build`.
    image_shape: `[B, H, W, 3]`.

  Raises:
    ValueError: A kernel was used by no layer that can be counted.
  """
  total, seen = 0, set()

  def count(next_function, args, kwargs, context):
    nonlocal total
    result = next_function(*args, **kwargs)
    module = context.module
    if context.method_name == '__call__' and module.has_variable(
      'params', 'kernel'
    ):
      height, width, inputs, _ = module.get_variable('params', 'kernel').shape
      # Kernels of an up-convolution do not overlap: a result has one tap.
      taps = 1 if isinstance(module, UpConv) else height * width
      total += 2 * math.prod(result.shape) * taps * inputs
      seen.add('/'.join(module.path))
    return result

  def run(key, image):
    with nn.intercept_methods(count):
      return model.init(key, image, train=False)

  variables = jax.eval_shape(
    run,
    jax.ShapeDtypeStruct((2,), np.uint32),
    jax.ShapeDtypeStruct(image_shape, np.uint8),
  )
  leaves = jax.tree_util.tree_leaves_with_path(variables['params'])
  paths = ['/'.join(key.key for key in path) for path, _ in leaves]
  missing = [
    path
    for path in paths
    if path.endswith('/kernel') and path.removesuffix('/kernel') not in seen
  ]
  if missing:
    raise ValueError(
      f'{", ".join(missing)}: used, but not by a layer of its own, so that '
      'their operations can not be counted.'
    )
  return total
