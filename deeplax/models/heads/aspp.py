"""Atrous spatial pyramid pooling, DeepLabV3's (arXiv:1706.05587, section 3.3).

A 1x1 convolution, three 3x3 at `atrous_rates` and the mean of the whole
picture, each of `head_channels` with batch norm and ReLU, are concatenated
and projected to `head_channels` again. MobileNetV2's has no atrous branches
(`atrous_rates=()`); torchvision's and segmentation_models_pytorch's end in one
more 3x3 convolution (`head_conv3x3`), which has rate 1 at every output stride
and so does not see the same pixels at each.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from deeplax.models import atrous
from deeplax.models.layers import ConvBn, SeparableConvBn, Style, conv3x3
from deeplax.models.options import Options
from deeplax.ops import aspp, pool, rows
from deeplax.ops.lowerings import choice
from deeplax.ops.resize import Grid


def build(options: Options) -> 'AsppHead':
  """The head that `options` ask for; ValueError for other than three rates."""
  rates = options.atrous_rates
  if len(rates) not in (0, 3):
    raise ValueError(
      f'`atrous_rates` (={rates}) must have 3 entries, for the three atrous '
      'branches of ASPP, or be () for none.'
    )
  stride = options.output_stride
  return AsppHead(
    features=options.head_channels,
    rates=atrous.scale_rates(rates, options.output_stride),
    use_bias=options.head_bias,
    separable=options.head_separable,
    inner_bn=options.separable_inner_bn,
    image_pooling=options.image_pooling,
    # As many features as a picture of that size has.
    window=tuple(-(-n // stride) for n in options.image_pooling_window),
    grid=options.grid,
    lowering=options.aspp_lowering,
    conv3x3=options.head_conv3x3,
    conv3x3_separable=options.decoder_separable,
    dropout=options.dropout,
    style=options.style,
  )


class Aspp(nn.Module):
  """The branches, concatenated; attributes as of `AsppHead`."""

  features: int
  rates: tuple[int, ...]
  use_bias: bool
  separable: bool
  inner_bn: bool
  image_pooling: bool
  window: tuple[int, ...]
  grid: Grid
  lowering: str
  style: Style

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """`[B, H, W, C]` to `[B, H, W, branches * features]`."""
    convolved = self._products(x, train)
    point = dict(
      features=self.features, style=self.style, use_bias=self.use_bias
    )
    branches = [
      ConvBn(**point, name='branch0')(x, train=train, convolved=convolved[0])
    ]
    for i, rate in enumerate(self.rates):
      name = f'branch{i + 1}'
      if self.separable:
        branch = SeparableConvBn(
          self.features,
          self.style,
          rate=rate,
          inner_bn=self.inner_bn,
          name=name,
        )(x, train=train)
      else:
        branch = ConvBn(**point, size=3, rate=rate, name=name)(
          x, train=train, convolved=convolved[i + 1]
        )
      branches.append(branch)
    if self.image_pooling:
      if self.window:
        y = pool.window_average(x, self.window)
      else:
        y = pool.global_average(x)
      y = ConvBn(**point, name='image_pooling')(y, train=train)
      branches.append(self.grid.resize(y, x.shape[1:3]))
    return jnp.concatenate(branches, axis=-1)

  def _products(self, x, train: bool) -> list[jax.Array | None]:
    """What the dense branches' kernels make of x; None: ask the branch."""
    rates = (1, *self.rates)
    left_to_branches = [None] * len(rates)
    if self.separable or not self.rates or self.is_initializing():
      return left_to_branches
    lowering = self.lowering
    if lowering == 'auto':
      lowering = choice.choose_aspp(self.rates, *x.shape[1:], train=train)
    if lowering == 'convolutions' or rows.devices_of(x) > 1:
      return left_to_branches
    x = x.astype(self.style.dtype)
    params = self.variables['params']
    kernels = [
      params[f'branch{i}']['conv']['kernel'].astype(x.dtype)
      for i in range(len(rates))
    ]
    if lowering == 'one_product':
      return aspp.products(x, kernels, rates)
    return [
      aspp.products(x, [kernel], [rate])[0]
      for kernel, rate in zip(kernels, rates)
    ]


class AsppHead(nn.Module):
  """ASPP and its projection.

  Attributes:
    features: Channels of each branch and of the result.
    rates: Rates of the atrous branches, as they are applied.
    use_bias: Whether the dense convolutions have biases before batch norm.
    separable: Whether the atrous branches are separable.
    inner_bn: Whether these have batch norm before their 1x1, too.
    image_pooling: Whether there is a branch of the picture's mean.
    window: Height and width of the means, in features; () for the whole.
    grid: On which means of windows are spread over the picture.
    lowering: How the dense branches are computed; of `choice.CHOICES`, or
      'auto'. Where rows are on several devices, by convolutions always.
    conv3x3: Whether one more 3x3 convolution follows the projection.
    conv3x3_separable: Whether that one is separable.
    dropout: Rate while training.
    style: Of all layers.
  """

  features: int
  rates: tuple[int, ...]
  use_bias: bool
  separable: bool
  inner_bn: bool
  image_pooling: bool
  window: tuple[int, ...]
  grid: Grid
  lowering: str
  conv3x3: bool
  conv3x3_separable: bool
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
      self.inner_bn,
      self.image_pooling,
      self.window,
      self.grid,
      self.lowering,
      self.style,
      name='aspp',
    )(x, train=train)
    x = ConvBn(
      self.features, self.style, use_bias=self.use_bias, name='project'
    )(x, train=train)
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    if not self.conv3x3:
      return x
    return conv3x3(
      self.features,
      self.conv3x3_separable,
      self.inner_bn,
      self.style,
      name='conv3x3',
    )(x, train=train)
