"""Writes a function of pictures as an ONNX model.

The function is traced by JAX, and each operation of the jaxpr becomes one of
ONNX, or a few: `onnx_trace`. Networks are best traced with XLA's own
convolutions, since what is written out by hand for one processor is a detour
for another runtime.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from deeplax.errors import UserError
from deeplax.export import onnx_peephole, onnx_trace
from deeplax.export.onnx_graph import NCHW, Array, Graph

OPSET = 18
# Of the file format; the first that knows opset 18, for older runtimes.
IR_VERSION = 8
BATCH = 'batch'


def convert(
  fn: Callable[[jax.Array], dict[str, jax.Array]],
  example: jax.ShapeDtypeStruct | jax.Array | np.ndarray,
  *,
  input_name: str = 'image',
  dynamic_batch: bool = False,
) -> onnx.ModelProto:
  """Converts a pure function of one array, with its constants.

  Args:
    fn: Takes an array such as `example`, uint8[B, H, W, 3] for a network;
      gives a dictionary of arrays, whose names are those of the outputs.
      Parameters that it closes over become constants of the model.
    example: Has the shape and the dtype of the input.
    input_name: Of the input.
    dynamic_batch: Whether the first axis of the input may have any size.

  Returns:
    A model that `onnx.checker` has found good, shapes included; in float32
    to rounding what JAX computes.

  Raises:
    UserError: For an operation that ONNX doesn't have, named with its place,
      for outputs without names, or a function that needs to know the size of
      its batch, where that is to be open.
  """
  try:
    model = _convert(fn, example, input_name, dynamic_batch)
  except jax.errors.InconclusiveDimensionOperation as error:
    raise UserError(
      'The function needs to know the number of pictures, which was to be open '
      f'({str(error).splitlines()[0]}). Leave dynamic_batch out.'
    ) from error
  onnx.checker.check_model(model, full_check=True)
  return model


def _convert(fn, example, input_name, dynamic_batch):
  closed, outputs = _trace(fn, example, dynamic_batch)
  (aval,) = closed.in_avals
  shape, dtype = tuple(aval.shape), np.dtype(aval.dtype)
  graph = Graph()
  image = first = Array(shape, dtype, input_name, tuple(range(aval.ndim)))
  graph.add_input(image)
  if image.rank == 4:  # a picture's three channels are moved now, or never
    first = Array(shape, dtype, graph.place(image, NCHW), NCHW)
  results = onnx_trace.trace(graph, closed, first)
  names = [graph.place(graph.whole(x)) for x in results]
  onnx_peephole.improve(graph, names)
  return _model(graph, image, dict(zip(outputs, zip(names, results))))


def _trace(fn, example, dynamic_batch):
  """The jaxpr, and the names of its results in their order."""
  shape = tuple(example.shape)
  if dynamic_batch:
    shape = (*jax.export.symbolic_shape(BATCH), *shape[1:])
  spec = jax.ShapeDtypeStruct(shape, example.dtype)
  closed, found = jax.make_jaxpr(fn, return_shape=True)(spec)
  if not isinstance(found, dict) or not found:
    raise UserError(
      f'The function gives {type(found).__name__}; expected a dictionary of '
      'arrays by the names of the outputs.'
    )
  paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(found)]
  if any(len(path) != 1 for path in paths):
    raise UserError(
      'The function gives arrays within arrays; expected a dictionary of '
      'arrays by the names of the outputs.'
    )
  return closed, [str(path[0].key) for path in paths]


def _model(graph: Graph, image: Array, outputs: dict[str, tuple]) -> Any:
  """Puts the file together; every constant is in it once."""
  constants, names = {}, {}
  for name, value in graph.constants.items():
    value = np.ascontiguousarray(value)
    digest = hashlib.sha256(value).digest(), value.dtype, value.shape
    known = constants.setdefault(digest, (f'c{len(constants)}', value))
    names[name] = known[0]
  nodes = [
    helper.make_node(
      node.op,
      [names.get(n, n) for n in node.inputs],
      [node.output],
      name='/'.join(filter(None, (node.scope, node.output))),
      **{k: _attribute(v) for k, v in node.attributes.items()},
    )
    for node in graph.nodes
  ]
  nodes += [
    helper.make_node('Identity', [names.get(name, name)], [output])
    for output, (name, _) in outputs.items()
  ]
  return helper.make_model(
    helper.make_graph(
      nodes,
      'deeplax',
      [_info(image.name, image)],
      [_info(name, x) for name, (_, x) in outputs.items()],
      [numpy_helper.from_array(v, n) for n, v in constants.values()],
    ),
    opset_imports=[helper.make_opsetid('', OPSET)],
    ir_version=IR_VERSION,
    producer_name='deeplax',
  )


def _attribute(value: Any) -> Any:
  """As protobuf has it."""
  if isinstance(value, np.dtype):
    return helper.np_dtype_to_tensor_dtype(value)
  return value


def _info(name: str, x: Array) -> Any:
  kind: TensorProto.DataType = helper.np_dtype_to_tensor_dtype(x.dtype)
  shape = [n if isinstance(n, int) else BATCH for n in x.shape]
  return helper.make_tensor_value_info(name, kind, shape)
