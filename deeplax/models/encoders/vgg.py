"""VGG-16 (Simonyan & Zisserman 2015, arXiv:1409.1556).

Thirteen 3x3 convolutions in five blocks, each followed by a pool:

| variant        | batch norm | pools                                        |
|----------------|------------|----------------------------------------------|
| `16`           | no, biases | 2x2, stride 2                                |
| `16_bn`        | yes        | 2x2, stride 2                                |
| `16_large_fov` | no, biases | 3x3, padded by 1; after the last one, at     |
|                |            | output stride 8, a 3x3 average at stride 1   |

`16_large_fov` is DeepLab V1's (arXiv:1412.7062v4, DeepLab-LargeFOV): at output
stride 8 the pools have strides 2, 2, 2, 1, 1 and block 5 has rate 2. Its pools
are 3x3 at every output stride, next to one another and not at the rate of the
convolutions, so its features change with the output stride. Caffe rounds the
size of a pool's result up where this rounds down: they are the same at odd
sizes, such as the authors' 321 and 513.

The other pools leave out a last odd row, as everywhere but in Caffe, and
become atrous ones where an output stride is kept small.
"""

import dataclasses

import flax.linen as nn
import jax

from deeplax.models import atrous
from deeplax.models.layers import BatchNorm, Conv, Style
from deeplax.models.options import Options
from deeplax.models.remat import unit_runner
from deeplax.ops import pool


@dataclasses.dataclass(frozen=True)
class Variant:
  """A row of the family."""

  batch_norm: bool
  large_fov: bool


VARIANTS = {
  '16': Variant(batch_norm=False, large_fov=False),
  '16_bn': Variant(batch_norm=True, large_fov=False),
  '16_large_fov': Variant(batch_norm=False, large_fov=True),
}
CONVS = (2, 2, 3, 3, 3)
WIDTHS = (1, 2, 4, 8, 8)


def build(options: Options) -> 'Vgg':
  """The encoder that `options` ask for; ValueError where there is none."""
  if options.variant not in VARIANTS:
    raise ValueError(
      f'vgg has no variant {options.variant!r}; it has: {", ".join(VARIANTS)}.'
    )
  atrous.no_multi_grid('vgg', options.multi_grid)
  return Vgg(
    variant=options.variant,
    output_stride=options.output_stride,
    remat=options.remat,
    style=options.encoder_style,
  )


class Block(nn.Module):
  """Convolutions of one width, each with ReLU, at one rate."""

  convs: int
  features: int
  rate: int
  batch_norm: bool
  style: Style

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """`[B, H, W, C]` to `[B, H, W, features]`."""
    for n in range(1, self.convs + 1):
      x = Conv(
        self.features,
        self.style,
        size=3,
        rate=self.rate,
        use_bias=True,
        name=f'conv{n}',
      )(x, train=train)
      if self.batch_norm:
        x = BatchNorm(self.style, relu=True, name=f'bn{n}')(x, train=train)
      else:
        x = nn.relu(x)
    return x


class Vgg(nn.Module):
  """The encoder, without the classifier.

  Attributes:
    variant: Key of `VARIANTS`.
    output_stride: 8, 16 or 32.
    remat: Whether blocks are recomputed for the gradient instead of kept.
    style: Of all layers.
    width: Channels of the first block; 64 but in tests.
  """

  variant: str
  output_stride: int
  remat: bool
  style: Style
  width: int = 64

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> dict[str, jax.Array]:
    """Encodes a normalised picture `[B, H, W, 3]`.

    Returns:
      `stage1` to `stage4`, blocks 2 to 5 before their pools, at strides 2 to
      16; `stage5`, block 5 after its pool, at stride 32; `low_level`, block 3,
      at stride 4. An `output_stride` bounds all strides.
    """
    variant = VARIANTS[self.variant]
    run = unit_runner(train=train, remat=self.remat)
    endpoints = {}
    rate = 1
    plans = atrous.plan((2,) * 5, self.output_stride)
    for n, (convs, width, plan) in enumerate(zip(CONVS, WIDTHS, plans), 1):
      block = Block(
        convs,
        width * self.width,
        rate,
        variant.batch_norm,
        self.style,
        name=f'block{n}',
      )
      x = run(block, x)
      if n > 1:
        endpoints[f'stage{n - 1}'] = x
      if variant.large_fov:
        x = pool.max_pool(x, window=3, stride=plan.stride)
      else:
        x = pool.max_pool_2x2(x, stride=plan.stride, rate=plan.rate_in)
      rate = plan.rate
    if variant.large_fov:
      x = pool.average_pool(x, window=3)
    endpoints['stage5'] = x
    endpoints['low_level'] = endpoints['stage2']
    return endpoints
