"""From a jaxpr to a graph: equation by equation, calls and loops written out.

What does not depend on the input is computed here.
"""

import site
import sysconfig
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal

from deeplax.errors import UserError
from deeplax.export import (
  onnx_elementwise,
  onnx_parts,
  onnx_shapes,
  onnx_windows,
)
from deeplax.export.onnx_graph import Array, Graph, Unsupported, constant

# Rounds of a loop that is written out; each has all its nodes again.
MOST_ROUNDS = 64
# Calls, and the parameter that is called.
_CALLS = {
  'checkpoint': 'jaxpr',
  'closed_call': 'call_jaxpr',
  'custom_jvp_call': 'call_jaxpr',
  'custom_vjp_call': 'call_jaxpr',
  'jit': 'jaxpr',
  'remat2': 'jaxpr',
}
# What JAX would compile for every shape there is.
_NUMPY = {
  'add': np.add,
  'mul': np.multiply,
  'rsqrt': lambda x: 1 / np.sqrt(x),
  'sub': np.subtract,
}
# Of one number all over, what these give is that number all over.
_STILL = ('dynamic_slice', 'reshape', 'rev', 'slice', 'squeeze', 'transpose')
_NOTHING = ('copy', 'name', 'optimization_barrier', 'stop_gradient')
_OPS = {
  **onnx_elementwise.TABLE,
  **onnx_parts.TABLE,
  **onnx_shapes.TABLE,
  **onnx_windows.TABLE,
}
_TYPES = frozenset(
  np.dtype(f'{kind}{bits}')
  for kind, sizes in (
    ('int', (8, 16, 32, 64)),
    ('uint', (8, 16, 32, 64)),
    ('float', (16, 32, 64)),
  )
  for bits in sizes
) | {np.dtype(bool)}
_LIBRARIES = tuple(
  {
    *site.getsitepackages(),
    *(sysconfig.get_path(p) for p in ('purelib', 'platlib', 'stdlib')),
  }
)


def trace(graph: Graph, closed: ClosedJaxpr, *args: Array) -> list[Array]:
  """Adds to the graph what a jaxpr computes.

  Args:
    graph: To add to.
    closed: The jaxpr.
    *args: Its arguments.

  Returns:
    Its results.

  Raises:
    UserError: Names what has no counterpart in ONNX, and where it is.
  """
  needed = [True] * len(closed.jaxpr.outvars)
  consts = [_known(c) for c in closed.consts]
  try:
    return _run(graph, closed.jaxpr, consts, args, needed)
  except Unsupported as error:
    raise UserError(
      f"JAX's operation {error.operation!r} in {error.scope or 'the function'}"
      f"{error.line} can't be written as ONNX: {error}. Export what comes "
      'before it, or choose another format.'
    ) from error


def _known(value: Any) -> Array:
  return constant(np.asarray(value))


def _run(graph, jaxpr, consts, args, needed) -> list[Array | None]:
  """The results that are needed; None for the others."""
  values = dict(zip(jaxpr.constvars, consts, strict=True))
  values.update(zip(jaxpr.invars, args, strict=True))

  def read(atom):
    if isinstance(atom, Literal):
      return constant(atom.val, atom.aval.dtype)
    return values[atom]

  for eqn, wanted in _alive(jaxpr, needed):
    found = _equation(graph, eqn, [read(x) for x in eqn.invars], wanted)
    values.update(zip(eqn.outvars, found, strict=True))
  return [read(x) if keep else None for x, keep in zip(jaxpr.outvars, needed)]


def _alive(jaxpr, needed):
  """The equations whose results are needed, each with which of them are."""
  alive = {
    x
    for x, keep in zip(jaxpr.outvars, needed)
    if keep and not isinstance(x, Literal)
  }
  chosen = []
  for eqn in reversed(jaxpr.eqns):
    wanted = [x in alive for x in eqn.outvars]
    if any(wanted):
      chosen.append((eqn, wanted))
      alive.update(x for x in eqn.invars if not isinstance(x, Literal))
  return reversed(chosen)


def _equation(graph, eqn, args, needed) -> list[Array | None]:
  name, scope = eqn.primitive.name, graph.scope
  stack = str(eqn.source_info.name_stack)
  graph.scope = '/'.join(filter(None, (scope, stack)))
  try:
    if name in _CALLS:
      return _call(graph, eqn.params[_CALLS[name]], args, needed)
    if name in _NOTHING:
      return args
    if name == 'scan':
      return _scan(graph, eqn.params, args, needed)
    if name == 'cond':
      return _cond(graph, eqn.params, args, needed)
    if name == 'dim_as_value':
      raise Unsupported(
        'it counts the pictures, whose number is open; leave dynamic_batch out'
      )
    if all(x.value is not None for x in args):
      return _fold(graph, eqn, args)
    if name not in _OPS:
      raise Unsupported('there is no rule for it')
    for x in (*eqn.invars, *eqn.outvars):
      if x.aval.dtype not in _TYPES:
        raise Unsupported(f'numbers of the type {x.aval.dtype}')
    found = _OPS[name](graph, eqn, *args)
    return found if isinstance(found, list) else [found]
  except Unsupported as error:
    error.operation = error.operation or name
    error.scope = error.scope or graph.scope
    error.line = error.line or _line(eqn)
    raise
  finally:
    graph.scope = scope


def _line(eqn) -> str:
  """Where an equation was written, libraries left out."""
  found = eqn.source_info.traceback
  for frame in found.frames if found else ():
    if not frame.file_name.startswith(_LIBRARIES):
      return f' ({frame.file_name}, line {frame.line_num})'
  return ''


def _call(graph, called, args, needed):
  if isinstance(called, ClosedJaxpr):
    consts = [_known(c) for c in called.consts]
    return _run(graph, called.jaxpr, consts, args, needed)
  return _run(graph, called, (), args, needed)


def _cond(graph, params, args, needed):
  index, *args = args
  if index.value is None:
    raise Unsupported('a branch that depends on the input')
  branches = params['branches']
  which = int(np.clip(int(index.scalar()), 0, len(branches) - 1))
  return _call(graph, branches[which], args, needed)


def _scan(graph, params, args, needed):
  """Writes a loop out, round by round."""
  del needed  # what one round does not need, the next may
  length, body = params['length'], params['jaxpr']
  if length > MOST_ROUNDS:
    raise Unsupported(
      f'a loop of {length} rounds; at most {MOST_ROUNDS} are written out'
    )
  fixed, carry = params['num_consts'], params['num_carry']
  consts, state, xs = (
    args[:fixed],
    args[fixed : fixed + carry],
    args[fixed + carry :],
  )
  rounds = range(length)
  rows = []
  for i in reversed(rounds) if params['reverse'] else rounds:
    picked = [_row(graph, x, i) for x in xs]
    out = _call(
      graph, body, [*consts, *state, *picked], [True] * len(body.jaxpr.outvars)
    )
    state = out[:carry]
    rows.append(out[carry:])
  if params['reverse']:
    rows.reverse()
  return [*state, *(_stack(graph, column) for column in zip(*rows))]


def _row(graph, x, i):
  """`x[i]`."""
  if x.value is not None:
    value = x.value[i if x.value.shape[0] > 1 else 0]
    return constant(value, shape=x.shape[1:])
  part = onnx_parts.cut(
    graph, x, [i] + [0] * (x.rank - 1), [i + 1, *x.shape[1:]]
  )
  return onnx_shapes.reshape(graph, part, x.shape[1:])


def _stack(graph, arrays):
  """Joins arrays along a new first axis."""
  if all(x.value is not None for x in arrays):
    return constant(np.stack([graph.whole(x).value for x in arrays]))
  shape = arrays[0].shape
  rows = [
    graph.place(onnx_shapes.reshape(graph, graph.whole(x), (1, *shape)))
    for x in arrays
  ]
  return graph.emit(
    'Concat', rows, (len(arrays), *shape), arrays[0].dtype, axis=0
  )


def _fold(graph, eqn, args) -> list[Array]:
  """Computes what depends on constants alone."""
  name, shapes = eqn.primitive.name, [x.aval.shape for x in eqn.outvars]
  if name == 'broadcast_in_dim':
    return [_spread(args[0], shapes[0], eqn.params['broadcast_dimensions'])]
  if name in _STILL and args[0].value.size == 1:
    one = args[0].value.reshape((1,) * len(shapes[0]))
    return [constant(one, shape=shapes[0])]
  if name in onnx_elementwise.TABLE:  # axes of size 1 may stay so
    values = [x.value for x in args]
    full = np.broadcast_shapes(*(v.shape for v in values))
    values = [np.broadcast_to(v, full) if v.ndim else v for v in values]
  else:
    values = [graph.whole(x).value for x in args]
  if name in _NUMPY and values[0].dtype.kind == 'f':
    return [constant(_NUMPY[name](*values), values[0].dtype, shapes[0])]
  found = eqn.primitive.bind(*map(jnp.asarray, values), **eqn.params)
  found = found if eqn.primitive.multiple_results else [found]
  return [constant(np.asarray(x), shape=s) for x, s in zip(found, shapes)]


def _spread(x, shape, axes) -> Array:
  sizes = [1] * len(shape)
  for axis, n in zip(axes, x.value.shape):
    sizes[axis] = n
  return constant(x.value.reshape(sizes), shape=shape)
