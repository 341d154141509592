"""Encoders: `build(options)` gives `(x, *, train) -> endpoints`.

A new file here is a new choice of `model.encoder`. The least there can be:

  # deeplax/models/encoders/tiny.py: --config.model.encoder=tiny
  import flax.linen as nn
  from deeplax.models import atrous
  from deeplax.models.layers import ConvBn

  VARIANTS = ('16', '32')  # channels of the first stage

  def build(options):
    width = int(options.variant)
    return Tiny(width, options.output_stride, options.encoder_style)

  class Tiny(nn.Module):
    width: int
    output_stride: int
    style: object

    @nn.compact
    def __call__(self, x, *, train):
      endpoints = {}
      for n, plan in enumerate(atrous.plan((2,) * 5, self.output_stride), 1):
        x = ConvBn(n * self.width, self.style, size=3, stride=plan.stride,
                   rate=plan.rate_in, name=f'stage{n}')(x, train=train)
        endpoints[f'stage{n}'] = x
      return endpoints | {'low_level': endpoints['stage2']}
"""
