"""ResNet (He et al. 2016, arXiv:1512.03385), with the strides of all ports.

A variant is a depth, `'18'`, `'34'`, `'50'`, `'101'` or `'152'`, and a style:

| style     | root                     | stride of a stage lives in            |
|-----------|--------------------------|---------------------------------------|
| (none)    | 7x7 64                   | first unit, first 3x3 (PyTorch)       |
| `_caffe`  | 7x7 64                   | first unit, first 1x1 (He's weights)  |
| `_v1c`    | three 3x3: 32, 32, 64    | first unit, first 3x3 (mmseg)         |
| `_slim`   | 7x7 64                   | last unit, last 3x3 (TF slim)         |
| `_beta`   | three 3x3: 64, 64, 128   | last unit, last 3x3 (TF DeepLab)      |
| `_course` | 7x7 64                   | first unit, first 3x3                 |

Atrous rates follow where the stride lives (`models/atrous.py`), so every
style but `_course` gives the same features at every output stride. At 16 the
last stage has rates (1, 2, 2) in PyTorch's style, whose first 3x3 stands
before the stride it lost, and (2, 2, 2) in the others. `_course` has those on
PyTorch's strides, as github.com/fregu856/deeplabv3 and the dilated encoders
of segmentation_models_pytorch: its features change with the output stride, and
weights belong to the one they were trained at.

`multi_grid` multiplies the rates of the last stage, unit by unit: (1, 2, 4)
gives (2, 4, 8) at output stride 16 and (4, 8, 16) at 8 in slim's, beta's and
caffe's style, and (1, 4, 8), (2, 8, 16) in PyTorch's. mmseg's D16-MG124 has
rates (1, 2, 4) there: that is `multi_grid=(1, 1, 2)`.
"""

import dataclasses
import math

import flax.linen as nn
import jax

from deeplax.models import atrous
from deeplax.models.layers import BatchNorm, Conv, ConvBn, Style
from deeplax.models.options import Options
from deeplax.models.units import run_units
from deeplax.ops import pool


@dataclasses.dataclass(frozen=True)
class Variant:
  """A row of the family.

  Attributes:
    bottleneck: Units of 1x1, 3x3, 1x1 instead of 3x3, 3x3.
    units: Number of units in each of the four stages.
    style: '' for PyTorch's.
  """

  bottleneck: bool
  units: tuple[int, int, int, int]
  style: str

  @property
  def late(self) -> bool:
    """Whether the stride of a stage is taken by its last unit."""
    return self.style in ('slim', 'beta')


DEPTHS = {
  '18': (False, (2, 2, 2, 2)),
  '34': (False, (3, 4, 6, 3)),
  '50': (True, (3, 4, 6, 3)),
  '101': (True, (3, 4, 23, 3)),
  '152': (True, (3, 8, 36, 3)),
}
ROOTS = {'v1c': (32, 32, 64), 'beta': (64, 64, 128)}
STYLES = ('', 'caffe', 'v1c', 'slim', 'beta', 'course')
VARIANTS = {
  '_'.join(filter(None, (depth, style))): Variant(*row, style)
  for depth, row in DEPTHS.items()
  for style in STYLES
  if row[0] or style != 'caffe'  # no 1x1 to put the stride in
}


def build(options: Options) -> 'ResNet':
  """The encoder that `options` ask for; ValueError where there is none."""
  if options.variant not in VARIANTS:
    raise ValueError(
      f'resnet has no variant {options.variant!r}; it has: '
      f'{", ".join(VARIANTS)}.'
    )
  model = ResNet(
    variant=options.variant,
    output_stride=options.output_stride,
    multi_grid=options.multi_grid,
    remat=options.remat,
    style=options.encoder_style,
  )
  model.plan()  # raises now, not when it is first applied
  return model


@dataclasses.dataclass(frozen=True)
class UnitPlan:
  """Stride and rates of one unit.

  Attributes:
    stride, strided: Taken by convolution number `strided`, counted from 1.
    rate_in: Rate of the convolutions up to and including the strided one.
    rate: Rate of those behind it.
  """

  stride: int
  strided: int
  rate_in: int
  rate: int

  def conv(self, number: int) -> dict[str, int]:
    """`stride` and `rate` of convolution `number` of the unit."""
    return dict(
      stride=self.stride if number == self.strided else 1,
      rate=self.rate_in if number <= self.strided else self.rate,
    )

  def common_rate(self, bottleneck: bool) -> int:
    """What divides the rates of the unit's 3x3 convolutions; 1 if strided."""
    if self.stride > 1:
      return 1
    numbers = (2,) if bottleneck else (1, 2)
    return math.gcd(*(self.conv(n)['rate'] for n in numbers))


class BasicUnit(nn.Module):
  """3x3, 3x3, and the sum with the input."""

  features: int
  plan: UnitPlan
  style: Style

  @nn.compact
  def __call__(
    self, x: jax.Array, *, train: bool
  ) -> tuple[jax.Array, jax.Array]:
    """Returns the unit's result and its residual branch before the sum."""
    y = x
    for n in (1, 2):
      y = Conv(
        self.features, self.style, size=3, **self.plan.conv(n), name=f'conv{n}'
      )(y, train=train)
      y = BatchNorm(self.style, relu=n < 2, name=f'bn{n}')(y, train=train)
    return nn.relu(_shortcut(self, x, self.features, train) + y), y


class BottleneckUnit(nn.Module):
  """1x1, 3x3, 1x1 to four times the channels, and the sum with the input."""

  features: int
  plan: UnitPlan
  style: Style

  @nn.compact
  def __call__(
    self, x: jax.Array, *, train: bool
  ) -> tuple[jax.Array, jax.Array]:
    """Returns the unit's result and its residual branch before the sum."""
    y = x
    for n, size, expansion in ((1, 1, 1), (2, 3, 1), (3, 1, 4)):
      y = Conv(
        expansion * self.features,
        self.style,
        size=size,
        **self.plan.conv(n),
        name=f'conv{n}',
      )(y, train=train)
      y = BatchNorm(self.style, relu=n < 3, name=f'bn{n}')(y, train=train)
    return nn.relu(_shortcut(self, x, 4 * self.features, train) + y), y


def _shortcut(unit, x: jax.Array, features: int, train: bool) -> jax.Array:
  """The input itself, or projected where the channels change."""
  stride = unit.plan.stride
  if x.shape[-1] == features:
    return pool.max_pool(x, window=1, stride=stride)
  return ConvBn(
    features, unit.style, stride=stride, relu=False, name='shortcut'
  )(x, train=train)


class Root(nn.Module):
  """7x7, or several 3x3; the first has stride 2."""

  features: tuple[int, ...]
  style: Style

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """`[B, H, W, 3]` to `[B, ceil(H / 2), ceil(W / 2), features[-1]]`."""
    for i, features in enumerate(self.features):
      x = Conv(
        features,
        self.style,
        size=7 if len(self.features) == 1 else 3,
        stride=2 if i == 0 else 1,
        name=f'conv{i + 1}',
      )(x, train=train)
      x = BatchNorm(self.style, relu=True, name=f'bn{i + 1}')(x, train=train)
    return x


class Stage(nn.Module):
  """Units of one width."""

  features: int
  plans: tuple[UnitPlan, ...]
  bottleneck: bool
  remat: bool
  style: Style

  @nn.compact
  def __call__(
    self, x: jax.Array, *, train: bool
  ) -> tuple[jax.Array, list[jax.Array]]:
    """Returns the result and the residual branches of all units."""
    unit_type = BottleneckUnit if self.bottleneck else BasicUnit
    rates = [plan.common_rate(self.bottleneck) for plan in self.plans]

    def make(i, style):
      return unit_type(self.features, self.plans[i], style, name=f'unit{i + 1}')

    x, seen = run_units(self, make, rates, x, train=train)
    return x, [branch for _, branch in seen]


class ResNet(nn.Module):
  """The encoder.

  Attributes:
    variant: Key of `VARIANTS`.
    output_stride: 8, 16 or 32.
    multi_grid: Rate multipliers of the last stage's units; () is 1 each.
    remat: Whether units are recomputed for the gradient instead of kept.
    style: Of all layers.
    width: Channels of the first stage of units; 64 but in tests.
  """

  variant: str
  output_stride: int
  multi_grid: tuple[int, ...]
  remat: bool
  style: Style
  width: int = 64

  def plan(self) -> tuple[tuple[UnitPlan, ...], ...]:
    """Strides and rates of all units, stage by stage."""
    variant = VARIANTS[self.variant]
    strides = (2, 2, 2, 1) if variant.late else (1, 2, 2, 2)
    stages = atrous.plan((2, 2, *strides), self.output_stride)[2:]
    second = variant.late or (variant.bottleneck and variant.style != 'caffe')
    strided = 2 if second else 1
    plans = []
    for stage, units in zip(stages, variant.units):
      rate_in = stage.rate if variant.style == 'course' else stage.rate_in
      # Up to the strided unit at the rate of the input, then at the new one.
      at = units - 1 if variant.late else 0
      plans.append(
        tuple(
          UnitPlan(
            stride=stage.stride if i == at else 1,
            strided=strided,
            rate_in=rate_in if i <= at else stage.rate,
            rate=rate_in if i < at else stage.rate,
          )
          for i in range(units)
        )
      )
    multipliers = atrous.unit_multipliers(self.multi_grid, variant.units[-1])
    plans[-1] = tuple(
      dataclasses.replace(p, rate_in=p.rate_in * m, rate=p.rate * m)
      for p, m in zip(plans[-1], multipliers)
    )
    return tuple(plans)

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> dict[str, jax.Array]:
    """Encodes a normalised picture `[B, H, W, 3]`.

    Returns:
      `stage1`, the root before its max pool, at stride 2; `stage2` to
      `stage5`, the stages of units; `low_level`, at stride 4, for decoders:
      `stage2`, or in slim's and beta's style, where that has stride 8, the
      last but one unit's residual branch before the sum, as in TF DeepLab
      (`block1/unit_2/.../conv3`).
    """
    variant = VARIANTS[self.variant]
    x = Root(ROOTS.get(variant.style, (64,)), self.style, name='stage1')(
      x, train=train
    )
    endpoints = {'stage1': x}
    x = pool.max_pool(x, window=3, stride=2)
    for i, plans in enumerate(self.plan()):
      x, branches = Stage(
        self.width * 2**i,
        plans,
        variant.bottleneck,
        self.remat,
        self.style,
        name=f'stage{i + 2}',
      )(x, train=train)
      endpoints[f'stage{i + 2}'] = x
      if i == 0:
        endpoints['low_level'] = branches[-2] if variant.late else x
    return endpoints
