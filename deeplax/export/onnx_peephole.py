"""Rewrites a graph: the same values in fewer, faster operators.

Patterns are recognised by what is computed, whoever wrote it.
"""

import collections
import itertools

import numpy as np

from deeplax.export.onnx_graph import Graph, Node
from deeplax.export.onnx_resize import repeat, sampling

_SPATIAL = (2, 3)


def improve(graph: Graph, outputs: list[str]) -> None:
  """Rewrites `graph`, and drops what `outputs` don't need."""
  for rewrite in (_affine, _bounded, _max_pools, _samplings):
    rewrite(View(graph, outputs))
    prune(graph, outputs)


def prune(graph: Graph, outputs: list[str]) -> None:
  """Drops nodes and constants that no output depends on."""
  needed, kept = set(outputs), []
  for node in reversed(graph.nodes):
    if node.output in needed:
      needed.update(node.inputs)
      kept.append(node)
  graph.nodes = kept[::-1]
  graph.constants = {k: v for k, v in graph.constants.items() if k in needed}


class View:
  """Who makes what in a graph, and how often it is read."""

  def __init__(self, graph: Graph, outputs: list[str]):
    self.graph = graph
    self.makers = {node.output: node for node in graph.nodes}
    self.uses = collections.Counter(outputs)
    for node in graph.nodes:
      self.uses.update(node.inputs)

  def maker(self, name: str, op: str) -> Node | None:
    """The node of type `op` that makes `name`, if it is read once only."""
    node = self.makers.get(name)
    if node is None or node.op != op or self.uses[name] != 1:
      return None
    return node

  def split(self, node: Node) -> tuple[str, np.ndarray] | None:
    """(result, constant) that a node of two operands reads, in any order."""
    constants = self.graph.constants
    for a, b in itertools.permutations(node.inputs, 2):
      if a not in constants and b in constants:
        return a, constants[b]
    return None

  def replace(self, node: Node, op: str, inputs: list, **attributes) -> None:
    """Turns a node into another of the same result."""
    self._leave(node)
    node.inputs = [
      x if isinstance(x, str) else self.graph.constant(x) for x in inputs
    ]
    node.op, node.attributes = op, attributes
    self.uses.update(node.inputs)

  def _leave(self, node: Node) -> None:
    """Counts off what a node read, and what only that was read for."""
    for name in node.inputs:
      self.uses[name] -= 1
      if self.uses[name] == 0 and name in self.makers:
        self._leave(self.makers[name])


def _affine(view: View) -> None:
  """Sums and factors of each channel, into the convolution before them."""
  constants = view.graph.constants
  for node in view.graph.nodes:
    if node.op not in ('Add', 'Sub', 'Mul', 'Div') or len(node.inputs) != 2:
      continue
    found = view.split(node)
    if found is None or (
      node.op in ('Sub', 'Div') and found[0] != node.inputs[0]
    ):
      continue
    name, number = found
    conv = view.maker(name, 'Conv')
    if conv is None or conv.inputs[1] not in constants:
      continue
    kernel = constants[conv.inputs[1]]
    channels = len(kernel)
    spread = (1, channels, *[1] * (kernel.ndim - 2))
    try:
      if np.broadcast_shapes(number.shape, spread) != spread:
        continue
    except ValueError:
      continue
    dtype = kernel.dtype
    number = np.broadcast_to(number, spread).reshape(-1).astype(np.float64)
    bias = np.zeros(channels)
    if len(conv.inputs) == 3:
      bias = constants[conv.inputs[2]].astype(np.float64)
    if node.op in ('Add', 'Sub'):
      bias = bias + (number if node.op == 'Add' else -number)
    elif node.op == 'Div' and not number.all():
      continue
    else:
      factor = number if node.op == 'Mul' else 1 / number
      bias = bias * factor
      kernel = kernel * factor.reshape(-1, *[1] * (kernel.ndim - 1))
    conv.inputs[1:] = [
      view.graph.constant(kernel.astype(dtype)),
      view.graph.constant(bias.astype(dtype)),
    ]
    # The convolution gives what the node gave, which is read no more.
    conv.output, node.output = node.output, conv.output
    view.makers[conv.output] = conv
    node.op, node.inputs = 'Identity', [conv.output]


def _bounded(view: View) -> None:
  """ReLU and a minimum, as one `Clip`."""
  for node in view.graph.nodes:
    found = view.split(node) if node.op == 'Min' else None
    if not found or found[1].size != 1:
      continue
    relu = view.maker(found[0], 'Relu')
    if relu is not None:
      high = found[1].reshape(())
      low = np.zeros((), high.dtype)
      view.replace(node, 'Clip', [relu.inputs[0], low, high])


def _max_pools(view: View) -> None:
  """The maximum of strided views of pictures, as a pool."""
  inner = set()
  for node in reversed(view.graph.nodes):
    if node.op != 'Max' or node.output in inner:
      continue
    if view.graph.dtypes[node.output].kind != 'f':
      continue
    leaves = []
    todo = list(node.inputs)
    while todo:
      name = todo.pop()
      if view.maker(name, 'Max'):
        inner.add(name)
        todo += view.makers[name].inputs
      else:
        leaves.append(name)
    pool = _pool_of(view, leaves, view.graph.shapes[node.output])
    if pool:
      view.replace(node, 'MaxPool', *pool[:1], **pool[1])


def _pool_of(view: View, leaves: list[str], shape: tuple):
  """Inputs and attributes of the pool that reads these views, or None."""
  taps = [_view_of(view, name) for name in leaves]
  if len(taps) < 2 or len(shape) != 4 or None in taps:
    return None
  sources, starts, steps = zip(*taps)
  if len({*sources}) > 1 or len({*steps}) > 1:
    return None
  source, stride = sources[0], steps[0]
  windows = []
  for axis in range(2):
    offsets = sorted({s[axis] for s in starts})
    rates = {b - a for a, b in itertools.pairwise(offsets)} or {1}
    if offsets[0] != 0 or len(rates) != 1:
      return None
    windows.append((len(offsets), *rates))
  grid = itertools.product(
    *(range(0, rate * size, rate) for size, rate in windows)
  )
  if sorted(starts) != sorted(grid):
    return None
  pads = [0] * 4
  padded = view.makers.get(source)
  if padded is not None and padded.op == 'Pad':
    edges, value = (view.graph.constants[n] for n in padded.inputs[1:])
    edges = edges.tolist()
    sizes = [size for size, _ in windows]
    inside = edges[2:4] + edges[6:8]
    if (
      value == -np.inf
      and not any(edges[:2] + edges[4:6])
      and all(e < k for e, k in zip(inside, sizes * 2))
    ):
      source, pads = padded.inputs[0], inside
  read = view.graph.shapes[source]
  for i, (size, rate) in enumerate(windows):
    n = read[2 + i] + pads[i] + pads[2 + i] - rate * (size - 1) - 1
    if n // stride[i] + 1 != shape[2 + i]:
      return None
  return [source], dict(
    kernel_shape=[size for size, _ in windows],
    strides=list(stride),
    dilations=[rate for _, rate in windows],
    pads=pads,
  )


def _view_of(view: View, name: str):
  """(source, first row and column, steps) of a strided view, or None."""
  node = view.maker(name, 'Slice')
  if node is None:
    return None
  starts, ends, axes, steps = (
    view.graph.constants[n].tolist() for n in node.inputs[1:]
  )
  if not set(axes) <= set(_SPATIAL) or min(starts) < 0 or min(steps) < 1:
    return None
  del ends  # whether they fit is seen by the size of the pool
  first, step = dict(zip(axes, starts)), dict(zip(axes, steps))
  return (
    node.inputs[0],
    tuple(first.get(a, 0) for a in _SPATIAL),
    tuple(step.get(a, 1) for a in _SPATIAL),
  )


def _samplings(view: View) -> None:
  """Weighted sums of two reads along an axis, and repeats, as resampling."""
  nodes = view.graph.nodes
  for node in nodes:
    if node.op == 'Add' and len(node.inputs) == 2:
      found = [_weighted_read(view, name) for name in node.inputs]
      if None in found or found[0][:2] != found[1][:2]:
        continue
      source, axis = found[0][:2]
      size = view.graph.shapes[source][axis]
      matrix = np.zeros((len(found[0][2]), size))
      for _, _, index, weight in found:
        np.add.at(matrix, (np.arange(len(index)), index), weight)
      sampling(view, node, source, axis, matrix)
  for node in nodes:
    read = _read(view, node) if node.op == 'Gather' else None
    if read is not None:
      repeat(view, node, *read)


def _read(view: View, node: Node):
  """(source, axis, index) of what reads along one axis, or None."""
  constants = view.graph.constants
  if any(name not in constants for name in node.inputs[1:]):
    return None
  source, *tables = node.inputs
  if node.op == 'Gather':
    axis, index = node.attributes['axis'], constants[tables[0]]
  else:
    starts, ends, axes, steps = (constants[n].tolist() for n in tables)
    if len(axes) != 1 or min(starts) < 0 or min(steps) < 1:
      return None
    axis, index = axes[0], np.arange(starts[0], ends[0], steps[0])
  if not isinstance(view.graph.shapes[source][axis], int):
    return None
  return source, axis, index


def _weighted_read(view: View, name: str):
  """(source, axis, index, weight) of a read along an axis, or None."""
  product = view.maker(name, 'Mul')
  found = product and view.split(product)
  node = found and (
    view.maker(found[0], 'Gather') or view.maker(found[0], 'Slice')
  )
  read = node and _read(view, node)
  if not read:
    return None
  source, axis, index = read
  weight, shape = found[1], view.graph.shapes[name]
  spread = [1] * len(shape)
  spread[axis] = len(index)
  if weight.size != 1 and list(weight.shape) != spread:
    return None
  return source, axis, index, np.broadcast_to(weight.reshape(-1), index.shape)
