"""MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381).

A variant is a width multiplier, `'1.0'`, `'0.5'`, ..., and a style:

| style   | last layer    | channels              | low-level features     |
|---------|---------------|-----------------------|------------------------|
| (none)  | 320 x width   | whole numbers         | 144 x width, depthwise |
| `_320`  | 320 x width   | multiples of 8        | 24 x width             |
| `_1280` | 1x1 to 1280   | multiples of 8        | 24 x width             |
| `_smp`  | 1x1 to 1280   | multiples of 8        | 24 x width             |

(none) is TensorFlow DeepLab's: it ends before the last 1x1, cuts the channels
of units to whole numbers (what they expand to inside is a multiple of 8), and
its decoder reads `layer_4/depthwise_output`. `_320` ends there, too, but has
the other styles' channels and early features: DeepLabV3+ of PyTorch users.
`_1280` is the classifier's encoder of TF slim, Keras and torchvision, whose
last layer has 1280 channels for widths up to 1. `_smp` is the same in the
dilated form of segmentation_models_pytorch: *every* convolution of a stage
that lost its stride has the new rate, the one that had the stride too, so its
features change with the output stride. In the others rates follow
`models/atrous.py`.

ReLU is capped at 6; the 1x1 that ends a unit has none. Batch norm's epsilon is
1e-3 in TensorFlow (`encoder_bn_epsilon`). `padding='same'` pads strided layers
as TensorFlow: the same at odd sizes, shifted by half a pixel at even ones.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax

from deeplax.models import atrous
from deeplax.models.layers import ConvBn, Style
from deeplax.models.options import Options
from deeplax.models.units import run_units

# Stage by stage: expansion, channels, units, stride.
ROWS = (
  ((1, 16, 1, 1),),
  ((6, 24, 2, 2),),
  ((6, 32, 3, 2),),
  ((6, 64, 4, 2), (6, 96, 3, 1)),
  ((6, 160, 3, 2), (6, 320, 1, 1)),
)
WIDTHS = ('0.25', '0.35', '0.5', '0.75', '1.0', '1.3', '1.4')
STYLES = ('', '320', '1280', 'smp')


def multiple_of_8(channels: float) -> int:
  """The nearest one, but never a tenth lower."""
  rounded = max(8, int(channels + 4) // 8 * 8)
  return rounded + 8 * (rounded < 0.9 * channels)


@dataclasses.dataclass(frozen=True)
class Variant:
  """A row of the family.

  Attributes:
    width: Multiplier of the channels.
    style: '' for DeepLab's.
  """

  width: float
  style: str

  def channels(self, nominal: int) -> int:
    """Channels of a layer that has `nominal` at width 1."""
    if not self.style:
      return int(nominal * self.width)
    return multiple_of_8(nominal * self.width)

  @property
  def last(self) -> int | None:
    """Channels of the last 1x1, None without one."""
    if self.style in ('', '320'):
      return None
    return self.channels(1280) if self.width > 1 else 1280


VARIANTS = {
  '_'.join(filter(None, (width, style))): Variant(float(width), style)
  for style in STYLES
  for width in (('1.0',) if style == 'smp' else WIDTHS)
}


def build(options: Options) -> 'MobileNetV2':
  """The encoder that `options` ask for; ValueError where there is none."""
  if options.variant not in VARIANTS:
    raise ValueError(
      f'mobilenet_v2 has no variant {options.variant!r}; it has: '
      f'{", ".join(VARIANTS)}.'
    )
  atrous.no_multi_grid('mobilenet_v2', options.multi_grid)
  return MobileNetV2(
    variant=VARIANTS[options.variant],
    output_stride=options.output_stride,
    padding=options.padding,
    remat=options.remat,
    style=dataclasses.replace(options.encoder_style, bounded=True),
  )


class InvertedResidual(nn.Module):
  """1x1 to more channels, depthwise 3x3, 1x1 to few; the sum where it fits.

  Attributes:
    expansion: Factor on the channels between; 1 leaves the first 1x1 out.
    features: Channels of the result.
    stride: Of the depthwise convolution.
    rate: Of the depthwise convolution.
    sums: Whether the unit's nominal stride lets the input be added.
    padding: Of the depthwise convolution.
    style: Of all layers.
  """

  expansion: int
  features: int
  stride: int
  rate: int
  sums: bool
  padding: str
  style: Style

  @nn.compact
  def __call__(
    self, x: jax.Array, *, train: bool
  ) -> tuple[jax.Array, jax.Array]:
    """Returns the unit's result and that of its depthwise convolution."""
    inputs = x.shape[-1]
    y, channels = x, inputs
    if self.expansion > 1:
      channels = multiple_of_8(self.expansion * inputs)
      y = ConvBn(channels, self.style, name='expand')(y, train=train)
    depthwise = ConvBn(
      channels,
      self.style,
      size=3,
      stride=self.stride,
      rate=self.rate,
      groups=channels,
      padding=self.padding,
      name='depthwise',
    )(y, train=train)
    y = ConvBn(self.features, self.style, relu=False, name='project')(
      depthwise, train=train
    )
    if self.sums and inputs == self.features:
      y = x + y
    return y, depthwise


class Stage(nn.Module):
  """The units of one resolution, and what stands before and behind them.

  Attributes:
    rows: Of `ROWS`.
    plan: Stride and rates.
    variant: Of `VARIANTS`.
    padding: `'symmetric'` or `'same'`.
    remat: Whether units are recomputed for the gradient instead of kept.
    style: Of all layers.
    root: Channels of a strided 3x3 convolution before the units, or None.
    last: Channels of a 1x1 convolution behind them, or None.
  """

  rows: tuple[tuple[int, int, int, int], ...]
  plan: atrous.Stage
  variant: Variant
  padding: str
  remat: bool
  style: Style
  root: int | None = None
  last: int | None = None

  @nn.compact
  def __call__(
    self, x: jax.Array, *, train: bool
  ) -> tuple[jax.Array, jax.Array]:
    """Returns the result and that of the last depthwise convolution."""
    if self.root:
      x = ConvBn(
        self.root,
        self.style,
        size=3,
        stride=self.plan.stride,
        padding=self.padding,
        name='root',
      )(x, train=train)
    units = self._units()

    def make(i, style):
      return InvertedResidual(
        **units[i], padding=self.padding, style=style, name=f'unit{i + 1}'
      )

    rates = [u['rate'] if u['stride'] == 1 else 1 for u in units]
    x, seen = run_units(self, make, rates, x, train=train, depthwise=True)
    if self.last:
      x = ConvBn(self.last, self.style, name='last')(x, train=train)
    return x, seen[-1][1]

  def _units(self) -> list[dict[str, Any]]:
    """What tells the units apart, as arguments of `InvertedResidual`."""
    units = []
    for expansion, channels, count, nominal in self.rows:
      for i in range(count):
        strided = nominal == 2 and i == 0
        early = strided and self.variant.style != 'smp'
        units.append(
          dict(
            expansion=expansion,
            features=self.variant.channels(channels),
            stride=self.plan.stride if strided else 1,
            rate=self.plan.rate_in if early else self.plan.rate,
            sums=not strided,
          )
        )
    return units


class MobileNetV2(nn.Module):
  """The encoder.

  Attributes:
    variant: Of `VARIANTS`.
    output_stride: 8, 16 or 32.
    padding: `'symmetric'` or `'same'`.
    remat: Whether units are recomputed for the gradient instead of kept.
    style: Of all layers.
  """

  variant: Variant
  output_stride: int
  padding: str
  remat: bool
  style: Style

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> dict[str, jax.Array]:
    """Encodes a normalised picture `[B, H, W, 3]`.

    Returns:
      `stage1` to `stage5`, the last features at strides 2 to 32 (less where
      `output_stride` is); `low_level`, at stride 4.
    """
    endpoints = {}
    plans = atrous.plan((2,) * 5, self.output_stride)
    for n, (rows, plan) in enumerate(zip(ROWS, plans), 1):
      x, depthwise = Stage(
        rows,
        plan,
        self.variant,
        self.padding,
        self.remat,
        self.style,
        root=self.variant.channels(32) if n == 1 else None,
        last=self.variant.last if n == 5 else None,
        name=f'stage{n}',
      )(x, train=train)
      endpoints[f'stage{n}'] = x
      if n == 2:
        endpoints['low_level'] = x if self.variant.style else depthwise
    return endpoints
