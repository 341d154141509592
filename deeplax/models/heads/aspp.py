"""Atrous spatial pyramid pooling, DeepLabV3's (arXiv:1706.05587, section 3.3).

A 1x1 convolution, three 3x3 at `atrous_rates` and the mean of the whole
picture, each of `head_channels` with batch norm and ReLU, are concatenated
and projected to `head_channels` again.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from deeplax.models import atrous
from deeplax.models.layers import ConvBn, SeparableConvBn, Style
from deeplax.models.options import Options
from deeplax.ops import pool


def build(options: Options) -> 'AsppHead':
  """The head that `options` ask for; ValueError for other than three rates."""
  rates = options.atrous_rates
  if len(rates) != 3:
    raise ValueError(
      f'`atrous_rates` (={rates}) must have 3 entries, for the three atrous '
      'branches of ASPP.'
    )
  return AsppHead(
    features=options.head_channels,
    rates=atrous.scale_rates(rates, options.output_stride),
    use_bias=options.head_bias,
    separable=options.head_separable,
    image_pooling=options.image_pooling,
    dropout=options.dropout,
    style=options.style,
  )


class Aspp(nn.Module):
  """The branches, concatenated; attributes as of `AsppHead`."""

  features: int
  rates: tuple[int, ...]
  use_bias: bool
  separable: bool
  image_pooling: bool
  style: Style

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """`[B, H, W, C]` to `[B, H, W, branches * features]`."""
    point = dict(
      features=self.features, style=self.style, use_bias=self.use_bias
    )
    branches = [ConvBn(**point, name='branch0')(x, train=train)]
    for i, rate in enumerate(self.rates):
      name = f'branch{i + 1}'
      if self.separable:
        branch = SeparableConvBn(
          self.features, self.style, rate=rate, name=name
        )
      else:
        branch = ConvBn(**point, size=3, rate=rate, name=name)
      branches.append(branch(x, train=train))
    if self.image_pooling:
      y = pool.global_average(x)
      y = ConvBn(**point, name='image_pooling')(y, train=train)
      branches.append(jnp.broadcast_to(y, branches[0].shape))
    return jnp.concatenate(branches, axis=-1)


class AsppHead(nn.Module):
  """ASPP and its projection.

  Attributes:
    features: Channels of each branch and of the result.
    rates: Rates of the atrous branches, as they are applied.
    use_bias: Whether the dense convolutions have biases before batch norm.
    separable: Whether the atrous branches are separable.
    image_pooling: Whether there is a branch of the picture's mean.
    dropout: Rate while training.
    style: Of all layers.
  """

  features: int
  rates: tuple[int, ...]
  use_bias: bool
  separable: bool
  image_pooling: bool
  dropout: float
  style: Style

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """`[B, H, W, C]` to `[B, H, W, features]`."""
    x = Aspp(
      self.features,
      self.rates,
      self.use_bias,
      self.separable,
      self.image_pooling,
      self.style,
      name='aspp',
    )(x, train=train)
    x = ConvBn(
      self.features, self.style, use_bias=self.use_bias, name='project'
    )(x, train=train)
    return nn.Dropout(self.dropout, deterministic=not train)(x)
