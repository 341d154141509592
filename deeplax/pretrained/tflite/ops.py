"""Operations of a `.tflite` file that have no weights."""

import numpy as np

from deeplax.pretrained.tflite.nodes import (
  Constant,
  Input,
  Node,
  Pool,
  Resize,
  Setting,
  Value,
)


def pad(follower, op, inputs, result) -> Value:
  """PAD: kept until a convolution takes it."""
  value, amounts = inputs[:2]
  if not isinstance(amounts, Constant) or amounts.array.shape != (4, 2):
    follower.refuse(op, 'its sizes are no constants')
  if amounts.array[[0, 3]].any():
    follower.refuse(op, 'it pads the batch or the channels')
  if op.name == 'PADV2' and not isinstance(value.node, Input):
    fill = inputs[2]
    if not isinstance(fill, Constant) or fill.array.any():
      follower.refuse(op, 'it pads with other numbers than 0')
  return value._replace(shape=value.shape, pads=_pairs(amounts.array[1:3]))


def to_batch(follower, op, inputs, result) -> Value:
  """SPACE_TO_BATCH_ND: every n-th pixel becomes a picture."""
  value, block, amounts = inputs[:3]
  if not all(isinstance(v, Constant) for v in (block, amounts)):
    follower.refuse(op, 'its sizes are no constants')
  sides = {*map(int, block.array.reshape(-1))}
  if len(sides) != 1:
    follower.refuse(op, f'its blocks are {block.array.tolist()}')
  return Value(value.node, value.shape, sides.pop(), _pairs(amounts.array))


def from_batch(follower, op, inputs, result) -> Value:
  """BATCH_TO_SPACE_ND: pixels as they were."""
  node = inputs[0].node
  node.shape = result.shape
  return Value(node, result.shape)


def _pairs(amounts: np.ndarray):
  return tuple((int(before), int(after)) for before, after in amounts)


def average_pool(follower, op, inputs, result) -> Value:
  """AVERAGE_POOL_2D: of everything, or of windows at stride 1."""
  value = inputs[0]
  if value.shape[1:3] == (1, 1):
    return value
  if result.shape[1:3] == (1, 1):
    return _pool(op, value, result, None)
  steps = (op.options.get('StrideH'), op.options.get('StrideW'))
  if steps != (1, 1) or op.options.get('Padding') != 1:
    follower.refuse(op, 'its windows are not those of image pooling')
  window = (op.options['FilterHeight'], op.options['FilterWidth'])
  return _pool(op, value, result, window)


def mean(follower, op, inputs, result) -> Value:
  """MEAN over rows and columns, at once or one after the other."""
  value, axes = inputs[:2]
  if isinstance(value.node, Pool) or value.shape[1:3] == (1, 1):
    return value._replace(shape=result.shape)
  rank = len(value.shape)
  if not isinstance(axes, Constant) or rank != 4:
    follower.refuse(op)
  over = {int(a) % rank for a in axes.array.reshape(-1)}
  if not over or not over <= {1, 2}:
    follower.refuse(op, f'it is over the axes {axes.array.tolist()}')
  return _pool(op, value, result, None)


def _pool(op, value, result, window) -> Value:
  node = Pool(
    'pool', op.name, result.name, result.shape, [value.node], window=window
  )
  return Value(node, result.shape)


def resize(follower, op, inputs, result) -> Value:
  """RESIZE_BILINEAR; of one pixel, or to the same size, it does nothing."""
  value = inputs[0]
  trivial = value.shape[1:3] in ((1, 1), result.shape[1:3])
  if isinstance(value.node, Input) or trivial:
    return value._replace(shape=result.shape)
  if op.name != 'RESIZE_BILINEAR':
    return other(follower, op, inputs, result)
  grid = 'half_pixel' if op.options.get('HalfPixelCenters') else 'legacy'
  if op.options.get('AlignCorners'):
    grid = 'corners'
  node = Resize(
    'resize', op.name, result.name, result.shape, [value.node], grid=grid
  )
  return Value(node, result.shape)


def spread(follower, op, inputs, result) -> Value:
  """BROADCAST_TO and TILE: one pixel to a map."""
  value = inputs[0]
  if len(value.shape) == 4 and value.shape[1:3] != (1, 1):
    follower.refuse(op)
  return value._replace(shape=result.shape)


def concatenate(follower, op, inputs, result) -> Value:
  """CONCATENATION of channels."""
  if len(inputs) == 1:
    return inputs[0]
  rank = len(result.shape)
  if op.options.get('Axis', -1) % rank != rank - 1:
    return other(follower, op, inputs, result)
  if not all(isinstance(v, Value) for v in inputs):
    follower.refuse(op, 'it joins features and constants')
  nodes = [v.node for v in inputs]
  return Value(
    Node('concat', op.name, result.name, result.shape, nodes), result.shape
  )


def view(follower, op, inputs, result) -> Value:
  """RESHAPE and its kind: the same numbers, in another shape or type."""
  value = inputs[0]
  node = value.node
  if isinstance(node, Input):
    if op.name == 'CAST' and node.unit:  # to the stored numbers
      node.scale, node.shift = np.ones(1), np.array([-node.offset])
    return value._replace(shape=result.shape)
  if op.name == 'TRANSPOSE' or value.shape[-1] != result.shape[-1]:
    return other(follower, op, inputs, result)
  return value._replace(shape=result.shape)


def part(follower, op, inputs, result) -> Value:
  """SLICE and STRIDED_SLICE, where they take everything."""
  if inputs[0].shape == result.shape:
    return inputs[0]
  return other(follower, op, inputs, result)


def other(follower, op, inputs, result) -> Value:
  """What may stand behind class scores, and nowhere else."""
  nodes = [v.node for v in inputs if isinstance(v, Value)]
  return Value(
    Node('other', op.name, result.name, result.shape, nodes), result.shape
  )


def shape(follower, op, inputs, result) -> Setting:
  """SHAPE and RANK."""
  return Setting()


HANDLERS = {
  'PAD': pad,
  'PADV2': pad,
  'SPACE_TO_BATCH_ND': to_batch,
  'BATCH_TO_SPACE_ND': from_batch,
  'AVERAGE_POOL_2D': average_pool,
  'MEAN': mean,
  'RESIZE_BILINEAR': resize,
  'RESIZE_NEAREST_NEIGHBOR': resize,
  'BROADCAST_TO': spread,
  'TILE': spread,
  'CONCATENATION': concatenate,
  'SHAPE': shape,
  'RANK': shape,
  'SLICE': part,
  'STRIDED_SLICE': part,
  **dict.fromkeys(
    (
      'CAST',
      'DEQUANTIZE',
      'EXPAND_DIMS',
      'QUANTIZE',
      'RESHAPE',
      'SQUEEZE',
      'TRANSPOSE',
    ),
    view,
  ),
  **dict.fromkeys(
    ('ARG_MAX', 'SOFTMAX', 'LOG_SOFTMAX', 'LOGISTIC', 'MAX_POOL_2D',
     'REDUCE_MAX', 'TOPK_V2', 'UNPACK', 'PACK', 'GATHER'),
    other,
  ),
}  # fmt: skip
