"""Operations on each element, by the name of their primitive."""

from collections.abc import Callable
from typing import Any

import numpy as np

from deeplax.export.onnx_graph import Array, Graph, Unsupported, constant

# Primitives that are one operator.
_SAME = {
  'abs': 'Abs',
  'add': 'Add',
  'add_any': 'Add',
  'ceil': 'Ceil',
  'cos': 'Cos',
  'div': 'Div',
  'eq': 'Equal',
  'erf': 'Erf',
  'exp': 'Exp',
  'floor': 'Floor',
  'ge': 'GreaterOrEqual',
  'gt': 'Greater',
  'le': 'LessOrEqual',
  'log': 'Log',
  'logistic': 'Sigmoid',
  'lt': 'Less',
  'max': 'Max',
  'min': 'Min',
  'mul': 'Mul',
  'neg': 'Neg',
  'pow': 'Pow',
  'sign': 'Sign',
  'sin': 'Sin',
  'sqrt': 'Sqrt',
  'sub': 'Sub',
  'tanh': 'Tanh',
}
_LOGICAL = {'and': 'And', 'or': 'Or', 'xor': 'Xor', 'not': 'Not'}
# For which runtimes have few kernels; computed as int32, and narrowed again.
_NARROW = tuple(np.dtype(t) for t in ('int8', 'uint8', 'int16', 'uint16'))

Op = Callable[..., Array]


def _result(eqn: Any) -> tuple[tuple, np.dtype]:
  """Shape and dtype of what an equation gives."""
  aval = eqn.outvars[0].aval
  return tuple(aval.shape), np.dtype(aval.dtype)


def cast(graph: Graph, x: Array, dtype: Any) -> Array:
  """x as another type: towards zero where fractions are lost."""
  dtype = np.dtype(dtype)
  if x.dtype == dtype:
    return x
  if x.value is not None:
    return constant(x.value.astype(dtype), shape=x.shape)
  return graph.elementwise('Cast', [x], x.shape, dtype, to=dtype)


def _plain(op: str) -> Op:
  def convert(graph, eqn, *arrays):
    shape, dtype = _result(eqn)
    narrow = arrays[0].dtype in _NARROW
    if narrow:
      arrays = [cast(graph, x, np.int32) for x in arrays]
    wide = np.dtype(np.int32) if narrow and dtype in _NARROW else dtype
    out = graph.elementwise(op, arrays, shape, wide)
    return cast(graph, out, dtype)

  return convert


def _max(graph, eqn, a, b):
  shape, dtype = _result(eqn)
  for x, bound in ((a, b), (b, a)):
    if bound.scalar() == 0 and dtype.kind == 'f' and x.shape == shape:
      return graph.elementwise('Relu', [x], shape, dtype)
  return _plain('Max')(graph, eqn, a, b)


def _logical(op: str) -> Op:
  def convert(graph, eqn, *arrays):
    shape, dtype = _result(eqn)
    if dtype.kind != 'b':
      raise Unsupported(f'bits of {dtype}; only bool can be combined')
    return graph.elementwise(op, arrays, shape, dtype)

  return convert


def _ne(graph, eqn, a, b):
  equal = _plain('Equal')(graph, eqn, a, b)
  return graph.elementwise('Not', [equal], equal.shape, bool)


def _rem(graph, eqn, a, b):
  return graph.elementwise('Mod', [a, b], *_result(eqn), fmod=1)


def _rsqrt(graph, eqn, x):
  root = graph.elementwise('Sqrt', [x], *_result(eqn))
  return graph.elementwise('Reciprocal', [root], *_result(eqn))


def _square(graph, eqn, x):
  return graph.elementwise('Mul', [x, x], *_result(eqn))


def _integer_pow(graph, eqn, x):
  power = eqn.params['y']
  if power == 2:
    return _square(graph, eqn, x)
  if power == -1:
    return graph.elementwise('Reciprocal', [x], *_result(eqn))
  exponent = constant(np.full((1,) * x.rank, power, x.dtype))
  return graph.elementwise('Pow', [x, exponent], *_result(eqn))


def _round(graph, eqn, x):
  if int(eqn.params['rounding_method']) != 1:
    raise Unsupported('halves rounded away from zero; only to even')
  return graph.elementwise('Round', [x], *_result(eqn))


def _is_finite(graph, eqn, x):
  shape, _ = _result(eqn)
  bad = [graph.elementwise(op, [x], shape, bool) for op in ('IsNaN', 'IsInf')]
  either = graph.elementwise('Or', bad, shape, bool)
  return graph.elementwise('Not', [either], shape, bool)


def _clamp(graph, eqn, low, x, high):
  shape, dtype = _result(eqn)
  above = graph.elementwise('Max', [x, low], shape, dtype)
  return graph.elementwise('Min', [above, high], shape, dtype)


def _select(graph, eqn, which, *cases):
  shape, dtype = _result(eqn)
  if which.dtype != bool or len(cases) != 2:
    raise Unsupported(f'a choice of {len(cases)} by {which.dtype}')
  if which.scalar() is not None:
    return cases[int(which.scalar())]
  return graph.elementwise('Where', [which, *reversed(cases)], shape, dtype)


def _cast(graph, eqn, x):
  return cast(graph, x, _result(eqn)[1])


TABLE: dict[str, Op] = {
  **{name: _plain(op) for name, op in _SAME.items()},
  **{name: _logical(op) for name, op in _LOGICAL.items()},
  'clamp': _clamp,
  'convert_element_type': _cast,
  'integer_pow': _integer_pow,
  'is_finite': _is_finite,
  'max': _max,
  'ne': _ne,
  'rem': _rem,
  'round': _round,
  'rsqrt': _rsqrt,
  'select_n': _select,
  'square': _square,
}
