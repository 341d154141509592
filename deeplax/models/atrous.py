"""From the output stride of an encoder to strides and atrous rates.

An encoder halves its features several times. Asked for an output stride OS,
it takes each stride s as long as the product of those taken stays within OS;
a stride that would exceed it becomes 1 and multiplies the atrous rate of
everything *behind* it instead:

    taken_k = product of the strides taken up to stage k
    (stride_k, rate_k) = (s_k, rate_{k-1})        if taken_{k-1} * s_k <= OS
                         (1,   rate_{k-1} * s_k)  otherwise,  rate_0 = 1

The strided convolution itself still reads its input at rate_{k-1}. With
symmetric padding the features at a small output stride, subsampled, are then
exactly those at a large one (Chen et al. 2017, "Rethinking atrous
convolution", section 3.1). Where in a stage the stride lives decides which of
its convolutions count as behind it: that is the encoder's business.
"""

from collections.abc import Sequence
from typing import NamedTuple

OUTPUT_STRIDES = (8, 16, 32)


class Stage(NamedTuple):
  """Plan of one stage.

  Attributes:
    stride: The stride that is really taken.
    rate_in: Rate of convolutions up to the strided one, itself included.
    rate: Rate of the convolutions behind it, and of the stages that follow.
  """

  stride: int
  rate_in: int
  rate: int


def check_output_stride(output_stride: int) -> None:
  """Raises ValueError for an output stride that no encoder has."""
  if output_stride not in OUTPUT_STRIDES:
    raise ValueError(
      f'`output_stride` (={output_stride}) must be one of {OUTPUT_STRIDES}.'
    )


def plan(strides: Sequence[int], output_stride: int) -> tuple[Stage, ...]:
  """Turns the nominal strides of an encoder into a plan for `output_stride`.

  Args:
    strides: Nominal stride of each stage, e.g. `(2, 2, 1, 2, 2, 2)`.
    output_stride: 8, 16 or 32.

  Returns:
    One `Stage` per entry of `strides`.

  Raises:
    ValueError: If `output_stride` is not one of these, or cannot be reached.
  """
  check_output_stride(output_stride)
  taken, rate, stages = 1, 1, []
  for stride in strides:
    if taken * stride <= output_stride:
      taken *= stride
      stages.append(Stage(stride, rate, rate))
    else:
      stages.append(Stage(1, rate, rate * stride))
      rate *= stride
  if taken != output_stride:
    raise ValueError(
      f'`output_stride` (={output_stride}) cannot be reached with strides '
      f'{tuple(strides)}: they give {taken}.'
    )
  return tuple(stages)


def unit_multipliers(multi_grid: Sequence[int], units: int) -> tuple[int, ...]:
  """Rate multiplier of every unit of the last stage.

  Args:
    multi_grid: One positive number per unit, or `()` for 1 everywhere.
    units: Number of units in the last stage.

  Returns:
    `units` numbers.

  Raises:
    ValueError: For a multi-grid of another length or with entries below 1.
  """
  multi_grid = tuple(multi_grid) or (1,) * units
  if len(multi_grid) != units or min(multi_grid) < 1:
    raise ValueError(
      f'`multi_grid` (={multi_grid}) must have {units} entries of at least 1, '
      f'one per unit of the last stage of this encoder; () means '
      f'{(1,) * units}.'
    )
  return multi_grid


def scale_rates(rates: Sequence[int], output_stride: int) -> tuple[int, ...]:
  """Scales rates given for output stride 16 to another: `rate * 16 / OS`.

  Args:
    rates: Rates at output stride 16, e.g. `(6, 12, 18)`.
    output_stride: 8, 16 or 32.

  Returns:
    `(12, 24, 36)` at 8, `(3, 6, 9)` at 32.

  Raises:
    ValueError: For rates below 1, or odd ones at output stride 32.
  """
  check_output_stride(output_stride)
  rates = tuple(rates)
  if any(r < 1 for r in rates):
    raise ValueError(f'`atrous_rates` (={rates}) must be at least 1.')
  if any(r * 16 % output_stride for r in rates):
    raise ValueError(
      f'`atrous_rates` (={rates}) are given for output stride 16 and would be '
      f'{tuple(r * 16 / output_stride for r in rates)} at output stride '
      f'{output_stride}; use even rates, or output stride 8 or 16.'
    )
  return tuple(r * 16 // output_stride for r in rates)


def no_multi_grid(encoder: str, multi_grid: Sequence[int]) -> None:
  """Raises ValueError for a multi-grid in an encoder that has none."""
  if multi_grid:
    raise ValueError(
      f'`multi_grid` (={tuple(multi_grid)}) must be (): {encoder} has no units '
      'to multiply the rates of; resnet and xception have.'
    )
