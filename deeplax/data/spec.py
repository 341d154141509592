"""The grammar of operations: a chain of calls, parsed and never run.

`'random_scale(0.5, 2.0)|random_crop(512, 1024)|random_flip()'` is read as a
syntax tree; arguments are numbers, positional or by name, checked as soon as
the config is read. The operations themselves are in `ops.py`.
"""

import ast
import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from deeplax.data import geometry
from deeplax.data.geometry import Example

Size = tuple[int, int]
# Tells what is expected of a value, or None when the value will do.
Check = Callable[[Any, dict[str, Any]], str | None]
# Draws another example, of the size of the one at hand.
Other = Callable[[], Example]

_LONGEST = 1000  # characters of a specification
_LARGEST = 10**6  # number, either way: pixels of a side, above all
# Operations that mix: each doubles the pictures that a crop may be made of, as
# the other picture goes through those before, too. So there are four at most.
_MOST_MIXING = 2

EXAMPLE = 'random_scale(0.5, 2.0)|random_crop(512, 1024)|random_flip()'


class OpsError(ValueError):
  """A specification that can't be parsed."""


@dataclasses.dataclass(frozen=True)
class _Entry:
  function: Callable[..., Example]
  size: Callable[..., Size | None]
  checks: dict[str, Check]
  lazy: bool
  mixes: bool


@dataclasses.dataclass(frozen=True)
class Op:
  """One parsed operation: `op(example, rng) -> example`.

  One that `mixes` is called as `op(example, rng, other)`, see `register`.

  Attributes:
    name: As in the specification.
    arguments: ((name, value), ...) of all arguments, defaults included.
  """

  name: str
  arguments: tuple[tuple[str, int | float], ...]
  _entry: _Entry = dataclasses.field(repr=False, compare=False)

  @property
  def mixes(self) -> bool:
    """Whether it needs a second example."""
    return self._entry.mixes

  def size(self, size: Size | None) -> Size | None:
    """That of the image after it, see `register`."""
    return self._entry.size(size, **dict(self.arguments))

  def __call__(
    self, example: Example, rng: np.random.Generator, *other: Other
  ) -> Example:
    if not self._entry.lazy:
      example = geometry.realise(example)
    return self._entry.function(example, rng, *other, **dict(self.arguments))

  def __str__(self) -> str:
    return f'{self.name}({", ".join(f"{k}={v}" for k, v in self.arguments)})'

  # Workers get operations by name: the entries hold lambdas.
  def __reduce__(self):
    return _rebuild, (self.name, self.arguments, self._entry.function)


def _rebuild(name, arguments, function):
  del function  # unpickling it has imported the module that registers it
  return Op(name, arguments, _REGISTRY[name])


_REGISTRY: dict[str, _Entry] = {}

# Operations that don't need image and label to be of one size.
_ANY_SIZES = {'photometric', 'random_flip'}


def register(
  size: Callable[..., Size | None],
  *,
  lazy: bool = False,
  mixes: bool = False,
  **checks: Check,
):
  """Makes a function an operation, under its own name.

  Args:
    size: `(size, **arguments) -> size` of the image after the operation, where
      None stands for a size that depends on the picture or on chance.
    lazy: The function takes examples whose scaling is still pending
      (`geometry.scale`); for any other it is carried out first.
    mixes: The function is `(example, rng, other, *, arguments) -> example`:
      `other()` draws another example of the source, with the same `rng`, and
      sends it through the operations before this one. It stands where all
      examples are of one size.
    **checks: By argument; see `at_least`. The type comes from the function's
      annotation, `int` or `float`.
  """

  def add(function):
    entry = _Entry(function, size, checks, lazy, mixes)
    _REGISTRY[function.__name__] = entry
    return function

  return add


def known() -> tuple[str, ...]:
  """What can be written in a specification, e.g. `'random_scale(lo, hi)'`."""
  return tuple(_usage(name) for name in sorted(_REGISTRY))


def parse(spec: str) -> tuple[Op, ...]:
  """The operations of a specification; `''` has none.

  Raises:
    OpsError: Not a chain of calls, an unknown operation, or an argument that
      is missing, of the wrong type or out of range.
  """
  if len(spec) > _LONGEST:
    raise OpsError(
      f'{spec[:40]!r}... has {len(spec)} characters; expected at most '
      f'{_LONGEST}, e.g. {EXAMPLE!r}.'
    )
  try:
    return _parse(spec.strip()) if spec.strip() else ()
  except OpsError:
    raise
  except SyntaxError as error:
    reason = f'{error.msg} at character {error.offset}'
  except (ValueError, RecursionError) as error:  # half a character; brackets
    reason = str(error)
  raise OpsError(
    f"{spec!r} can't be read ({reason}); expected calls joined by |, e.g. "
    f'{EXAMPLE!r}.'
  )


def _parse(spec: str) -> tuple[Op, ...]:
  tree = ast.parse(spec, mode='eval').body
  calls = []
  while isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.BitOr):
    calls.append(tree.right)
    tree = tree.left
  calls.append(tree)
  ops = tuple(_parse_call(call) for call in reversed(calls))
  names = [op.name for op in ops]
  if 'resize_image' in names:
    after = set(names[names.index('resize_image') + 1 :]) - _ANY_SIZES
    if after:
      raise OpsError(
        f'{spec!r}: {sorted(after)[0]} comes after resize_image, where image '
        'and label differ in size; put resize_image last.'
      )
  _check_mixing(spec, ops)
  return ops


def _check_mixing(spec: str, ops: tuple[Op, ...]) -> None:
  size = None
  for op in ops:
    if op.mixes and size is None:
      raise OpsError(
        f'{spec!r}: {op.name} puts parts of one picture over another, which '
        'must be of one size; put it after random_crop(height, width), '
        'class_crop(height, width) or resize(height, width).'
      )
    size = op.size(size)
  mixing = [op.name for op in ops if op.mixes]
  if len(mixing) > _MOST_MIXING:
    raise OpsError(
      f'{spec!r} has {len(mixing)} operations that need another picture '
      f'({", ".join(mixing)}); expected at most {_MOST_MIXING}, as each may '
      'double what is read for a crop.'
    )


def at_least(low: float) -> Check:
  """Check: `low` or more."""
  return lambda value, _: None if value >= low else f'{low} or more'


def between(low: float, high: float) -> Check:
  """Check: `low` to `high`, both included."""
  wanted = f'{low} to {high}'
  return lambda value, _: None if low <= value <= high else wanted


def _usage(name: str) -> str:
  parts = []
  for key, parameter in _parameters(name).items():
    plain = parameter.default is parameter.empty
    parts.append(key if plain else f'{key}={parameter.default}')
  return f'{name}({", ".join(parts)})'


def _parameters(name: str) -> dict[str, inspect.Parameter]:
  entry = _REGISTRY[name]
  parameters = inspect.signature(entry.function).parameters
  given = 3 if entry.mixes else 2  # example, rng; other
  return dict(list(parameters.items())[given:])


def _parse_call(node: ast.AST) -> Op:
  text = ast.unparse(node)
  if isinstance(node, ast.Name):
    raise OpsError(f'{text} is no call; expected brackets: {text}().')
  if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
    raise OpsError(
      f'{text} is no call; expected calls joined by |, e.g. {EXAMPLE!r}.'
    )
  name = node.func.id
  if name not in _REGISTRY:
    raise OpsError(
      f'unknown operation {name!r} in {text}. Known: {", ".join(known())}.'
    )
  parameters = _parameters(name)
  usage = f'expected {_usage(name)}'
  if len(node.args) > len(parameters):
    raise OpsError(f'{text} has {len(node.args)} arguments; {usage}.')
  given = dict(zip(parameters, node.args))
  for keyword in node.keywords:
    if keyword.arg not in parameters:
      raise OpsError(f'{text}: unknown argument {keyword.arg!r}; {usage}.')
    if keyword.arg in given:
      raise OpsError(f'{text}: {keyword.arg} is given twice; {usage}.')
    given[keyword.arg] = keyword.value

  arguments = {}
  for key, parameter in parameters.items():
    if key in given:
      arguments[key] = _number(given[key], parameter, text)
    elif parameter.default is parameter.empty:
      raise OpsError(f'{text}: {key} is missing; {usage}.')
    else:
      arguments[key] = parameter.default
  for key, check in _REGISTRY[name].checks.items():
    wanted = check(arguments[key], arguments)
    if wanted:
      raise OpsError(f'{text}: {key} is {arguments[key]}; expected {wanted}.')
  return Op(name, tuple(arguments.items()), _REGISTRY[name])


def _number(node: ast.AST, parameter: inspect.Parameter, text: str):
  whole, given = parameter.annotation is int, ast.unparse(node)
  try:
    value = ast.literal_eval(node)
  except (ValueError, TypeError):  # a set of lists is of the second kind
    value = None
  fits = isinstance(value, int if whole else (int, float))
  if not fits or isinstance(value, bool) or not abs(value) <= _LARGEST:
    raise OpsError(
      f'{text}: {parameter.name} is {given}; expected '
      f'{"a whole number" if whole else "a number"}, at most {_LARGEST}.'
    )
  return value if whole else float(value)
