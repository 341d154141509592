"""What a `.tflite` file's operations come down to: layers and their order."""

import dataclasses
from typing import NamedTuple

import numpy as np

from deeplax.ops.conv import same_padding

# Of a layer's result; 'none' where nothing follows, 'below6' where its numbers
# can hold nothing below 0, and nothing near 6: either ReLU.
RELU = {'NONE': 'none', 'RELU': 'relu', 'RELU6': 'relu6'}


@dataclasses.dataclass(frozen=True)
class Constant:
  """Numbers out of the file.

  Attributes:
    array: Dequantised.
    names: Of the tensors it is made of.
    quantised: Whether it was stored in whole numbers with a scale.
  """

  array: np.ndarray
  names: tuple[str, ...]
  quantised: bool = False


@dataclasses.dataclass(eq=False, repr=False)
class Node:
  """A feature map.

  Attributes:
    kind: 'input', 'conv', 'add', 'pool', 'resize', 'concat', or 'other'.
    op: The operation that gives it.
    tensor: Its name in the file.
    shape: `[B, H, W, C]`; None where an axis may have any size.
    inputs: What it is made of.
    users: What is made of it.
    activation: That follows, `RELU`'s values.
  """

  kind: str
  op: str
  tensor: str
  shape: tuple[int | None, ...]
  inputs: list['Node'] = dataclasses.field(default_factory=list)
  users: list['Node'] = dataclasses.field(default_factory=list)
  activation: str = 'none'

  def __post_init__(self):
    for node in self.inputs:
      node.users.append(self)

  def __repr__(self) -> str:  # without the graph behind it
    return f'{self.tensor} ({self.op})'


@dataclasses.dataclass(eq=False, repr=False)
class Input(Node):
  """The picture: the network sees `scale * pixel + shift`.

  Attributes:
    scale: One for all channels, or one each.
    shift: The same.
    unit: Whether pixels are known to be 0..255, as they are stored in bytes.
    offset: What makes stored numbers 0..255.
    names: Of the constants that took part.
  """

  scale: np.ndarray = dataclasses.field(default_factory=lambda: np.ones(1))
  shift: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(1))
  unit: bool = False
  offset: float = 0
  names: set[str] = dataclasses.field(default_factory=set)

  @property
  def changed(self) -> bool:
    """Whether the graph says what becomes of the pixels."""
    return self.unit or bool((self.scale != 1).any() or self.shift.any())


class Value(NamedTuple):
  """A feature map on its way from one operation to the next.

  Attributes:
    node: That gave it.
    shape: As it is now.
    block: Side of the blocks that SPACE_TO_BATCH_ND took apart.
    pads: Zeros before and after rows and columns, not applied yet.
  """

  node: Node
  shape: tuple[int | None, ...]
  block: int = 1
  pads: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))

  @property
  def padded(self) -> bool:
    """Whether zeros wait for a convolution."""
    return any(map(any, self.pads))


class Setting:
  """Numbers that are known when the network runs: shapes and the like."""


@dataclasses.dataclass(eq=False, repr=False)
class Pool(Node):
  """Means; `window` in features, None for those of the whole map."""

  window: tuple[int, int] | None = None


@dataclasses.dataclass(eq=False, repr=False)
class Resize(Node):
  """Sampling on another grid: 'corners', 'half_pixel' or 'legacy'."""

  grid: str = 'half_pixel'


@dataclasses.dataclass(eq=False, repr=False)
class Conv(Node):
  """A convolution and what is done to each of its channels behind it.

  Its result is `scale * convolution + shift`, then the activation.

  Attributes:
    kernel: `[k, k, C, O]`, or `[k, k, 1, C]` where it is depthwise.
    depthwise: Whether each channel is convolved alone.
    stride: Step between output pixels.
    rate: Step between the taps.
    paddings: Those of 'same' and 'symmetric' that it is the same as.
    normalised: Whether a multiplier follows: batch norm that was not folded.
    shift_names: Of the tensors that gave scale and shift.
  """

  kernel: Constant | None = None
  depthwise: bool = False
  stride: int = 1
  rate: int = 1
  paddings: tuple[str, ...] = ('same', 'symmetric')
  scale: np.ndarray = dataclasses.field(default_factory=lambda: np.ones(1))
  shift: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(1))
  normalised: bool = False
  shift_names: tuple[str, ...] = ()

  @property
  def size(self) -> int:
    """Side of the kernel."""
    return self.kernel.array.shape[0]

  @property
  def features(self) -> int:
    """Channels of the result."""
    return self.kernel.array.shape[-1]

  @property
  def names(self) -> set[str]:
    """Tensors of the file in it."""
    return {*self.kernel.names, *self.shift_names}

  def is_point(self) -> bool:
    """Whether it is a dense 1x1 convolution."""
    return self.size == 1 and not self.depthwise


def affine(
  scale: np.ndarray, shift: np.ndarray, op: str, value: np.ndarray, first: bool
) -> tuple[np.ndarray, np.ndarray] | None:
  """`scale * x + shift` combined with a constant.

  Args:
    scale: Of what there is.
    shift: The same.
    op: 'ADD', 'SUB', 'MUL' or 'DIV'.
    value: The constant, one number or one a channel.
    first: Whether the constant is the left operand.

  Returns:
    The new scale and shift, None where there is none: 1 / x.
  """
  if op == 'ADD':
    return scale, shift + value
  if op == 'SUB':
    return (-scale, value - shift) if first else (scale, shift - value)
  if op == 'DIV':
    if first or not value.all():
      return None
    value = 1 / value
  return scale * value, shift * value


def paddings(
  size: int | None,
  result: int | None,
  before: int | None,
  *,
  window: int,
  stride: int,
  rate: int,
) -> set[str]:
  """Which paddings an axis of a convolution has.

  Args:
    size: Of its input, None if any.
    result: Of its result.
    before: Pixels added before the first; None as TensorFlow's SAME does.
    window: Side of the kernel.
    stride: Step between output pixels.
    rate: Step between the taps.
  """
  if stride == 1:
    reach = rate * (window - 1) // 2
    right = before in (None, reach) and (size is None or size == result)
    return {'same', 'symmetric'} if right else set()
  reach = rate * (window // 2)
  if size is None:
    if window == 1:
      return {'same', 'symmetric'}
    return {None: {'same'}, 0: {'same'}, reach: {'symmetric'}}.get(
      before, set()
    )
  expected = same_padding(size, window, stride, rate)[0]
  before = expected if before is None else before
  if result != -(-size // stride):
    return set()
  both = (('same', expected), ('symmetric', reach))
  return {name for name, n in both if n == before}
