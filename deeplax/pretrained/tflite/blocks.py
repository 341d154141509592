"""Convolutions of head and decoder: plain, or a depthwise one and a 1x1."""

import dataclasses

from deeplax.pretrained.tflite.nodes import Conv


@dataclasses.dataclass
class Block:
  """A convolution, or a depthwise one and a 1x1."""

  convs: list[Conv]

  @property
  def first(self) -> Conv:
    """The one with the window."""
    return self.convs[0]

  @property
  def last(self) -> Conv:
    """The one that gives the result."""
    return self.convs[-1]

  @property
  def separable(self) -> bool:
    """Whether it is made of two."""
    return self.first.depthwise

  @property
  def size(self) -> int:
    """Side of its window."""
    return self.first.size

  @property
  def rate(self) -> int:
    """Step between its taps."""
    return self.first.rate


def are_points(convs: list[Conv], number: int | None = None) -> bool:
  """Whether they are dense 1x1 convolutions, and as many as wanted."""
  return number in (None, len(convs)) and all(c.is_point() for c in convs)
