"""The decoder of DeepLabV3+ (Chen et al. 2018, arXiv:1802.02611).

The encoder's features at stride 4, reduced to 48 channels, are concatenated
with the upsampled features of the head and refined by two 3x3 convolutions
(one in segmentation_models_pytorch).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from deeplax.models.layers import ConvBn, Style, conv3x3
from deeplax.models.options import Options
from deeplax.ops.resize import Grid


def build(options: Options) -> 'V3PlusDecoder':
  """The decoder that `options` ask for."""
  return V3PlusDecoder(
    features=options.decoder_channels,
    layers=options.decoder_layers,
    low_level_features=options.low_level_channels,
    separable=options.decoder_separable,
    inner_bn=options.separable_inner_bn,
    grid=options.grid,
    style=options.style,
  )


class V3PlusDecoder(nn.Module):
  """Joins early and late features at the resolution of the early ones.

  Attributes:
    features: Channels of the 3x3 convolutions.
    layers: Number of these.
    low_level_features: Channels that early features are reduced to.
    separable: Whether the 3x3 are separable.
    inner_bn: Whether separable ones have batch norm before their 1x1, too.
    grid: Of the upsampling.
    style: Of all layers.
  """

  features: int
  layers: int
  low_level_features: int
  separable: bool
  inner_bn: bool
  grid: Grid
  style: Style

  @nn.compact
  def __call__(
    self, x: jax.Array, endpoints: dict[str, jax.Array], *, train: bool
  ) -> jax.Array:
    """`[B, h, w, C]` to `[B, H, W, features]`, H x W of `low_level`."""
    low = ConvBn(self.low_level_features, self.style, name='low_level')(
      endpoints['low_level'], train=train
    )
    x = self.grid.resize(x, low.shape[1:3])
    x = jnp.concatenate([x, low], axis=-1)
    for n in range(1, self.layers + 1):
      x = conv3x3(
        self.features,
        self.separable,
        self.inner_bn,
        self.style,
        name=f'conv{n}',
      )(x, train=train)
    return x
