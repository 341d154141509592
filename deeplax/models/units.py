"""The units of an encoder's stage, in space-to-batch layout where that pays.

Units whose convolutions all have rates of a common divisor r above 1 enter the
layout of rate r (`ops/layout.py`) once, run there at their rates divided by r,
and leave it at the end of the stage: atrous convolutions become ordinary ones
without a transposition at every layer. Results are those of the plain path.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax

from deeplax.models.layers import Style
from deeplax.models.remat import unit_runner
from deeplax.ops import rows
from deeplax.ops.kept import kept
from deeplax.ops.layout import Layout
from deeplax.ops.lowerings import choice

# Of the units' results, a third of all that is kept otherwise, one in so many
# is where batch norm is recomputed; those between are sums along the way.
_SUMS_APART = 4


def run_units(
  stage: nn.Module,
  make: Callable[[int, Style], nn.Module],
  rates: Sequence[int],
  x: jax.Array,
  *,
  train: bool,
  depthwise: bool = False,
) -> tuple[jax.Array, list[tuple[jax.Array, jax.Array]]]:
  """Runs the units of a stage one after the other.

  Args:
    stage: Whose units they are; has `style` and `remat`.
    make: A unit of its number, from 0, and style. It returns its result and
      another picture of the same size.
    rates: Of each unit, what divides the rates of all its kernels above 1x1;
      1 where it has a stride.
    x: `[B, H, W, C]`.
    train: Whether the network is trained.
    depthwise: Whether these kernels are depthwise.

  Returns:
    The last unit's result; of each unit, its input and the other picture it
    returned. All in the ordinary layout.
  """
  run = unit_runner(train=train, remat=stage.remat)
  start, layout = _plan(stage, rates, x, train, depthwise)
  inside = dataclasses.replace(stage.style, layout=layout)
  seen = []
  last = len(rates) - 1
  for i in range(len(rates)):
    if i == start:
      x = layout.enter(x)
    before = x
    x, other = run(make(i, stage.style if i < start else inside), x)
    if i == last or i % _SUMS_APART == _SUMS_APART - 1:
      x = kept(x)
    if i < start:
      seen.append((before, other))
      continue
    # What nobody reads of these is not computed under jit.
    seen.append((layout.leave(before), layout.leave(other)))
  return (layout.leave(x) if layout else x), seen


def _plan(stage, rates, x, train, depthwise) -> tuple[int, Layout | None]:
  """The first unit in the layout, and that; their number and None if none."""
  starts = [i for i in range(len(rates)) if math.gcd(*rates[i:]) > 1]
  # The table of a network's layers, which initialises one, has the ordinary
  # sizes. Rows on several devices stay where they are.
  if not starts or stage.is_initializing() or rows.devices_of(x) > 1:
    return len(rates), None
  rate = math.gcd(*rates[starts[0] :])
  setting = stage.style.space_to_batch
  if setting == 'auto':
    setting = choice.choose_stage(
      rate, *x.shape[1:], train=train, depthwise=depthwise
    )
  if setting == 'off':
    return len(rates), None
  return starts[0], Layout(rate, *x.shape[1:3])
