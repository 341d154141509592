"""DeepLab V2's atrous spatial pyramid (arXiv:1606.00915, section 3.2).

Four 3x3 convolutions of large rates, each straight to the class scores, with
biases and without batch norm, are summed. The network has no `logits` layer
of its own then. ASPP-L has the rates 6, 12, 18, 24 at output stride 8,
`atrous_rates=(3, 6, 9, 12)`; ASPP-S 2, 4, 8, 12, `(1, 2, 4, 6)`.
"""

import flax.linen as nn
import jax

from deeplax.models import atrous
from deeplax.models.layers import Conv, Style
from deeplax.models.options import Options


def build(options: Options) -> 'AsppSumHead':
  """The head that `options` ask for; ValueError without a rate."""
  if not options.atrous_rates:
    raise ValueError(
      '`atrous_rates` (=()) must have an entry for each branch, as in '
      '(3, 6, 9, 12).'
    )
  return AsppSumHead(
    num_classes=options.num_classes,
    rates=atrous.scale_rates(options.atrous_rates, options.output_stride),
    style=options.style,
  )


class AsppSumHead(nn.Module):
  """The branches and their sum.

  Attributes:
    num_classes: Channels of the result.
    rates: Rates of the branches, as they are applied.
    style: Of all layers.
    gives_logits: The result is the class scores.
  """

  num_classes: int
  rates: tuple[int, ...]
  style: Style
  gives_logits: bool = True

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """`[B, H, W, C]` to `[B, H, W, num_classes]`, in the parameters' dtype."""
    return sum(
      Conv(
        self.num_classes,
        self.style,
        size=3,
        rate=rate,
        use_bias=True,
        out_dtype=self.style.param_dtype,
        name=f'logits{i}',
      )(x, train=train)
      for i, rate in enumerate(self.rates, 1)
    )
