"""DeepLab V1's LargeFOV (arXiv:1412.7062v4, section 3).

VGG's fully connected layers as convolutions: fc6, 3x3 with 1024 channels and a
large rate, and fc7, 1x1, each with ReLU and dropout 0.5. fc8 is the network's
`logits`. The rate is 12 at output stride 8, `atrous_rates=(6,)`.
"""

import flax.linen as nn
import jax

from deeplax.models import atrous
from deeplax.models.layers import Conv, Style
from deeplax.models.options import Options


def build(options: Options) -> 'LargeFovHead':
  """The head that `options` ask for; ValueError for other than one rate."""
  rates = options.atrous_rates
  if len(rates) != 1:
    raise ValueError(
      f'`atrous_rates` (={rates}) must have 1 entry, the rate of fc6: (6,) is '
      'the 12 of LargeFOV at output stride 8.'
    )
  return LargeFovHead(
    features=options.head_channels,
    rate=atrous.scale_rates(rates, options.output_stride)[0],
    dropout=options.dropout,
    style=options.style,
  )


class LargeFovHead(nn.Module):
  """fc6 and fc7.

  Attributes:
    features: Channels of both; 1024.
    rate: Of fc6, as it is applied.
    dropout: Rate after each while training.
    style: Of both.
  """

  features: int
  rate: int
  dropout: float
  style: Style

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """`[B, H, W, C]` to `[B, H, W, features]`."""
    for name, size, rate in (('fc6', 3, self.rate), ('fc7', 1, 1)):
      x = Conv(
        self.features,
        self.style,
        size=size,
        rate=rate,
        use_bias=True,
        name=name,
      )(x, train=train)
      x = nn.Dropout(self.dropout, deterministic=not train)(nn.relu(x))
    return x
