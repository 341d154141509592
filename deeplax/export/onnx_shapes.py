"""Arrays in other shapes, by the name of the primitive."""

from collections.abc import Sequence
from typing import Any

from deeplax.export.onnx_graph import NCHW, Array, Graph, Unsupported, same


def reshape(graph: Graph, x: Array, shape: Sequence[Any]) -> Array:
  """x in another shape; without a transposition where its order allows."""
  shape = tuple(shape)
  groups = _groups(x.shape, shape)
  order = tuple(range(x.rank))
  new = tuple(range(len(shape)))
  if groups is not None:
    places = _order_of_groups(x, groups, len(shape))
    if places is not None:
      order = tuple(axis for g in places for axis in groups[g][0])
      new = tuple(axis for g in places for axis in groups[g][1])
  name = graph.place(graph.whole(x), order)
  stored = [shape[axis] for axis in new]
  sizes = [n if isinstance(n, int) else -1 for n in stored]
  if sizes.count(-1) > 1:
    raise Unsupported('more than one axis of an open size')
  return graph.emit('Reshape', [name, sizes], shape, x.dtype, new)


def _groups(old, new):
  """Pairs of runs of axes that have the same elements; None if unclear."""
  groups, i, j = [], 0, 0
  while i < len(old) or j < len(new):
    a, b = [], []
    if i < len(old):
      a, i = [i], i + 1
    if j < len(new):
      b, j = [j], j + 1
    if not a or not b:  # axes of size 1 at the end
      if not groups:
        return None
      groups[-1][0].extend(a)
      groups[-1][1].extend(b)
      continue
    n, m = old[a[0]], new[b[0]]
    while not same(n, m):
      if not (isinstance(n, int) and isinstance(m, int)):
        return None
      if n < m and i < len(old) and isinstance(old[i], int):
        n, i = n * old[i], i + 1
        a.append(i - 1)
      elif m < n and j < len(new) and isinstance(new[j], int):
        m, j = m * new[j], j + 1
        b.append(j - 1)
      else:
        return None
    groups.append((a, b))
  return groups


def _order_of_groups(x, groups, rank):
  if x.name:
    kept, p = [], 0
    while p < x.rank:
      group = next(g for g, (a, _) in enumerate(groups) if x.order[p] in a)
      axes = groups[group][0]
      if list(x.order[p : p + len(axes)]) != axes:
        break
      kept.append(group)
      p += len(axes)
    else:
      return kept
  if rank == 4 and all(len(b) == 1 for _, b in groups):
    return NCHW
  return None


def _reshape(graph, eqn, x):
  if eqn.params.get('dimensions') is not None:
    raise Unsupported('a reshape of other than the order of rows')
  return reshape(graph, x, eqn.outvars[0].aval.shape)


def _transpose(graph, eqn, x):
  """No node: the same array, its axes counted otherwise."""
  del graph
  moved = eqn.params['permutation']
  shape = tuple(x.shape[axis] for axis in moved)
  order = tuple(moved.index(axis) for axis in x.order)
  return Array(shape, x.dtype, x.name, order)


def _squeeze(graph, eqn, x):
  gone = [a % x.rank for a in eqn.params['dimensions']]
  kept = [a for a in range(x.rank) if a not in gone]
  return graph.emit(
    'Squeeze',
    [x.name, sorted(x.where(a) for a in gone)],
    [x.shape[a] for a in kept],
    x.dtype,
    [kept.index(a) for a in x.order if a not in gone],
  )


def _broadcast_in_dim(graph, eqn, x):
  shape = tuple(eqn.outvars[0].aval.shape)
  axes = eqn.params['broadcast_dimensions']
  rank = len(shape)
  order = NCHW if rank == 4 else tuple(range(rank))
  if x.rank == rank:
    order = x.order
  name = graph.place(x, [axes.index(a) for a in order if a in axes])
  now = [1] * rank
  for old, new in enumerate(axes):
    now[new] = x.shape[old]
  out = Array(tuple(now), x.dtype, name, order)
  missing = [p for p, a in enumerate(order) if a not in axes]
  if missing:
    out = graph.emit('Unsqueeze', [name, missing], now, x.dtype, order)
  if out.shape == shape:
    return out
  for n, m in zip(out.shape, shape):
    if not isinstance(m, int) and not same(n, m):
      raise Unsupported(
        'an array is repeated for each picture, whose number is open; leave '
        'dynamic_batch out'
      )
  return graph.expand(Array(shape, x.dtype, out.name, order))


def _concatenate(graph, eqn, *arrays):
  axis, shape = eqn.params['dimension'], eqn.outvars[0].aval.shape
  order = graph.common_order(arrays, len(shape))
  names = [graph.place(graph.whole(x), order) for x in arrays]
  return graph.emit(
    'Concat', names, shape, arrays[0].dtype, order, axis=order.index(axis)
  )


TABLE = {
  'broadcast_in_dim': _broadcast_in_dim,
  'concatenate': _concatenate,
  'reshape': _reshape,
  'squeeze': _squeeze,
  'transpose': _transpose,
}
