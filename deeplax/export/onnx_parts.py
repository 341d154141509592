"""Parts of arrays, and what is put around them, by name of the primitive."""

from collections.abc import Sequence

import numpy as np
from jax.lax import GatherScatterMode

from deeplax.export.onnx_graph import Array, Graph, Unsupported, same

_END = np.iinfo(np.int64).max

Edges = Sequence[tuple[int, int]]


def cut(
  graph: Graph,
  x: Array,
  starts: Sequence[int],
  ends: Sequence[int],
  steps: Sequence[int] | None = None,
) -> Array:
  """`x[start:end:step, ...]`; axes that stay whole may have any end."""
  steps = steps or [1] * x.rank
  rows = []
  shape = list(x.shape)
  for axis, (start, end, step) in enumerate(zip(starts, ends, steps)):
    if start == 0 and step == 1 and same(end, x.shape[axis]):
      continue
    if not isinstance(end, int):
      raise Unsupported('a part of the pictures, whose number is open')
    rows.append((x.where(axis), start, end, step))
    shape[axis] = -(-(end - start) // step)
  if not rows:
    return x
  axes, starts, ends, steps = (list(column) for column in zip(*sorted(rows)))
  return graph.emit(
    'Slice', [x.name, starts, ends, axes, steps], shape, x.dtype, x.order
  )


def _slice(graph, eqn, x):
  p = eqn.params
  return cut(graph, x, p['start_indices'], p['limit_indices'], p['strides'])


def _split(graph, eqn, x):
  axis, parts, start = eqn.params['axis'], [], 0
  for size in map(int, eqn.params['sizes']):
    starts, ends = [0] * x.rank, list(x.shape)
    starts[axis], ends[axis] = start, start + size
    parts.append(cut(graph, x, starts, ends))
    start += size
  return parts


def _rev(graph, eqn, x):
  axes = sorted(x.where(a) for a in eqn.params['dimensions'])
  n = len(axes)
  inputs = [x.name, [-1] * n, [-_END] * n, axes, [-1] * n]
  return graph.emit('Slice', inputs, x.shape, x.dtype, x.order)


def _pad(graph, eqn, x, value):
  edges = eqn.params['padding_config']
  if any(inner for _, _, inner in edges):
    raise Unsupported('padding between the elements')
  if value.value is None:
    raise Unsupported('padding with a value that depends on the input')
  x = cut_negative(graph, graph.whole(x), [(a, b) for a, b, _ in edges])
  return pad(graph, x, [(max(a, 0), max(b, 0)) for a, b, _ in edges], value)


def cut_negative(graph: Graph, x: Array, edges: Edges) -> Array:
  """Cuts off where the padding (before, after) of an axis is below 0."""
  if min(min(e) for e in edges) >= 0:
    return x
  return cut(
    graph,
    x,
    [max(-a, 0) for a, _ in edges],
    [n + min(b, 0) if b < 0 else n for n, (_, b) in zip(x.shape, edges)],
  )


def pad(graph: Graph, x: Array, edges: Edges, value: Array) -> Array:
  """Puts `value` around x, (before, after) of each axis."""
  if not any(map(any, edges)):
    return x
  order = x.order if x.name else tuple(range(x.rank))
  stored = [edges[axis] for axis in order]
  pads = [a for a, _ in stored] + [b for _, b in stored]
  shape = [
    n if edge == (0, 0) else n + sum(edge) for n, edge in zip(x.shape, edges)
  ]
  return graph.emit(
    'Pad',
    [graph.place(x, order), pads, value.value.reshape(())],
    shape,
    x.dtype,
    order,
  )


def _starts(x, sizes, starts):
  """Where a window begins, moved so that it is inside, as JAX does."""
  if any(s.value is None for s in starts):
    raise Unsupported('a place that depends on the input')
  numbers = [int(s.scalar()) for s in starts]
  return [
    0 if same(n, size) else min(max(s, 0), n - size)
    for s, n, size in zip(numbers, x.shape, sizes)
  ]


def _dynamic_slice(graph, eqn, x, *starts):
  sizes = eqn.params['slice_sizes']
  starts = _starts(x, sizes, starts)
  ends = [s + n if s else n for s, n in zip(starts, sizes)]
  return cut(graph, x, starts, ends)


def _dynamic_update_slice(graph, eqn, x, new, *starts):
  """Where the window is, what is new, with zeros around; else x."""
  del eqn
  starts = _starts(x, new.shape, starts)
  edges, inside = [], np.ones((1,) * x.rank, bool)
  for axis, (start, n, size) in enumerate(zip(starts, x.shape, new.shape)):
    whole = same(n, size)
    edges.append((0, 0) if whole else (start, n - size - start))
    if not whole:
      at = np.arange(n)
      at = (at >= start) & (at < start + size)
      inside = inside & at.reshape(
        [-1 if a == axis else 1 for a in range(x.rank)]
      )
  zero = Array((), x.dtype, value=np.zeros((), x.dtype))
  new = pad(graph, new if new.name else graph.whole(new), edges, zero)
  mask = Array(x.shape, inside.dtype, value=inside)
  return graph.elementwise('Where', [mask, new, x], x.shape, x.dtype)


def _gather(graph, eqn, x, indices):
  """Reads some axes at places of a grid, others in one window."""
  numbers, sizes = eqn.params['dimension_numbers'], eqn.params['slice_sizes']
  axes, gone = numbers.start_index_map, numbers.collapsed_slice_dims
  if indices.value is None:
    raise Unsupported('reading at places that depend on the input')
  table = graph.whole(indices).value.astype(np.int64)
  others = [a for a in range(x.rank) if a not in axes]
  if numbers.operand_batching_dims or not all(
    same(x.shape[a], sizes[a]) for a in others
  ):
    raise Unsupported('reading at other places in each picture')
  limits = [x.shape[a] - sizes[a] for a in axes]
  if eqn.params['mode'] == GatherScatterMode.CLIP:
    table = np.clip(table, 0, limits)
  elif table.size and (table.min() < 0 or (table > limits).any()):
    raise Unsupported('reading beyond the end of an axis')
  if table.ndim - 1 != len(gone) or not {*gone} <= {*axes}:
    raise Unsupported('reading at places that are no grid')
  rows = {}
  for i, axis in enumerate(axes):
    places = table[..., i]
    if axis in gone:  # its places are those along an axis of the table
      places = np.moveaxis(places, gone.index(axis), 0)
      places = places.reshape(len(places), -1)
    else:
      places = places.reshape(1, -1)
    if (places != places[:, :1]).any():
      raise Unsupported('reading at places that are no grid')
    rows[axis] = places[:, 0]
    if axis not in gone:
      rows[axis] = places[0, 0] + np.arange(sizes[axis])
  y = _read(graph, x, rows)
  # From the axes of x to those of the result.
  new_places = iter(a for a in range(x.rank) if a not in numbers.offset_dims)
  rest = iter(numbers.offset_dims)
  new = [next(new_places if a in gone else rest) for a in range(x.rank)]
  shape = tuple(eqn.outvars[0].aval.shape)
  return Array(shape, x.dtype, y.name, tuple(new[a] for a in y.order))


def _read(graph, x, rows) -> Array:
  """Reads places of axes; those a constant step apart as one slice."""
  starts, ends, steps = [0] * x.rank, list(x.shape), [1] * x.rank
  uneven = {}
  for axis, row in rows.items():
    step = {*np.diff(row).tolist()} or {1}
    if len(step) > 1 or min(step) < 1:
      uneven[axis] = row
      continue
    starts[axis], ends[axis] = int(row[0]), int(row[-1]) + 1
    steps[axis] = step.pop()
  x = cut(graph, x, starts, ends, steps)
  for axis, row in uneven.items():
    shape = list(x.shape)
    shape[axis] = len(row)
    place = x.where(axis)
    x = graph.emit('Gather', [x.name, row], shape, x.dtype, x.order, axis=place)
  return x


TABLE = {
  'dynamic_slice': _dynamic_slice,
  'dynamic_update_slice': _dynamic_update_slice,
  'gather': _gather,
  'pad': _pad,
  'rev': _rev,
  'slice': _slice,
  'split': _split,
}
