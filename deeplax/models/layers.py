"""Layers with parameters that every network is made of."""

import dataclasses
import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from deeplax.ops import batch_norm as norm_ops
from deeplax.ops import conv as conv_ops
from deeplax.ops.kept import kept
from deeplax.ops.layout import Layout
from deeplax.ops.masked_batch_norm import masked_batch_norm


@dataclasses.dataclass(frozen=True)
class Style:
  """What all layers of one network share; see `options.Options`."""

  dtype: jnp.dtype
  param_dtype: jnp.dtype
  bn_decay: float
  bn_epsilon: float
  bn_unbiased: bool
  freeze_bn: bool
  bounded: bool = False  # ReLU is capped at 6
  space_to_batch: str = 'auto'  # of atrous stages: see `units.run_units`
  conv_lowering: str = 'auto'  # of every convolution: see `ops.conv.conv`
  layout: Layout | None = None  # that pictures are in; None: the ordinary one

  def relu(self, x: jax.Array) -> jax.Array:
    """ReLU, capped or not."""
    return nn.relu6(x) if self.bounded else nn.relu(x)

  def ceiling(self, relu: bool) -> float | None:
    """Where ReLU ends, see `ops.batch_norm.batch_norm`; None without one."""
    if not relu:
      return None
    return 6.0 if self.bounded else math.inf


class Conv(nn.Module):
  """Convolution with explicit symmetric padding: `kernel`, maybe `bias`.

  Attributes:
    features: Channels of the result.
    size: Side of the square kernel, odd.
    stride: Step between output pixels.
    rate: Step between the taps.
    groups: Channel groups.
    use_bias: Whether there is a bias.
    padding: `'symmetric'` or `'same'`, see `ops.conv.conv`.
    out_dtype: Of the result; None for the dtype of the computation.
  """

  features: int
  style: Style
  size: int = 1
  stride: int = 1
  rate: int = 1
  groups: int = 1
  use_bias: bool = False
  padding: str = 'symmetric'
  out_dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    *,
    train: bool,
    convolved: jax.Array | None = None,
  ) -> jax.Array:
    """Convolves, and adds the bias.

    Args:
      x: `[B, H, W, C]`.
      train: Whether the lowering should be fast at gradients, too.
      convolved: What the kernel makes of x, where somebody knows it already.

    Returns:
      `[B, ceil(H / stride), ceil(W / stride), features]`.
    """
    kernel = self.param(
      'kernel',
      nn.initializers.variance_scaling(2.0, 'fan_out', 'normal'),
      (self.size, self.size, x.shape[-1] // self.groups, self.features),
      self.style.param_dtype,
    )
    y = self._convolve(x, kernel, train) if convolved is None else convolved
    y = kept(y)
    if self.use_bias:
      bias = self.param(
        'bias',
        nn.initializers.zeros,
        (self.features,),
        self.style.param_dtype,
      )
      y = y + bias.astype(y.dtype)
    return y

  def _convolve(self, x, kernel, train):
    x, rate, layout = x.astype(self.style.dtype), self.rate, self.style.layout
    if layout and self.size > 1:
      x, rate = layout.clear(x), rate // layout.rate
    return conv_ops.conv(
      x,
      kernel.astype(self.style.dtype),
      stride=self.stride,
      rate=rate,
      groups=self.groups,
      padding=self.padding,
      out_dtype=self.out_dtype,
      train=train,
      lowering=self.style.conv_lowering,
    )


class BatchNorm(nn.Module):
  """Batch normalisation: `scale`, `bias`, running `mean` and `var`.

  Statistics are taken in the dtype of the parameters, at least float32,
  whatever that of the computation: see `ops/batch_norm.py`. Under `jit` on a
  batch sharded over devices they are those of the whole batch. Running
  statistics follow

      running = decay * running + (1 - decay) * batch

  with the variance divided by n, as in TensorFlow and Flax, or with
  `bn_unbiased` by n - 1, as in PyTorch; the batch itself is normalised with
  that divided by n in both.

  A single value per channel (a batch of one, pooled to one pixel) has no
  variance: it would train to a constant and drive the running variance to 0.
  Running statistics are then used, and kept, also when training.

  With `freeze_bn` they always are; scale and bias are trained even so.

  Attributes:
    style: Of the network.
    relu: Whether the style's ReLU follows, in the same pass over memory.
  """

  style: Style
  relu: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """`[B, H, W, C]` to the same shape, in the dtype of the computation."""
    channels, epsilon = x.shape[-1], self.style.bn_epsilon
    dtype = self.style.param_dtype
    scale = self.param('scale', nn.initializers.ones, (channels,), dtype)
    bias = self.param('bias', nn.initializers.zeros, (channels,), dtype)
    running_mean = self.variable(
      'batch_stats', 'mean', jnp.zeros, (channels,), dtype
    )
    running_var = self.variable(
      'batch_stats', 'var', jnp.ones, (channels,), dtype
    )
    layout = self.style.layout
    values_per_channel = layout.count(x) if layout else x.size // channels
    if train and not self.style.freeze_bn and values_per_channel > 1:
      if layout and not layout.full:
        y, mean, var = masked_batch_norm(
          x, scale, bias, epsilon, layout.mask(x), values_per_channel
        )
        y = self.style.relu(y) if self.relu else y
      else:
        y, mean, var = norm_ops.batch_norm(
          x, scale, bias, epsilon, ceiling=self.style.ceiling(self.relu)
        )
      if self.style.bn_unbiased:
        var = var * (values_per_channel / (values_per_channel - 1))
      if not self.is_initializing():
        decay = self.style.bn_decay
        for running, batch in ((running_mean, mean), (running_var, var)):
          running.value = decay * running.value + (1 - decay) * batch
    else:
      factor = scale * jax.lax.rsqrt(running_var.value + epsilon)
      y = (x.astype(dtype) - running_mean.value) * factor + bias
      y = self.style.relu(y) if self.relu else y
    return y.astype(self.style.dtype)


class ConvBn(nn.Module):
  """Convolution, batch norm and, unless told otherwise, the style's ReLU.

  Attributes: as of `Conv`; `relu`: whether one follows.
  """

  features: int
  style: Style
  size: int = 1
  stride: int = 1
  rate: int = 1
  groups: int = 1
  use_bias: bool = False
  padding: str = 'symmetric'
  relu: bool = True

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    *,
    train: bool,
    convolved: jax.Array | None = None,
  ) -> jax.Array:
    """`[B, H, W, C]` to `[B, ceil(H / stride), ceil(W / stride), features]`."""
    x = Conv(
      self.features,
      self.style,
      size=self.size,
      stride=self.stride,
      rate=self.rate,
      groups=self.groups,
      use_bias=self.use_bias,
      padding=self.padding,
      name='conv',
    )(x, train=train, convolved=convolved)
    return BatchNorm(self.style, self.relu, name='bn')(x, train=train)


class SeparableConvBn(nn.Module):
  """Depthwise convolution and 1x1, each with batch norm and ReLU.

  As in the ASPP and decoder of the DeepLab authors' code. Other ports have
  them after the 1x1 only: `inner_bn=False`.

  Attributes:
    features: Channels of the result.
    size: Side of the depthwise kernel, odd.
    stride: Step between output pixels.
    rate: Step between the taps.
    inner_bn: Whether batch norm stands between the two convolutions.
    relu: Whether ReLU follows each batch norm.
  """

  features: int
  style: Style
  size: int = 3
  stride: int = 1
  rate: int = 1
  inner_bn: bool = True
  relu: bool = True

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """`[B, H, W, C]` to `[B, ceil(H / stride), ceil(W / stride), features]`."""
    depthwise = dict(
      features=x.shape[-1],
      style=self.style,
      size=self.size,
      stride=self.stride,
      rate=self.rate,
      groups=x.shape[-1],
      name='depthwise',
    )
    if self.inner_bn:
      x = ConvBn(**depthwise, relu=self.relu)(x, train=train)
    else:
      x = Conv(**depthwise)(x, train=train)
    return ConvBn(self.features, self.style, relu=self.relu, name='pointwise')(
      x, train=train
    )


def conv3x3(
  features: int, separable: bool, inner_bn: bool, style: Style, *, name: str
) -> nn.Module:
  """A 3x3 convolution with batch norm and ReLU, plain or separable."""
  if separable:
    return SeparableConvBn(features, style, inner_bn=inner_bn, name=name)
  return ConvBn(features, style, size=3, name=name)
