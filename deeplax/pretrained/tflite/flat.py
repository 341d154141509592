"""A `.tflite` file as plain numpy arrays and names; nothing is executed."""

import contextlib
import dataclasses
import math
import pathlib
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import tflite  # the flatbuffer's schema

from deeplax.errors import WeightsError
from deeplax.pretrained.tflite import schema

# What reading past the end, or at a place that is none, ends in.
_DAMAGE = (
  struct.error,
  LookupError,
  ValueError,
  TypeError,
  AttributeError,
  ArithmeticError,
  RecursionError,
  StopIteration,
)
# Far beyond any network.
_MOST = 5000  # tensors, and operations
_LONGEST = 1000  # bytes of a name
_DIMENSIONS = 8


@dataclasses.dataclass(frozen=True)
class Tensor:
  """A tensor of the file.

  Attributes:
    name: Of its own in the file.
    shape: None where an axis may have any size.
    dtype: As the format calls it, `'FLOAT32'`, `'INT8'`, ...
    data: Of a constant, as it is stored; else None.
    scale: One for all or one a channel, of a quantised tensor; else empty.
    zero: Numbers that stand for 0.
    axis: Of the channels.
  """

  name: str
  shape: tuple[int | None, ...]
  dtype: str
  data: np.ndarray | None
  scale: np.ndarray
  zero: np.ndarray
  axis: int

  @property
  def quantised(self) -> bool:
    """Whether numbers stand for others."""
    return self.scale.size > 0 and self.dtype not in ('FLOAT32', 'FLOAT16')

  def values(self, scale: np.ndarray | None = None) -> np.ndarray:
    """The constant's real numbers: `scale * (stored - zero)`, float32.

    Whole numbers without a scale, sizes and axes, stay as they are.

    Args:
      scale: Where the file gives none; one for all or one a channel.
    """
    if self.dtype in ('FLOAT16', 'FLOAT64'):
      return self.data.astype(np.float32)
    if not self.quantised and scale is None:
      return self.data
    scale = self.scale if scale is None else scale
    zero = self.zero if self.zero.size == scale.size else np.zeros(scale.size)
    shape = [1] * self.data.ndim
    if scale.size > 1:
      shape[self.axis] = scale.size
    stored = self.data.astype(np.float64) - zero.reshape(shape)
    return (scale.reshape(shape) * stored).astype(np.float32)

  @property
  def range(self) -> tuple[float, float] | None:
    """Smallest and largest number that a quantised feature map can hold."""
    if self.scale.size != 1 or self.dtype not in ('INT8', 'UINT8'):
      return None
    low, high = (0, 255) if self.dtype == 'UINT8' else (-128, 127)
    scale, zero = float(self.scale[0]), float(self.zero[0])
    return scale * (low - zero), scale * (high - zero)


@dataclasses.dataclass(frozen=True)
class Op:
  """An operation; tensors by number, -1 for one left out."""

  name: str
  inputs: tuple[int, ...]
  outputs: tuple[int, ...]
  options: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Flat:
  """The first graph of a file, its operations in order."""

  name: str
  tensors: list[Tensor]
  ops: list[Op]
  inputs: tuple[int, ...]
  outputs: tuple[int, ...]


def read(path: pathlib.Path) -> Flat:
  """Reads a file.

  Raises:
    WeightsError: It can't be read, is of another kind, or is damaged.
  """
  try:
    content = path.read_bytes()
  except OSError as error:
    raise WeightsError(f'{path} cannot be read: {error.strerror}.') from error
  if content[4:8] != b'TFL3':
    raise WeightsError(
      f'{path} is no .tflite file: bytes 4 to 7 are {content[4:8]!r}, expected '
      "b'TFL3'. Check --source and --weights."
    )
  with naming_damage(path):
    return _parse(path.name, content)


@contextlib.contextmanager
def naming_damage(name: str | pathlib.Path) -> Iterator[None]:
  """Whatever a file that contradicts itself leads to says which file it was.

  Raises:
    WeightsError: Instead.
  """
  try:
    yield
  except WeightsError:
    raise
  except _DAMAGE as error:
    reason = ' '.join(str(error).split())[:100]
    raise WeightsError(
      f'{name} is damaged or cut short ({type(error).__name__}: {reason}). '
      'Copy it again.'
    ) from error


class _Measure:
  """What may be read altogether: parts can lie on each other, so that a small
  file would be many times as large in memory."""

  def __init__(self, content: bytes):
    self.left = 2 * len(content)

  def take(self, count: int) -> None:
    """Raises ValueError when it is too much."""
    self.left -= count
    if self.left < 0:
      raise ValueError('its parts are larger than the file')


def _parse(name: str, content: bytes) -> Flat:
  model = tflite.Model.GetRootAs(content, 0)
  measure = _Measure(content)
  if model.SubgraphsLength() < 1:
    raise ValueError('it has no graph')
  graph = model.Subgraphs(0)
  number, count = graph.OperatorsLength(), graph.TensorsLength()
  if not number or max(number, count) > _MOST:
    raise ValueError(
      f'it has {number} operations and {count} tensors, expected 1..{_MOST}'
    )
  ops = [_op(model, graph.Operators(i), measure) for i in range(number)]
  tensors, names = [], set()
  for i in range(count):
    tensor = _tensor(model, graph.Tensors(i), content, i, names, measure)
    names.add(tensor.name)
    tensors.append(tensor)
  inputs, outputs = (
    _vector(graph, n, measure, _MOST) for n in ('Inputs', 'Outputs')
  )
  results = {*inputs, *outputs, *(n for op in ops for n in op.outputs)}
  numbers = {*results, *(n for op in ops for n in op.inputs if n != -1)}
  if min(numbers, default=0) < 0 or max(numbers, default=0) >= count:
    raise ValueError(f'a tensor is named that is none of {count}')
  return Flat(name, tensors, ops, inputs, outputs)


def _vector(table, name, measure: _Measure, longest: int) -> tuple[int, ...]:
  length = getattr(table, f'{name}Length')()
  if length > longest:
    raise ValueError(f'{name} of {length} numbers, expected {longest} at most')
  measure.take(4 * length)
  return tuple(int(getattr(table, name)(i)) for i in range(length))


def _text(content: bytes | None, measure: _Measure) -> str:
  content = content or b''
  measure.take(len(content))
  if len(content) > _LONGEST:
    raise ValueError(f'a name of {len(content)} bytes')
  return content.decode(errors='replace')


def _op(model, op, measure) -> Op:
  code = model.OperatorCodes(op.OpcodeIndex())
  # The old field holds numbers up to 127 only.
  number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
  name = schema.OPS.get(number, f'number {number}')
  if name == 'CUSTOM':
    name = _text(code.CustomCode(), measure)
  options = {}
  if name in schema.OPTIONS and op.BuiltinOptions() is not None:
    kind, fields = schema.OPTIONS[name]
    table = getattr(tflite, kind)()
    union = op.BuiltinOptions()
    table.Init(union.Bytes, union.Pos)
    options = {field: getattr(table, field)() for field in fields}
  if 'FusedActivationFunction' in options:
    number = options['FusedActivationFunction']
    options['activation'] = schema.ACTIVATIONS[number]
  inputs, outputs = (
    _vector(op, n, measure, _MOST) for n in ('Inputs', 'Outputs')
  )
  return Op(name, inputs, outputs, options)


def _tensor(model, tensor, content, number, names, measure) -> Tensor:
  name = _text(tensor.Name(), measure) or f'tensor {number}'
  if name in names:
    name = f'{name} ({number})'
  shape, signature = (
    _vector(tensor, n, measure, _DIMENSIONS)
    for n in ('Shape', 'ShapeSignature')
  )
  if len(signature) != len(shape):
    signature = shape
  dtype = schema.TYPES.get(tensor.Type(), f'type {tensor.Type()}')
  scale, zero, axis = np.zeros(0), np.zeros(0), 0
  quantisation = tensor.Quantization()
  if quantisation is not None and quantisation.ScaleLength():
    measure.take(12 * quantisation.ScaleLength())
    axis = quantisation.QuantizedDimension()
    scale = np.asarray(quantisation.ScaleAsNumpy(), np.float64)
    zero = np.zeros(scale.size)
    if quantisation.ZeroPointLength() == scale.size:
      zero = np.asarray(quantisation.ZeroPointAsNumpy(), np.float64)
  data = _data(model, tensor, content, name, shape, dtype, measure)
  if data is not None and scale.size > 1 and data.shape[axis] != scale.size:
    raise ValueError(f'{name} has {scale.size} scales for {data.shape}')
  return Tensor(
    name,
    tuple(n if m >= 0 else None for n, m in zip(shape, signature)),
    dtype,
    data,
    scale,
    zero,
    axis,
  )


def _data(
  model, tensor, content, name, shape, dtype, measure
) -> np.ndarray | None:
  buffer = model.Buffers(tensor.Buffer())
  measure.take(buffer.Size() if buffer.Offset() > 1 else buffer.DataLength())
  if buffer.Offset() > 1:  # behind the flatbuffer, in large files
    raw = content[buffer.Offset() : buffer.Offset() + buffer.Size()]
    if len(raw) < buffer.Size():
      raise ValueError(f'{name} ends beyond the file')
  elif buffer.DataLength():
    raw = np.asarray(buffer.DataAsNumpy()).tobytes()
  else:
    return np.zeros(shape, np.float32) if 0 in shape else None
  if tensor.Sparsity() is not None:
    raise WeightsError(
      f'{name} is stored as a sparse array, which is not supported. Convert '
      'the model again without sparsity.'
    )
  if dtype not in schema.DTYPES:
    return np.frombuffer(raw, np.uint8)  # text and the like, no weights
  count = math.prod(shape)
  values = np.frombuffer(raw, schema.DTYPES[dtype])
  if dtype == 'INT4':
    nibbles = np.stack([values & 15, values >> 4], -1).reshape(-1)[:count]
    values = nibbles.astype(np.int8) - 16 * (nibbles > 7).astype(np.int8)
  elif dtype == 'BFLOAT16':
    values = (values.astype(np.uint32) << 16).view(np.float32)
  if values.size != count:
    raise ValueError(f'{name} has {values.size} numbers, expected {shape}')
  return values.reshape(shape)
