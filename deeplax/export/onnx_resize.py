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
  if grid is not None and axis >= len(shape) - 2 and len(shape) == 4:
    axes, sizes = [axis], [after]
    first = view.maker(source, 'Resize')
    # Rows first, then columns: one node.
    if first is not None and _is_same(first, grid, axis):
      axes = [*first.attributes['axes'], axis]
      sizes = [*view.graph.constants[first.inputs[3]].tolist(), after]
      source = first.inputs[0]
    view.replace(
      node,
      'Resize',
      [source, '', '', np.array(sizes, np.int64)],
      axes=axes,
      mode='linear',
      coordinate_transformation_mode=grid,
    )
    return
  kind = view.graph.dtypes[source]
  if axis == len(shape) - 1:
    view.replace(node, 'MatMul', [source, matrix.T.astype(kind)])
  elif axis == len(shape) - 2:
    view.replace(node, 'MatMul', [matrix.astype(kind), source])


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


def _is_same(first: Node, grid: str, axis: int) -> bool:
  attributes = first.attributes
  return (
    attributes['coordinate_transformation_mode'] == grid
    and axis not in attributes['axes']
  )
