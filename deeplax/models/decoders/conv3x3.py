"""One more 3x3 convolution before the class scores.

As torchvision's DeepLabV3 has it. Its rate is 1 at every output stride, so
it does not see the same pixels at each.
"""

import flax.linen as nn
import jax

from deeplax.models.layers import ConvBn, SeparableConvBn, Style
from deeplax.models.options import Options


def build(options: Options) -> 'Conv3x3Decoder':
  """The decoder that `options` ask for."""
  return Conv3x3Decoder(
    options.decoder_channels, options.decoder_separable, options.style
  )


class Conv3x3Decoder(nn.Module):
  """A 3x3 convolution, batch norm, ReLU; at the head's resolution."""

  features: int
  separable: bool
  style: Style

  @nn.compact
  def __call__(
    self, x: jax.Array, endpoints: dict[str, jax.Array], *, train: bool
  ) -> jax.Array:
    """`[B, H, W, C]` to `[B, H, W, features]`."""
    del endpoints
    if self.separable:
      layer = SeparableConvBn(self.features, self.style, name='conv1')
    else:
      layer = ConvBn(self.features, self.style, size=3, name='conv1')
    return layer(x, train=train)
