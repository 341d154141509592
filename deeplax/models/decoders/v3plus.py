"""The decoder of DeepLabV3+ (Chen et al. 2018, arXiv:1802.02611).

The encoder's features at stride 4, reduced to 48 channels, are concatenated
with the upsampled features of the head and refined by two 3x3 convolutions.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from deeplax.models.layers import ConvBn, SeparableConvBn, Style
from deeplax.models.options import Options
from deeplax.ops import resize


def build(options: Options) -> 'V3PlusDecoder':
  """The decoder that `options` ask for."""
  return V3PlusDecoder(
    features=options.decoder_channels,
    low_level_features=options.low_level_channels,
    separable=options.decoder_separable,
    align_corners=options.align_corners,
    style=options.style,
  )


class V3PlusDecoder(nn.Module):
  """Joins early and late features at the resolution of the early ones.

  Attributes:
    features: Channels of the two 3x3 convolutions.
    low_level_features: Channels that early features are reduced to.
    separable: Whether the 3x3 are separable.
    align_corners: Grid of the upsampling.
    style: Of all layers.
  """

  features: int
  low_level_features: int
  separable: bool
  align_corners: bool
  style: Style

  @nn.compact
  def __call__(
    self, x: jax.Array, endpoints: dict[str, jax.Array], *, train: bool
  ) -> jax.Array:
    """`[B, h, w, C]` to `[B, H, W, features]`, H x W of `low_level`."""
    low = ConvBn(self.low_level_features, self.style, name='low_level')(
      endpoints['low_level'], train=train
    )
    x = resize.resize(x, low.shape[1:3], align_corners=self.align_corners)
    x = jnp.concatenate([x, low], axis=-1)
    for name in ('conv1', 'conv2'):
      if self.separable:
        layer = SeparableConvBn(self.features, self.style, name=name)
      else:
        layer = ConvBn(self.features, self.style, size=3, name=name)
      x = layer(x, train=train)
    return x
