"""The contracting path of U-Net (Ronneberger et al. 2015, arXiv:1505.04597).

Five blocks of two 3x3 convolutions, 64 to 1024 channels, with 2x2 pools
between them. Convolutions are padded, where the paper's are not: the result
then has the size of the picture. Variant `paper` has biases and no batch norm,
as the paper; `bn` has batch norm instead of biases, as most ports.
"""

import flax.linen as nn
import jax

from deeplax.models import atrous
from deeplax.models.layers import Style
from deeplax.models.options import Options
from deeplax.models.remat import unit_runner
from deeplax.models.unet_layers import DoubleConv
from deeplax.ops import pool

VARIANTS = {'paper': False, 'bn': True}  # name -> whether it has batch norm


def build(options: Options) -> 'UNetEncoder':
  """The encoder that `options` ask for; ValueError where there is none."""
  if options.variant not in VARIANTS:
    raise ValueError(
      f'unet has no variant {options.variant!r}; it has: {", ".join(VARIANTS)}.'
    )
  atrous.no_multi_grid('unet', options.multi_grid)
  atrous.plan((2,) * 4, options.output_stride)  # raises now if it can't be
  return UNetEncoder(
    variant=options.variant,
    output_stride=options.output_stride,
    remat=options.remat,
    style=options.encoder_style,
  )


class UNetEncoder(nn.Module):
  """The encoder.

  Attributes:
    variant: Key of `VARIANTS`.
    output_stride: 16, the paper's, or 8.
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
      `stage1` to `stage5`, the blocks, at strides 1, 2, 4, 8 and 16;
      `low_level`, at stride 4.
    """
    run = unit_runner(train=train, remat=self.remat)
    endpoints = {}
    rate = 1
    plans = (None, *atrous.plan((2,) * 4, self.output_stride))
    for n, plan in enumerate(plans, 1):
      if plan is not None:
        x = pool.max_pool_2x2(x, stride=plan.stride, rate=plan.rate_in)
        rate = plan.rate
      block = DoubleConv(
        self.width * 2 ** (n - 1),
        self.style,
        rate=rate,
        batch_norm=VARIANTS[self.variant],
        name=f'stage{n}',
      )
      x = endpoints[f'stage{n}'] = run(block, x)
    endpoints['low_level'] = endpoints['stage3']
    return endpoints
