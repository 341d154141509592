"""A graph of ONNX operators as it grows, and how its arrays lie in memory.

JAX's pictures are NHWC, ONNX's convolutions NCHW. An array keeps its shape as
JAX sees it, and beside it the order in which its axes are stored: operators
that don't mind take over the order of what they read, and a transposition is
written only where one does mind. Between two convolutions there is none.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

# A size, or the symbol of `jax.export` that stands for the batch.
Size = Any
# Of pictures, as ONNX has them: what is stored where.
NCHW = (0, 3, 1, 2)


class Unsupported(Exception):  # noqa: N818, becomes a UserError
  """What an operation asks for has no counterpart here.

  Attributes:
    operation: Name of the primitive, once it is known.
    scope: Of the network.
    line: Of the program.
  """

  operation = scope = line = ''


@dataclasses.dataclass(eq=False)
class Node:
  """One ONNX operator of one result.

  Attributes:
    op: Its type.
    inputs: Names of results and constants.
    output: Name of the result.
    attributes: As ONNX has them.
    scope: Of the network, as in `DeepLab/head/aspp`.
  """

  op: str
  inputs: list[str]
  output: str
  attributes: dict[str, Any]
  scope: str


@dataclasses.dataclass(frozen=True, eq=False)
class Array:
  """A value as JAX sees it.

  Attributes:
    shape: May have a symbol in it.
    dtype: Of numpy.
    name: Of the result in the graph; None for a constant.
    order: Stored axis p is axis `order[p]`.
    value: Of a constant, of the rank of `shape`; axes along which it is
      the same may have the size 1. None for a result.
  """

  shape: tuple[Size, ...]
  dtype: np.dtype
  name: str | None = None
  order: tuple[int, ...] = ()
  value: np.ndarray | None = None

  @property
  def rank(self) -> int:
    return len(self.shape)

  @property
  def stored(self) -> tuple[Size, ...]:
    """The shape in the graph."""
    return tuple(self.shape[axis] for axis in self.order)

  def where(self, axis: int) -> int:
    """The stored axis that is `axis`."""
    return self.order.index(axis)

  def scalar(self) -> float | None:
    """The number, of a constant that is one number all over."""
    if self.value is None or self.value.size != 1:
      return None
    return self.value.item()


def constant(value: Any, dtype: Any = None, shape: Any = None) -> Array:
  """A constant; `shape`: what it is spread over."""
  value = np.asarray(value, dtype)
  shape = value.shape if shape is None else tuple(shape)
  return Array(shape, value.dtype, value=value)


def same(n: Size, m: Size) -> bool:
  """Whether two sizes are known to be equal; asks no symbol for its value."""
  return type(n) is type(m) and bool(n == m)


class Graph:
  """Nodes in the order in which they can be computed.

  Attributes:
    nodes: The operators.
    constants: By name.
    shapes: As stored, of results and input, by name.
    dtypes: Of the same.
    scope: Where in the network new nodes are.
  """

  def __init__(self):
    self.nodes: list[Node] = []
    self.constants: dict[str, np.ndarray] = {}
    self.shapes: dict[str, tuple[Size, ...]] = {}
    self.dtypes: dict[str, np.dtype] = {}
    self.scope = ''
    self._numbers = itertools.count()
    self._placed: dict[tuple, str] = {}
    self._kept: list[np.ndarray] = []  # so that no id is used twice

  def constant(self, value: np.ndarray, dtype: Any = None) -> str:
    """Adds a constant; returns its name."""
    name = f'constant_{next(self._numbers)}'
    self.constants[name] = np.asarray(value, dtype)
    return name

  def emit(
    self,
    op: str,
    inputs: Sequence[str | np.ndarray | Sequence[int]],
    shape: Sequence[Size],
    dtype: Any,
    order: Sequence[int] | None = None,
    **attributes: Any,
  ) -> Array:
    """Adds a node.

    Args:
      op: Type of the operator.
      inputs: Names, arrays, or whole numbers for tables of int64.
      shape, dtype: Of the result as JAX sees it.
      order: In which it is stored; default: as it is.
      **attributes: Of the operator.
    """
    names = []
    for value in inputs:
      if isinstance(value, np.ndarray):
        value = self.constant(value)
      elif not isinstance(value, str):
        value = self.constant(np.array(value, np.int64))
      names.append(value)
    order = tuple(range(len(shape)) if order is None else order)
    output = f'{op}_{next(self._numbers)}'
    self.nodes.append(Node(op, names, output, attributes, self.scope))
    array = Array(tuple(shape), np.dtype(dtype), output, order)
    self.add_input(array)
    return array

  def add_input(self, x: Array) -> None:
    """Knows what x, which it does not compute, is like."""
    self.shapes[x.name], self.dtypes[x.name] = x.stored, x.dtype

  def place(self, x: Array, order: Sequence[int] | None = None) -> str:
    """Name of x, stored in `order`; of a constant with its axes of size 1."""
    order = tuple(range(x.rank) if order is None else order)
    if x.value is not None:
      key = (id(x.value), order)
      if key not in self._placed:
        self._kept.append(x.value)
        self._placed[key] = self.constant(np.transpose(x.value, order))
      return self._placed[key]
    if x.order == order:
      return x.name
    key = (x.name, order)
    if key not in self._placed:
      perm = [x.where(axis) for axis in order]
      moved = self.emit(
        'Transpose', [x.name], x.shape, x.dtype, order, perm=perm
      )
      self._placed[key] = moved.name
    return self._placed[key]

  def whole(self, x: Array) -> Array:
    """x, where a constant has all its values written out."""
    if x.value is None or x.value.shape == x.shape:
      return x
    if not all(isinstance(n, int) for n in x.shape):
      raise Unsupported(
        'a constant is needed once for each picture, whose number is open; '
        'leave dynamic_batch out'
      )
    return constant(np.broadcast_to(x.value, x.shape))

  def elementwise(
    self,
    op: str,
    arrays: Sequence[Array],
    shape: Sequence[Size],
    dtype: Any,
    **attributes: Any,
  ) -> Array:
    """Adds a node whose operands are spread over `shape`, as numpy does."""
    shape, rank = tuple(shape), len(shape)
    order = self.common_order(arrays, rank)
    names, stored = [], []
    for x in arrays:
      names.append(self.place(x, order if x.rank == rank else None))
      placed = self.constants.get(names[-1])
      stored.append(self.shapes[names[-1]] if placed is None else placed.shape)
    out = self.emit(op, names, shape, dtype, order, **attributes)
    if rank and not all(
      same(n, 1) or any(len(s) == rank and same(s[p], n) for s in stored)
      for p, n in enumerate(out.stored)
    ):
      return self.expand(out)
    return out

  def expand(self, x: Array) -> Array:
    """Spreads what is stored with axes of size 1 over the shape of x."""
    sizes = []
    for n in x.stored:
      # A 1 leaves what there is.
      sizes.append(n if isinstance(n, int) else 1)
    return self.emit('Expand', [x.name, sizes], x.shape, x.dtype, x.order)

  def common_order(self, arrays: Sequence[Array], rank: int) -> tuple[int, ...]:
    """That of the first operand that is not stored as JAX has it."""
    same = tuple(range(rank))
    orders = [x.order for x in arrays if x.name and x.rank == rank]
    return next((o for o in orders if o != same), same)
