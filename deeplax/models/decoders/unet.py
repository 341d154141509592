"""U-Net's expanding path (Ronneberger et al. 2015, arXiv:1505.04597).

Level by level, deepest first, features are brought to the resolution of the
encoder's stage before, concatenated with it and put through two 3x3
convolutions. As in the paper: `unet_channels=(512, 256, 128, 64)`,
`unet_upsampling='transposed'`, `unet_bn=False` and the encoder `unet`. As in
segmentation_models_pytorch, over any encoder: five levels of nearest
neighbours, the last one without a stage, at the size of the picture.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from deeplax.models.layers import Style
from deeplax.models.options import Options
from deeplax.models.unet_layers import DoubleConv, UpConv
from deeplax.ops.resize import resize

# Stages that levels are joined with, in order.
STAGES = ('stage4', 'stage3', 'stage2', 'stage1')


def build(options: Options) -> 'UNetDecoder':
  """The decoder that `options` ask for."""
  if len(options.unet_channels) > len(STAGES) + 1:
    raise ValueError(
      f'`unet_channels` (={options.unet_channels}) must have at most '
      f'{len(STAGES) + 1} entries: one for each of {", ".join(STAGES)}, and '
      'one at the size of the picture.'
    )
  full = 16 if options.encoder == 'unet' else 32
  transposed = options.unet_upsampling == 'transposed'
  if transposed and options.output_stride != full:
    raise ValueError(
      '`unet_upsampling` (=transposed) doubles the resolution at each level, '
      f'and needs `output_stride` (={options.output_stride}) to be {full} with '
      f"{options.encoder}; or use unet_upsampling='nearest'."
    )
  return UNetDecoder(
    channels=options.unet_channels,
    transposed=transposed,
    batch_norm=options.unet_bn,
    center=options.unet_center,
    style=options.style,
  )


class UNetDecoder(nn.Module):
  """The levels.

  Attributes:
    channels: Of each level.
    transposed: Whether 2x2 up-convolutions upsample, or else nearest
      neighbours.
    batch_norm: Whether there is batch norm, or else biases.
    center: Whether two convolutions precede the first level.
    style: Of all layers.
  """

  channels: tuple[int, ...]
  transposed: bool
  batch_norm: bool
  center: bool
  style: Style

  @nn.compact
  def __call__(
    self, x: jax.Array, endpoints: dict[str, jax.Array], *, train: bool
  ) -> jax.Array:
    """`[B, h, w, C]` to the size of the last stage, or of the picture."""
    if self.center:
      x = DoubleConv(
        x.shape[-1], self.style, batch_norm=self.batch_norm, name='center'
      )(x, train=train)
    for n, features in enumerate(self.channels):
      last = n == len(STAGES)
      other = endpoints['image' if last else STAGES[n]]
      if self.transposed:
        x = UpConv(features, self.style, name=f'up{n + 1}')(x)
        x = _fit(x, other.shape[1:3])
      else:
        x = resize(x, other.shape[1:3], method='nearest_floor')
      if not last:
        x = jnp.concatenate([x, other], axis=-1)
      x = DoubleConv(
        features,
        self.style,
        batch_norm=self.batch_norm,
        name=f'level{n + 1}',
      )(x, train=train)
    return x


def _fit(x: jax.Array, size: tuple[int, int]) -> jax.Array:
  """Adds the odd row or column that a pool left out, as zeros, or cuts it."""
  x = x[:, : size[0], : size[1]]
  missing = [n - m for n, m in zip(size, x.shape[1:3])]
  return jnp.pad(x, ((0, 0), (0, missing[0]), (0, missing[1]), (0, 0)))
