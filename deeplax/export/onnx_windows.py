"""Convolutions, pools, sums and products, by the name of their primitive."""

import math
import string
from typing import Any

import numpy as np

from deeplax.export.onnx_elementwise import cast
from deeplax.export.onnx_graph import NCHW, Array, Graph, Unsupported, constant
from deeplax.export.onnx_parts import cut_negative, pad


def _conv(graph, eqn, x, kernel):
  p = eqn.params
  if any(n != 1 for n in p['lhs_dilation']) or p['batch_group_count'] != 1:
    raise Unsupported('a transposed convolution, or one over groups of a batch')
  numbers = p['dimension_numbers']
  edges = [(0, 0)] * x.rank
  for axis, edge in zip(numbers.lhs_spec[2:], p['padding']):
    edges[axis] = edge
  x = cut_negative(graph, x, edges)
  spatial = [tuple(max(n, 0) for n in edge) for edge in p['padding']]
  out = eqn.outvars[0].aval
  y = graph.emit(
    'Conv',
    [
      graph.place(x, numbers.lhs_spec),
      graph.place(graph.whole(kernel), numbers.rhs_spec),
    ],
    out.shape,
    x.dtype,
    numbers.out_spec,
    kernel_shape=[kernel.shape[a] for a in numbers.rhs_spec[2:]],
    strides=list(p['window_strides']),
    dilations=list(p['rhs_dilation']),
    pads=[a for a, _ in spatial] + [b for _, b in spatial],
    group=p['feature_group_count'],
  )
  return cast(graph, y, out.dtype)


def _pool_order(x: Array, still: list[int]) -> tuple[int, ...]:
  """An order with two axes in front along which the windows have size 1."""
  if len(still) < 2:
    raise Unsupported('windows over more than all but two axes')
  if set(x.order[:2]) <= set(still):
    return x.order
  if x.rank == 4 and set(NCHW[:2]) <= set(still):
    return NCHW
  front = tuple(still[:2])
  return front + tuple(a for a in range(x.rank) if a not in front)


def _windows(eqn):
  """(window, stride, rate, before, after) of every axis."""
  p = eqn.params
  if any(n != 1 for n in p.get('base_dilation', (1,))):
    raise Unsupported('windows over what is spread out')
  rates = p.get('window_dilation') or (1,) * len(p['window_dimensions'])
  edges = zip(*p['padding'])
  return list(zip(p['window_dimensions'], p['window_strides'], rates, *edges))


def _pool(graph, eqn, x, op, fill, **attributes):
  windows = _windows(eqn)
  if min(edge for w in windows for edge in w[3:]) < 0:
    raise Unsupported('windows with negative padding')
  still = [a for a, w in enumerate(windows) if tuple(w[:2]) == (1, 1)]
  still = [a for a in still if tuple(windows[a][3:]) == (0, 0)]
  order = _pool_order(x, still)
  sizes, strides, rates, before, after = (
    list(column) for column in zip(*(windows[a] for a in order[2:]))
  )
  # Runtimes don't take a pool whose padding is as large as the window.
  if any(max(e) >= k for k, *e in zip(sizes, before, after)):
    x = pad(graph, x, [tuple(w[3:]) for w in windows], constant(fill, x.dtype))
    before, after = [0] * len(sizes), [0] * len(sizes)
  out = eqn.outvars[0].aval
  return graph.emit(
    op,
    [graph.place(x, order)],
    out.shape,
    out.dtype,
    order,
    kernel_shape=sizes,
    strides=strides,
    pads=before + after,
    **({'dilations': rates} if set(rates) != {1} else {}),
    **attributes,
  )


def _max_pool(graph, eqn, x):
  if x.dtype.kind != 'f':
    raise Unsupported(f'the largest of a window of {x.dtype}; only of floats')
  return _pool(graph, eqn, x, 'MaxPool', -np.inf)


def _sum_pool(graph, eqn, x):
  if x.dtype.kind != 'f':
    raise Unsupported(f'the sum of a window of {x.dtype}; only of floats')
  windows = _windows(eqn)
  if any(w[2] != 1 for w in windows):
    raise Unsupported('the sum of a window with gaps')
  mean = _pool(graph, eqn, x, 'AveragePool', 0, count_include_pad=1)
  count = math.prod(w[0] for w in windows)
  count = constant(np.full((1,) * x.rank, count, x.dtype), shape=mean.shape)
  return graph.elementwise('Mul', [mean, count], mean.shape, mean.dtype)


def _reduce(op: str):
  def convert(graph, eqn, x):
    axes = [a % x.rank for a in eqn.params['axes']]
    out = eqn.outvars[0].aval
    if x.dtype == bool:  # of 0 and 1: all is the smallest, any the largest
      x = cast(graph, x, np.int32)
    kept = [a for a in range(x.rank) if a not in axes]
    y = graph.emit(
      op,
      [x.name, sorted(x.where(a) for a in axes)],
      out.shape,
      x.dtype,
      [kept.index(a) for a in x.order if a not in axes],
      keepdims=0,
    )
    return cast(graph, y, out.dtype)

  return convert


def _arg(op: str):
  def convert(graph, eqn, x):
    (axis,) = eqn.params['axes']
    kept = [a for a in range(x.rank) if a != axis]
    out = eqn.outvars[0].aval
    y = graph.emit(
      op,
      [x.name],
      out.shape,
      np.int64,
      [kept.index(a) for a in x.order if a != axis],
      axis=x.where(axis),
      keepdims=0,
    )
    return cast(graph, y, out.dtype)

  return convert


def _dot_general(graph, eqn, a, b):
  (a_sums, b_sums), (a_batch, b_batch) = eqn.params['dimension_numbers']
  out = eqn.outvars[0].aval
  for x, matrix, sums in ((a, b, (a_sums, b_sums)), (b, a, (b_sums, a_sums))):
    of_pictures = x.rank == 4 and matrix.value is not None and not a_batch
    if of_pictures and x.name and tuple(sums[0]) == (x.order[1],):
      return _as_conv(graph, out, x, matrix, sums[1][0], matrix is a)
  letters = iter(string.ascii_lowercase)
  a_names = [next(letters) for _ in a.shape]
  b_names = [next(letters) for _ in b.shape]
  for i, j in zip((*a_sums, *a_batch), (*b_sums, *b_batch)):
    b_names[j] = a_names[i]
  result = [a_names[i] for i in a_batch]
  result += [n for i, n in enumerate(a_names) if i not in (*a_sums, *a_batch)]
  result += [n for j, n in enumerate(b_names) if j not in (*b_sums, *b_batch)]
  a, b = (graph.whole(x) for x in (a, b))
  a_order, b_order = (
    x.order if x.name else tuple(range(x.rank)) for x in (a, b)
  )
  terms = [
    ''.join(names[axis] for axis in order)
    for names, order in ((a_names, a_order), (b_names, b_order))
  ]
  y = graph.emit(
    'Einsum',
    [graph.place(a, a_order), graph.place(b, b_order)],
    out.shape,
    a.dtype,
    equation=f'{",".join(terms)}->{"".join(result)}',
  )
  return cast(graph, y, out.dtype)


def _as_conv(
  graph: Graph, out: Any, x: Array, matrix: Array, axis: int, first: bool
) -> Array:
  """The product of the channels of NCHW pictures with those of a constant.

  Args:
    graph: To add to.
    out: Aval of the result.
    x: The pictures; their second stored axis is summed over.
    matrix: The constant.
    axis: Of the constant, that is summed over.
    first: Whether the other axes of the constant come first in the result.
  """
  value = np.moveaxis(graph.whole(matrix).value, axis, -1)
  *rest, inputs = value.shape
  channels = math.prod(rest)
  y = graph.emit(
    'Conv',
    [x.name, value.reshape(channels, inputs, 1, 1)],
    (x.stored[0], channels, *x.stored[2:]),
    x.dtype,
    kernel_shape=[1, 1],
  )
  # Stored as [batch, *rest, rows, columns].
  left = [i + first * len(rest) for i in range(3)]
  left.insert(x.order[1], None)
  start = 0 if first else 3
  order = [left[x.order[0]], *range(start, start + len(rest))]
  order += [left[i] for i in x.order[2:]]
  sizes = [out.shape[i] for i in order]
  sizes = [n if isinstance(n, int) else -1 for n in sizes]
  y = graph.emit('Reshape', [y.name, sizes], out.shape, x.dtype, order)
  return cast(graph, y, out.dtype)


TABLE = {
  'argmax': _arg('ArgMax'),
  'argmin': _arg('ArgMin'),
  'conv_general_dilated': _conv,
  'dot_general': _dot_general,
  'reduce_and': _reduce('ReduceMin'),
  'reduce_max': _reduce('ReduceMax'),
  'reduce_min': _reduce('ReduceMin'),
  'reduce_or': _reduce('ReduceMax'),
  'reduce_prod': _reduce('ReduceProd'),
  'reduce_sum': _reduce('ReduceSum'),
  'reduce_window_max': _max_pool,
  'reduce_window_sum': _sum_pool,
}
