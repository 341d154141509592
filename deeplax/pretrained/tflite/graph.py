"""Follows the operations of a `.tflite` file and joins them into layers.

Converters fold, split and rename: batch norm is part of a convolution, or a
multiplication and an addition behind it; an atrous convolution has a rate, or
stands between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND; padding is an operation
of its own. Here all of these become the same `Conv`.
"""

import dataclasses
from typing import NoReturn

import numpy as np

from deeplax.errors import WeightsError
from deeplax.pretrained.tflite import layers, ops
from deeplax.pretrained.tflite.flat import Flat, Op, Tensor
from deeplax.pretrained.tflite.nodes import (
  Constant,
  Input,
  Node,
  Setting,
  Value,
)

_HANDLERS = {**layers.HANDLERS, **ops.HANDLERS}
# What may stand between a padding, or a taking apart, and its convolution.
_INSIDE = ('CONV_2D', 'DEPTHWISE_CONV_2D', 'BATCH_TO_SPACE_ND',
           'ADD', 'SUB', 'MUL', 'DIV', 'RELU', 'RELU6')  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Graph:
  """The network of a file.

  Attributes:
    name: Of the file.
    input: The picture.
    outputs: Nodes whose values the file gives.
    nodes: All, in order.
  """

  name: str
  input: Input
  outputs: list[Node]
  nodes: list[Node]


def follow(flat: Flat) -> Graph:
  """Joins operations into layers.

  Raises:
    WeightsError: For an operation that no network here has, by name and by the
      tensor it gives.
  """
  follower = Follower(flat)
  picture = follower.input()
  for op in flat.ops:
    follower.take(op)
  outputs = [follower.values.get(n) for n in flat.outputs]
  nodes = [v.node for v in outputs if isinstance(v, Value)]
  if not nodes:
    raise WeightsError(f'{flat.name} gives nothing that is made of a picture.')
  return Graph(flat.name, picture, nodes, follower.nodes)


class Follower:
  """Takes one operation after the other.

  Attributes:
    flat: The file.
    values: By number of the tensor.
    nodes: Made so far.
    uses: How many operations read a tensor.
  """

  def __init__(self, flat: Flat):
    self.flat, self.values, self.nodes = flat, {}, []
    self.uses = np.zeros(len(flat.tensors) + 1, int)  # the last: number -1
    for number in (*flat.outputs, *(n for op in flat.ops for n in op.inputs)):
      self.uses[number] += 1

  def input(self) -> Input:
    """The picture's node."""
    tensors = [self.flat.tensors[n] for n in self.flat.inputs]
    if len(tensors) != 1 or len(tensors[0].shape) != 4:
      raise WeightsError(
        f'{self.flat.name} takes {[(t.name, t.shape) for t in tensors]}, '
        'expected one picture [B, H, W, 3].'
      )
    tensor = tensors[0]
    node = Input('input', 'input', tensor.name, tensor.shape)
    if tensor.dtype in ('UINT8', 'INT8'):
      node.unit, node.offset = True, 128.0 * (tensor.dtype == 'INT8')
      node.shift = np.array([-node.offset])
      if tensor.scale.size == 1:
        node.scale = tensor.scale
        node.shift = -tensor.scale * (tensor.zero + node.offset)
    self.values[self.flat.inputs[0]] = Value(node, tensor.shape)
    return node

  def take(self, op: Op) -> None:
    """Adds what an operation does."""
    inputs = [self._value(n) for n in op.inputs]
    result = self.flat.tensors[op.outputs[0]] if op.outputs else None
    features = [v for v in inputs if isinstance(v, Value)]
    if not features:
      value = self._fold(op, inputs, result)
    elif op.name not in _HANDLERS:
      self.refuse(op)
    elif op.name not in _INSIDE and any(
      v.block > 1 or (v.padded and not isinstance(v.node, Input))
      for v in features
    ):
      self.refuse(op, 'it stands between a padding and its convolution')
    else:
      value = _HANDLERS[op.name](self, op, inputs, result)
    for n in op.outputs:
      self.values[n] = value
    if isinstance(value, Value) and value.node not in self.nodes:
      self.nodes.append(value.node)

  def is_read_once(self, op: Op, value: Value) -> bool:
    """Whether the operation is the only one to read a feature map."""
    return all(
      self.uses[n] == 1 for n in op.inputs if self.values.get(n) is value
    )

  def refuse(self, op: Op, why: str = '') -> NoReturn:
    """Raises WeightsError."""
    tensor = self.flat.tensors[op.outputs[0]].name if op.outputs else 'nothing'
    raise WeightsError(
      f'{self.flat.name}: the operation {op.name}, which gives {tensor!r}, is '
      f'not supported{f": {why}" if why else ""}. This source reads DeepLab, '
      'and classifiers, over MobileNetV2.'
    )

  def _value(self, number: int):
    if number < 0:
      return None
    if number not in self.values:
      tensor = self.flat.tensors[number]
      if tensor.data is None:
        raise WeightsError(
          f'{self.flat.name}: {tensor.name!r} is read, but nothing gives it. '
          'The file is damaged.'
        )
      self.values[number] = Constant(
        tensor.values(), (tensor.name,), tensor.quantised
      )
    return self.values[number]

  def _fold(self, op: Op, inputs: list, result: Tensor):
    """Does to constants what only moves them about."""
    first = inputs[0] if inputs else None
    if not isinstance(first, Constant):
      return Setting()
    array = first.array
    if op.name == 'TRANSPOSE' and isinstance(inputs[1], Constant):
      array = array.transpose(inputs[1].array.reshape(-1))
    elif op.name in ('RESHAPE', 'SQUEEZE', 'EXPAND_DIMS'):
      if None in result.shape:
        return Setting()
      array = array.reshape(result.shape)
    elif op.name not in ('DEQUANTIZE', 'QUANTIZE', 'CAST'):
      return Setting()
    return Constant(array, first.names, first.quantised)
