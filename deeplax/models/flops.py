"""Operations of a network, counted layer by layer: of it, not of a program.

How a convolution is carried out changes no figure here.
"""

import math

import flax.linen as nn
import jax
import numpy as np

from deeplax.models.unet_layers import UpConv
from deeplax.ops.conv import same_padding


def forward_flops(
  model: nn.Module, image_shape: tuple[int, ...], *, on_padding: bool = True
) -> int:
  """Floating-point operations of the convolutions of one forward pass.

  A convolution has

      2 * results * taps * input channels per group,

  a multiply-add being two. Taps that fall on padding are counted, too, as
  PyTorch's `torch.utils.flop_counter` does, or not. What is not a convolution
  (batch norm, ReLU, pooling, resizing) counts nothing. Training is three times
  that: the gradients to the features and to the kernels are as much each.

  Args:
    model: From `deeplax.models.build`.
    image_shape: `[B, H, W, 3]`.
    on_padding: Whether taps that fall on padding count.

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
      *sides, inputs, _ = module.get_variable('params', 'kernel').shape
      batch, *size, outputs = result.shape
      if isinstance(module, UpConv):  # kernels do not overlap: one tap a result
        taps = math.prod(size)
      elif on_padding:
        taps = math.prod(size) * math.prod(sides)
      else:
        taps = math.prod(map(_inside, (module,) * 2, args[0].shape[1:3], sides))
      total += 2 * batch * taps * inputs * outputs
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


def _inside(conv, size, taps):
  """How often a kernel's taps, along an axis, fall on one of `size` pixels."""
  layout, rate = conv.style.layout, conv.rate
  if layout and taps > 1:  # of a picture that was split, see `ops.layout`
    rate //= layout.rate
  before = rate * (taps // 2)
  if conv.padding == 'same' and conv.stride > 1:
    before, _ = same_padding(size, taps, conv.stride, rate)
  first = conv.stride * np.arange(-(-size // conv.stride)) - before
  at = first[:, None] + rate * np.arange(taps)
  return int(((at >= 0) & (at < size)).sum())
