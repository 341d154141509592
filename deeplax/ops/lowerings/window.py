"""What a lowering is told about a convolution, besides its arrays."""

import dataclasses

import jax


@dataclasses.dataclass(frozen=True)
class Window:
  """The static part of one convolution.

  Attributes:
    size: Height and width of the kernel, less taps that read padding only.
    stride: Step between output pixels, in input pixels.
    rate: Step between the taps, in input pixels.
    groups: Number of channel groups.
    inputs: Channels of the picture.
    outputs: Channels of the result.
    rows: Rows of zeros to add above and below.
    columns: Columns of zeros to add on the left and on the right.
    out_dtype: Of the result; None for that of the picture.
  """

  size: tuple[int, int]
  stride: int
  rate: int
  groups: int
  inputs: int
  outputs: int
  rows: tuple[int, int]
  columns: tuple[int, int]
  out_dtype: jax.typing.DTypeLike | None = None

  @property
  def kind(self) -> str:
    """`'point'`, `'depthwise'`, `'dense'` or, of other groups, `'grouped'`."""
    if self.size == (1, 1) and self.groups == 1:
      return 'point'
    if self.groups == self.inputs == self.outputs:
      return 'depthwise'
    return 'dense' if self.groups == 1 else 'grouped'

  def __str__(self) -> str:
    height, width = self.size
    return (
      f'a {height}x{width} kernel, stride {self.stride}, rate {self.rate}, '
      f'{self.groups} group(s), {self.inputs} to {self.outputs} channels'
    )
