"""Layers of U-Net, in its encoder and its decoder."""

import flax.linen as nn
import jax

from deeplax.models.layers import BatchNorm, Conv, Style
from deeplax.ops import conv as conv_ops


class UpConv(nn.Module):
  """Doubles the resolution: `kernel` `[2, 2, C, features]` and `bias`."""

  features: int
  style: Style

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """`[B, H, W, C]` to `[B, 2H, 2W, features]`."""
    dtype = self.style.param_dtype
    kernel = self.param(
      'kernel',
      nn.initializers.variance_scaling(2.0, 'fan_out', 'normal'),
      (2, 2, x.shape[-1], self.features),
      dtype,
    )
    bias = self.param('bias', nn.initializers.zeros, (self.features,), dtype)
    y = conv_ops.up_convolve(
      x.astype(self.style.dtype), kernel.astype(self.style.dtype)
    )
    return y + bias.astype(y.dtype)


class DoubleConv(nn.Module):
  """Two 3x3 convolutions with ReLU, U-Net's step.

  Attributes:
    features: Channels of both.
    rate: Step between the taps.
    batch_norm: Whether batch norm precedes each ReLU, or else biases.
  """

  features: int
  style: Style
  rate: int = 1
  batch_norm: bool = True

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """`[B, H, W, C]` to `[B, H, W, features]`."""
    for n in (1, 2):
      x = Conv(
        self.features,
        self.style,
        size=3,
        rate=self.rate,
        use_bias=not self.batch_norm,
        name=f'conv{n}',
      )(x, train=train)
      if self.batch_norm:
        x = BatchNorm(self.style, relu=True, name=f'bn{n}')(x, train=train)
      else:
        x = self.style.relu(x)
    return x
