"""Aligned Xception (Chen et al. 2018, arXiv:1802.02611, figure 4).

Units of three separable 3x3 convolutions, the stride in the third, batch norm
after depthwise and after 1x1. ReLU precedes each separable convolution, but in
the last unit, where it follows each batch norm, and there is no sum.

| part         | depths             | shortcut | stride | 41 | 65 | 71         |
|--------------|--------------------|----------|--------|----|----|------------|
| root         | 3x3 32, 3x3 64     |          | 2, 1   |    |    |            |
| entry flow   | 128                | 1x1      | 2      | 1  | 1  | 1          |
|              | 256                | 1x1      | 1      |    |    | 1          |
|              | 256                | 1x1      | 2      | 1  | 1  | 1          |
|              | 728                | 1x1      | 1      |    |    | 1          |
|              | 728                | 1x1      | 2      | 1  | 1  | 1          |
| middle flow  | 728                | identity | 1      | 8  | 16 | 16         |
| exit flow    | 728, 1024, 1024    | 1x1      | 2      | 1  | 1  | 1          |
|              | 1536, 1536, 2048   | none     | 1      | 1  | 1  | 1          |

Batch norm's epsilon is 1e-3 in the authors' encoder (`encoder_bn_epsilon`).
`multi_grid` multiplies the rates of the three convolutions of the last unit.
"""

import dataclasses
import math
from typing import NamedTuple

import flax.linen as nn
import jax

from deeplax.models import atrous
from deeplax.models.layers import ConvBn, SeparableConvBn, Style
from deeplax.models.options import Options
from deeplax.models.units import run_units


class Unit(NamedTuple):
  """Depths of the three convolutions, shortcut and nominal stride of a unit."""

  depths: tuple[int, int, int]
  shortcut: str  # 'conv', 'identity' or 'none'
  stride: int


@dataclasses.dataclass(frozen=True)
class Variant:
  """A row of the family: the units of the entry flow, those of the middle."""

  entry: tuple[Unit, ...]
  middle: int

  @property
  def units(self) -> dict[str, tuple[Unit, ...]]:
    """All units by flow."""
    return {
      'entry': self.entry,
      'middle': (Unit((728,) * 3, 'identity', 1),) * self.middle,
      'exit': (
        Unit((728, 1024, 1024), 'conv', 2),
        Unit((1536, 1536, 2048), 'none', 1),
      ),
    }


def _entry(*rows: tuple[int, int]) -> tuple[Unit, ...]:
  return tuple(Unit((depth,) * 3, 'conv', stride) for depth, stride in rows)


_SHORT = _entry((128, 2), (256, 2), (728, 2))
VARIANTS = {
  '41': Variant(_SHORT, 8),
  '65': Variant(_SHORT, 16),
  '71': Variant(_entry((128, 2), (256, 1), (256, 2), (728, 1), (728, 2)), 16),
}


def build(options: Options) -> 'Xception':
  """The encoder that `options` ask for; ValueError where there is none."""
  if options.variant not in VARIANTS:
    raise ValueError(
      f'xception has no variant {options.variant!r}; it has: '
      f'{", ".join(VARIANTS)}.'
    )
  return Xception(
    variant=options.variant,
    output_stride=options.output_stride,
    multi_grid=atrous.unit_multipliers(options.multi_grid, 3),
    remat=options.remat,
    style=options.encoder_style,
  )


class UnitPlan(NamedTuple):
  """A unit at one output stride.

  Attributes:
    depths: Channels of the results of the three convolutions.
    shortcut: Of the input: `'conv'`, `'identity'` or `'none'`.
    stride: Of the third.
    rates: Of each.
  """

  depths: tuple[int, int, int]
  shortcut: str
  stride: int
  rates: tuple[int, int, int]


class XceptionUnit(nn.Module):
  """Three separable convolutions and the sum with the input."""

  plan: UnitPlan
  style: Style

  @nn.compact
  def __call__(
    self, x: jax.Array, *, train: bool
  ) -> tuple[jax.Array, jax.Array]:
    """Returns the unit's result and that of its second convolution."""
    plan = self.plan
    last = plan.shortcut == 'none'
    y, second = x, x
    for n, (depth, rate) in enumerate(zip(plan.depths, plan.rates), 1):
      y = SeparableConvBn(
        depth,
        self.style,
        stride=plan.stride if n == 3 else 1,
        rate=rate,
        relu=last,
        name=f'conv{n}',
      )(y if last else nn.relu(y), train=train)
      second = y if n == 2 else second
    if plan.shortcut == 'conv':
      x = ConvBn(
        plan.depths[-1],
        self.style,
        stride=plan.stride,
        relu=False,
        name='shortcut',
      )(x, train=train)
    return (y if last else y + x), second


class Flow(nn.Module):
  """Units one after the other; parameters as `unit1`, `unit2`, ..."""

  plans: tuple[UnitPlan, ...]
  remat: bool
  style: Style

  @nn.compact
  def __call__(
    self, x: jax.Array, *, train: bool
  ) -> tuple[jax.Array, list[tuple[jax.Array, jax.Array]]]:
    """Returns the result; of each unit, input and second convolution."""
    rates = [
      math.gcd(*plan.rates) if plan.stride == 1 else 1 for plan in self.plans
    ]

    def make(i, style):
      return XceptionUnit(self.plans[i], style, name=f'unit{i + 1}')

    return run_units(self, make, rates, x, train=train, depthwise=True)


class Xception(nn.Module):
  """The encoder.

  Attributes:
    variant: Key of `VARIANTS`.
    output_stride: 8, 16 or 32.
    multi_grid: Rate multipliers of the last unit's convolutions.
    remat: Whether units are recomputed for the gradient instead of kept.
    style: Of all layers.
    width: Channels of the first convolution; 32 but in tests.
  """

  variant: str
  output_stride: int
  multi_grid: tuple[int, int, int]
  remat: bool
  style: Style
  width: int = 32

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> dict[str, jax.Array]:
    """Encodes a normalised picture `[B, H, W, 3]`.

    Returns:
      `stage1` to `stage4`, the last features at strides 2 to 16 (less where
      `output_stride` is), `stage5`, the last of all; `low_level`, at stride 4:
      the second convolution of the unit that goes from there to stride 8,
      batch norm without ReLU, as the authors' `entry_flow/block2` (`block3` of
      Xception-71).
    """
    for n, (features, stride) in enumerate(((1, 2), (2, 1)), 1):
      x = ConvBn(
        features * self.width,
        self.style,
        size=3,
        stride=stride,
        name=f'root{n}',
      )(x, train=train)
    flows = VARIANTS[self.variant].units
    units = [unit for flow in flows.values() for unit in flow]
    strides = (2, *(unit.stride for unit in units))
    plans = iter(atrous.plan(strides, self.output_stride)[1:])
    seen = []
    for name, flow in flows.items():
      parts = tuple(self._plan(u, p) for u, p in zip(flow, plans))
      x, inside = Flow(parts, self.remat, self.style, name=name)(x, train=train)
      seen += inside
    strided = [s for unit, s in zip(units, seen) if unit.stride == 2]
    endpoints = {
      f'stage{n}': before for n, (before, _) in enumerate(strided, 1)
    }
    return {**endpoints, 'stage5': x, 'low_level': strided[1][1]}

  def _plan(self, unit: Unit, plan: atrous.Stage) -> UnitPlan:
    multipliers = self.multi_grid if unit.shortcut == 'none' else (1, 1, 1)
    return UnitPlan(
      depths=tuple(depth * self.width // 32 for depth in unit.depths),
      shortcut=unit.shortcut,
      stride=plan.stride,
      rates=tuple(plan.rate_in * m for m in multipliers),
    )
