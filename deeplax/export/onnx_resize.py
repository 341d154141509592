"""Resampling along an axis, as the fastest operator that is exact."""

from typing import Any

import numpy as np

from deeplax.export.onnx_graph import Node
from deeplax.ops.resize import Grid

# Names of ONNX for our grids.
_GRIDS = {
  'half_pixel': Grid(),
  'align_corners': Grid(align_corners=True),
  'asymmetric': Grid(half_pixel_centers=False),
}


def sampling(
  view: Any, node: Node, source: str, axis: int, matrix: np.ndarray
) -> None:
  """Turns a node into one that multiplies an axis by a matrix, if it can.

  Runtimes find places in float32: `Resize` is used only where these are
  exact, at ratios that are powers of two. Else it is a product, whose zeros
  cost less than to read pixel by pixel.

  Args:
    view: Of the graph, a `onnx_peephole.View`.
    node: Gives the result.
    source: What is resampled.
    axis: As stored.
    matrix: `[size after, size before]`, two numbers a row at most.
  """
  shape = view.graph.shapes[node.output]
  after, before = matrix.shape
  if before == 1 and np.all(matrix == 1):
    sizes = [after if p == axis else 1 for p in range(len(shape))]
    view.replace(node, 'Expand', [source, np.array(sizes, np.int64)])
    return
  grid = _grid(matrix)
  if grid is not None and _fits(view, node, axis):
    kind = dict(mode='linear', coordinate_transformation_mode=grid)
    _resize(view, node, source, axis, after, kind)
    return
  dtype = view.graph.dtypes[source]
  if axis == len(shape) - 1:
    view.replace(node, 'MatMul', [source, matrix.T.astype(dtype)])
  elif axis == len(shape) - 2:
    view.replace(node, 'MatMul', [matrix.astype(dtype), source])


def _grid(matrix) -> str | None:
  """Name of the grid that gives these weights exactly, or None."""
  after, before = matrix.shape
  for name, grid in _GRIDS.items():
    ratio = before / after
    if name == 'align_corners':
      ratio = (before - 1) / max(after - 1, 1)
    # Two powers of two have the same mantissa.
    if ratio == 0 or np.frexp(ratio)[0] != 0.5:
      continue
    low, high, weight = grid.neighbours(before, after)
    expected = np.zeros_like(matrix)
    rows = np.arange(after)
    np.add.at(expected, (rows, low), 1 - weight)
    np.add.at(expected, (rows, high), weight)
    if np.abs(expected - matrix).max() < 1e-6:
      return name
  return None


def repeat(
  view: Any, node: Node, source: str, axis: int, index: np.ndarray
) -> None:
  """Turns a node that repeats each pixel of an axis into a `Resize`.

  Args:
    view, node, source, axis: As of `sampling`.
    index: What the node reads.
  """
  size = view.graph.shapes[source][axis]
  if not _fits(view, node, axis) or len(index) % size:
    return
  if np.array_equal(index, np.arange(len(index)) * size // len(index)):
    kind = dict(
      mode='nearest',
      nearest_mode='floor',
      coordinate_transformation_mode='asymmetric',
    )
    _resize(view, node, source, axis, len(index), kind)


def _fits(view, node, axis) -> bool:
  """Whether this is what every runtime has: rows or columns of float32."""
  stored = view.graph.shapes[node.output], view.graph.dtypes[node.output]
  return len(stored[0]) == 4 and axis >= 2 and stored[1] == np.float32


def _resize(view, node, source, axis, size, kind) -> None:
  """Rows and then columns are one node."""
  # By factors: the number of pictures may be open.
  factors = np.ones(4, np.float32)
  factors[axis] = _factor(view.graph.shapes[source][axis], size)
  view.replace(node, 'Resize', [source, '', factors], **kind)
  first = view.maker(source, 'Resize')
  if first is not None and first.attributes == kind:
    factors = factors * view.graph.constants[first.inputs[2]]
    view.replace(node, 'Resize', [first.inputs[0], '', factors], **kind)


def _factor(before: int, after: int) -> np.float32:
  """That gives `floor(before * factor) == after` in float32."""
  factor = np.float32(after / before)
  while np.floor(np.float32(before) * factor) < after:
    factor = np.nextafter(factor, np.float32(np.inf))
  return factor
