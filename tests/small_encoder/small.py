"""Five strided convolutions with batch norm."""

import flax.linen as nn
import jax

from deeplax.models import atrous
from deeplax.models.layers import ConvBn, Style
from deeplax.models.options import Options

VARIANTS = ('8',)  # channels of the first stage


def build(options: Options) -> 'Small':
  """Of `deeplax.models.encoders`."""
  width = int(options.variant)
  return Small(width, options.output_stride, options.encoder_style)


class Small(nn.Module):
  """Stage n has n times the channels of the first."""

  width: int
  output_stride: int
  style: Style

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> dict[str, jax.Array]:
    """Features of all stages."""
    endpoints = {}
    for n, plan in enumerate(atrous.plan((2,) * 5, self.output_stride), 1):
      x = ConvBn(
        n * self.width,
        self.style,
        size=3,
        stride=plan.stride,
        rate=plan.rate_in,
        name=f'stage{n}',
      )(x, train=train)
      endpoints[f'stage{n}'] = x
    return endpoints | {'low_level': endpoints['stage2']}
