"""Operations of a `.tflite` file that layers are made of."""

import dataclasses

import numpy as np

from deeplax.pretrained.tflite.nodes import (
  RELU,
  Constant,
  Conv,
  Input,
  Node,
  Value,
  affine,
  paddings,
)
from deeplax.pretrained.tflite.ops import other


def convolve(follower, op, inputs, result) -> Value:
  """CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED."""
  value, kernel, bias = (*inputs, None)[:3]
  if not (isinstance(value, Value) and isinstance(kernel, Constant)):
    follower.refuse(op, 'its kernel is no constant')
  array, depthwise = _hwio(follower, op, kernel.array, value.shape[-1])
  strides, rates = (
    [op.options.get(f'{name}{axis}', 1) for axis in axes]
    for name, axes in (
      ('Stride', 'HW'),
      ('Dilation', ('HFactor', 'WFactor')),
    )
  )
  if any(len({*pair}) > 1 for pair in (strides, rates, array.shape[:2])):
    follower.refuse(op, 'it treats rows and columns differently')
  node = Conv(
    'conv',
    op.name,
    result.name,
    result.shape,
    [value.node],
    kernel=dataclasses.replace(kernel, array=array),
    depthwise=depthwise,
    stride=strides[0],
    rate=rates[0] * value.block,
  )
  if op.name != 'FULLY_CONNECTED':
    node.paddings = _paddings(op, value, result.shape, node)
  if isinstance(bias, Constant):
    node.shift = _bias(follower, op, bias).astype(np.float64).reshape(-1)
    node.shift_names = bias.names
  _activate(node, op, result)
  return Value(node, result.shape, value.block)


def _hwio(follower, op, array, channels):
  """The kernel in our layout, and whether it is depthwise."""
  stored = array.shape
  if op.name == 'FULLY_CONNECTED' and array.ndim == 2:
    if op.options.get('WeightsFormat'):
      follower.refuse(op, 'its weights are shuffled')
    array = array[:, None, None, :]
  if array.ndim != 4:
    follower.refuse(op, f'its kernel has the shape {stored}')
  depthwise = op.name == 'DEPTHWISE_CONV_2D'
  if depthwise:
    array = array.transpose(1, 2, 0, 3)
  else:
    depthwise = array.shape[3] == 1 and channels == array.shape[0] > 1
    array = array.transpose(1, 2, 3, 0)
  expected = (1, channels) if depthwise else (channels, array.shape[3])
  if array.shape[2:] != expected:
    follower.refuse(op, f'its kernel {stored} does not fit {channels} channels')
  return array, depthwise


def _paddings(op, value, result, node) -> tuple[str, ...]:
  """Which of our paddings a convolution has, maybe none."""
  valid = op.options.get('Padding') == 1
  if value.padded and not valid and not isinstance(value.node, Input):
    return ()
  found = {'same', 'symmetric'}
  for axis in (0, 1):
    size, out = value.shape[1 + axis], result[1 + axis]
    if value.block > 1:  # sizes are those of the pieces
      size = out = None
    found &= paddings(
      size,
      out,
      value.pads[axis][0] if valid else None,
      window=node.size,
      stride=node.stride,
      rate=node.rate,
    )
  return tuple(sorted(found))


def _bias(follower, op, bias: Constant) -> np.ndarray:
  """Dequantised; without a scale of its own it has that of the products."""
  picture, kernel, tensor = (follower.flat.tensors[n] for n in op.inputs[:3])
  if tensor.dtype != 'INT32' or tensor.quantised:
    return bias.array
  if picture.scale.size != 1 or not kernel.scale.size:
    follower.refuse(op, f'{tensor.name!r} has no scale')
  return tensor.values(picture.scale * kernel.scale)


def _activate(node: Node, op, result) -> None:
  """What follows by the operation's settings, or by what its result holds."""
  name = op.options.get('activation', 'NONE')
  node.activation = RELU.get(name, name)
  # Converters leave out a ReLU that whole numbers from 0 on do anyway.
  if node.activation == 'none' and result.range and node.kind == 'conv':
    low, high = result.range
    if low >= -1e-6:
      node.activation = 'relu' if high > 6.1 else 'below6'
      if high >= 5.9 and high <= 6.1:
        node.activation = 'relu6'


def arithmetic(follower, op, inputs, result) -> Value:
  """ADD, SUB, MUL, DIV: with a constant, or the sum of two feature maps."""
  if all(isinstance(v, Value) for v in inputs):
    return _sum(follower, op, inputs, result)
  first = isinstance(inputs[0], Constant)
  constant, value = inputs if first else inputs[::-1]
  if not isinstance(constant, Constant):
    follower.refuse(op)
  node, number = value.node, constant.array.astype(np.float64).reshape(-1)
  fits = number.size == 1 or (
    number.size == value.shape[-1] == constant.array.shape[-1]
  )
  joins = isinstance(node, Input) or (
    isinstance(node, Conv)
    and node.activation == 'none'
    and follower.is_read_once(op, value)
  )
  if not (fits and joins):
    return other(follower, op, inputs, result)
  joined = affine(node.scale, node.shift, op.name, number, first)
  if joined is None:
    follower.refuse(op, 'it divides by the picture, or by 0')
  node.scale, node.shift = joined
  if isinstance(node, Input):
    node.names |= {*constant.names}
    return Value(node, result.shape)
  node.normalised |= op.name in ('MUL', 'DIV')
  node.shift_names = (*node.shift_names, *constant.names)
  node.tensor = result.name
  _activate(node, op, result)
  return value._replace(shape=result.shape)


def _sum(follower, op, values, result) -> Value:
  if op.name != 'ADD' or values[0].shape != values[1].shape:
    follower.refuse(op, 'it joins two feature maps')
  if any(v.block > 1 or v.padded for v in values):
    follower.refuse(op, 'it stands between a padding and its convolution')
  nodes = [v.node for v in values]
  node = Node('add', op.name, result.name, result.shape, nodes)
  _activate(node, op, result)
  return Value(node, result.shape)


def clamp(follower, op, inputs, result) -> Value:
  """RELU and RELU6, or the same as MAXIMUM with 0, then MINIMUM with 6."""
  value = next(v for v in inputs if isinstance(v, Value))
  node, name = value.node, RELU.get(op.name)
  if name is None:
    limits = [v.array for v in inputs if isinstance(v, Constant)]
    wanted, name = (0, 'relu') if op.name == 'MAXIMUM' else (6, 'relu6')
    if [array.tolist() for array in map(np.ravel, limits)] != [[wanted]]:
      follower.refuse(op)
    if name == 'relu6' and node.activation == 'none':
      follower.refuse(op, 'it is not behind MAXIMUM with 0')
  known = node.activation in RELU.values()
  if not (
    isinstance(node, Conv) and known and follower.is_read_once(op, value)
  ):
    return other(follower, op, inputs, result)
  if node.activation != 'relu6':
    node.activation = name
  node.tensor = result.name
  return value._replace(shape=result.shape)


HANDLERS = {
  'CONV_2D': convolve,
  'DEPTHWISE_CONV_2D': convolve,
  'FULLY_CONNECTED': convolve,
  'ADD': arithmetic,
  'SUB': arithmetic,
  'MUL': arithmetic,
  'DIV': arithmetic,
  'RELU': clamp,
  'RELU6': clamp,
  'MAXIMUM': clamp,
  'MINIMUM': clamp,
}
