"""The choices a network is built from: the keys of `config.model`, typed."""

import dataclasses
import difflib
import math
import types
import typing

import jax
import jax.numpy as jnp

from deeplax.crf import inputs
from deeplax.models import atrous, layers, norms
from deeplax.ops.lowerings import choice
from deeplax.ops.resize import Grid

DTYPES = ('float32', 'bfloat16', 'float64')
PADDINGS = ('symmetric', 'same')
UPSAMPLINGS = ('nearest', 'transposed')
CONV_LOWERINGS = ('auto', 'xla')
ASPP_LOWERINGS = ('auto', *choice.CHOICES['aspp'])
SWITCHES = ('auto', 'on', 'off')
_TUPLES = (
  'multi_grid',
  'atrous_rates',
  'image_pooling_window',
  'unet_channels',
  'input_scales',
  'crf_rnn_spatial',
  'crf_rnn_bilateral',
)


def _check_type(field: dataclasses.Field, value: object) -> None:
  union = isinstance(field.type, types.UnionType)
  kinds = typing.get_args(field.type) if union else (field.type,)
  if not any(_is_of(value, kind) for kind in kinds):
    words = ' or '.join(getattr(k, '__name__', str(k)) for k in kinds)
    if typing.get_args(kinds[0]):
      words = str(kinds[0])
    raise ValueError(
      f'`{field.name}` (={str(value)[:100]!r}) must be of the type {words}.'
    )


def _is_of(value: object, kind: type) -> bool:
  if typing.get_origin(kind) is tuple:
    (inner, *_) = typing.get_args(kind)
    return isinstance(value, tuple) and all(_is_of(v, inner) for v in value)
  if isinstance(value, bool):
    return kind is bool
  if kind is float:
    return isinstance(value, (int, float)) and math.isfinite(value)
  return isinstance(value, kind)


@dataclasses.dataclass(frozen=True)
class Options:
  """What every part may read; a part ignores what does not concern it.

  Attributes:
    num_classes: Channels of the logits, the trained void class included.
    encoder: Module of `deeplax/models/encoders`.
    variant: Row of that encoder's table, e.g. `'101'` or `'50_slim'`.
    output_stride: Of the encoder's last stage: 8, 16 or 32.
    multi_grid: Rate multiplier per unit of the last stage; () is 1 each.
    padding: Of the encoder's strided layers: `'symmetric'`, or `'same'` as
      TensorFlow pads; mobilenet_v2 only.
    head: Module of `deeplax/models/heads`.
    atrous_rates: Of the head, at output stride 16; () for none.
    head_channels: Channels of every branch of the head, and of its result.
    head_bias: Whether convolutions before batch norm in the head have biases.
    head_separable: Whether the head's atrous convolutions are separable.
    head_conv3x3: Whether one more 3x3 convolution ends the head.
    image_pooling: Whether the head has a branch that sees the whole picture.
    image_pooling_window: Height and width, in pixels of the picture, of what
      that branch sees instead of the whole; () for the whole.
    dropout: Rate of dropping the head's features while training.
    decoder: Module of `deeplax/models/decoders`.
    decoder_channels: Channels of the decoder's 3x3 convolutions.
    decoder_layers: Number of the 3x3 convolutions of v3plus.
    decoder_separable: Whether these, and that of `head_conv3x3`, are
      separable.
    bounded_activation: Whether ReLU in head and decoder is capped at 6, as in
      TensorFlow's networks that were trained to be quantised.
    separable_inner_bn: Whether separable convolutions of head and decoder have
      batch norm and ReLU between depthwise and 1x1, too.
    low_level_channels: What the encoder's early features are reduced to.
    unet_channels: Channels of each level of the unet decoder, deepest first.
    unet_upsampling: `'nearest'`, or `'transposed'`: 2x2 up-convolutions.
    unet_bn: Whether its convolutions have batch norm, or else biases.
    unet_center: Whether two more convolutions precede its first level.
    logits_size: Side of the kernel that gives the class scores.
    auxiliary: Whether a small head on stage 4 gives logits of its own.
    input_scales: Scales of the picture whose logits are joined by their
      maximum, the first 1; () for the picture as it is.
    crf_rnn: Iterations of a CRF that is trained as the last layer; 0 for none.
    crf_rnn_spatial, crf_rnn_bilateral: Of that, as `crf.dense_crf` has them;
      the weights are where training starts.
    input_norm: `'imagenet'`, `'symmetric'`, `'mean'` or `'vgg'`, or numbers:
      see `norms.parse`.
    align_corners: Grid of every bilinear upsampling, see `ops.resize`.
    half_pixel_centers: The same, without `align_corners`; False is
      TensorFlow 1's grid.
    bn_decay: Of the running statistics; PyTorch's momentum is 1 minus this.
    bn_epsilon: Added to variances.
    encoder_bn_epsilon: The same in the encoder; None for `bn_epsilon`.
    bn_unbiased: Whether running variances are divided by n - 1, as PyTorch's.
    freeze_bn: Whether training, too, uses the running statistics as they are.
    freeze_encoder_bn: The same for the encoder alone.
    dtype: Of the computation. Parameters are float32, or float64 for float64.
    remat: Whether units of the encoder are recomputed for the gradient.
    remat_norms: Whether batch norm, ReLU and what else is no convolution are.
    space_to_batch: Whether atrous stages of the encoder run in that layout,
      `'on'` or `'off'`; `'auto'` where it is known to be faster. The network
      is the same.
    conv_lowering: How convolutions are computed: `'auto'` for the fastest as
      far as is known, or `'xla'` for the compiler's own, which other compilers
      know, too. The network is the same.
    aspp_lowering: How ASPP's dense branches are computed: `'convolutions'`,
      `'branch_products'` or `'one_product'`, see `ops/aspp.py`; `'auto'` for
      the fastest as far as is known. The network is the same.
  """

  num_classes: int
  encoder: str = 'resnet'
  variant: str = '101'
  output_stride: int = 16
  multi_grid: tuple[int, ...] = ()
  padding: str = 'symmetric'
  head: str = 'aspp'
  atrous_rates: tuple[int, ...] = (6, 12, 18)
  head_channels: int = 256
  head_bias: bool = False
  head_separable: bool = False
  head_conv3x3: bool = False
  image_pooling: bool = True
  image_pooling_window: tuple[int, ...] = ()
  dropout: float = 0.1
  decoder: str = 'v3plus'
  decoder_channels: int = 256
  decoder_layers: int = 2
  decoder_separable: bool = False
  bounded_activation: bool = False
  separable_inner_bn: bool = True
  low_level_channels: int = 48
  unet_channels: tuple[int, ...] = (256, 128, 64, 32, 16)
  unet_upsampling: str = 'nearest'
  unet_bn: bool = True
  unet_center: bool = False
  logits_size: int = 1
  auxiliary: bool = False
  input_scales: tuple[float, ...] = ()
  crf_rnn: int = 0
  crf_rnn_spatial: tuple[float, ...] = (1.0, 3.0)
  crf_rnn_bilateral: tuple[float, ...] = (67.0, 3.0, 4.0)
  input_norm: str = 'imagenet'
  align_corners: bool = False
  half_pixel_centers: bool = True
  bn_decay: float = 0.9
  bn_epsilon: float = 1e-5
  encoder_bn_epsilon: float | None = None
  bn_unbiased: bool = False
  freeze_bn: bool = False
  freeze_encoder_bn: bool = False
  dtype: str = 'float32'
  remat: bool = False
  remat_norms: bool = False
  space_to_batch: str = 'auto'
  conv_lowering: str = 'auto'
  aspp_lowering: str = 'auto'

  def __post_init__(self):
    for name in _TUPLES:  # lists come out of JSON
      if isinstance(getattr(self, name), list):
        object.__setattr__(self, name, tuple(getattr(self, name)))
    object.__setattr__(self, 'variant', str(self.variant))
    for field in dataclasses.fields(self):
      _check_type(field, getattr(self, field.name))
    atrous.check_output_stride(self.output_stride)
    for name in (
      'num_classes',
      'head_channels',
      'decoder_channels',
      'decoder_layers',
      'low_level_channels',
    ):
      if getattr(self, name) < 1:
        raise ValueError(f'`{name}` (={getattr(self, name)}) must be positive.')
    self._check_shapes()
    for name in ('dropout', 'bn_decay'):
      if not 0 <= getattr(self, name) < 1:
        raise ValueError(
          f'`{name}` (={getattr(self, name)}) must be at least 0 and below 1.'
        )
    for name in ('bn_epsilon', 'encoder_bn_epsilon'):
      value = getattr(self, name)
      if value is not None and value <= 0:
        raise ValueError(f'`{name}` (={value}) must be positive.')
    norms.parse(self.input_norm)
    for name, choices in (
      ('dtype', DTYPES),
      ('padding', PADDINGS),
      ('unet_upsampling', UPSAMPLINGS),
      ('space_to_batch', SWITCHES),
      ('conv_lowering', CONV_LOWERINGS),
      ('aspp_lowering', ASPP_LOWERINGS),
    ):
      if getattr(self, name) not in choices:
        raise ValueError(
          f'`{name}` (={getattr(self, name)!r}) must be one of {choices}.'
        )
    if self.dtype == 'float64' and not jax.config.jax_enable_x64:
      raise ValueError(
        '`dtype` (=float64) needs 64-bit mode: set JAX_ENABLE_X64=1.'
      )

  def _check_shapes(self):
    inputs.check_terms(self.crf_rnn_spatial, self.crf_rnn_bilateral)
    if self.crf_rnn < 0:
      raise ValueError(
        f'`crf_rnn` (={self.crf_rnn}) must be a number of iterations, or 0.'
      )
    if len(self.image_pooling_window) not in (0, 2):
      raise ValueError(
        f'`image_pooling_window` (={self.image_pooling_window}) must be a '
        'height and a width in pixels, or () for the whole picture.'
      )
    if not self.unet_channels or min(self.unet_channels) < 1:
      raise ValueError(
        f'`unet_channels` (={self.unet_channels}) must be positive, one for '
        'each level.'
      )
    if self.logits_size < 1 or self.logits_size % 2 == 0:
      raise ValueError(
        f'`logits_size` (={self.logits_size}) must be odd and positive.'
      )
    scales = self.input_scales
    if scales and (scales[0] != 1 or min(scales) <= 0):
      raise ValueError(
        f'`input_scales` (={scales}) must be positive and start with 1, as in '
        '(1.0, 0.75, 0.5), or be ().'
      )
    if self.padding == 'same' and self.encoder != 'mobilenet_v2':
      raise ValueError(
        f'`padding` (=same) exists for mobilenet_v2 only: {self.encoder} is '
        'padded symmetrically by its authors, too.'
      )

  @classmethod
  def parse(cls, num_classes: int, **keys) -> 'Options':
    """Makes options of `config.model` less its name; unknown keys raise."""
    known = [f.name for f in dataclasses.fields(cls) if f.name != 'num_classes']
    for key in keys:
      if key not in known:
        near = difflib.get_close_matches(key, known, n=1)
        raise ValueError(
          f'The model has no key {key!r}'
          + (f'; did you mean {near[0]!r}? ' if near else '. ')
          + f'It has: {", ".join(sorted(known))}.'
        )
    return cls(num_classes=num_classes, **keys)

  @property
  def grid(self) -> Grid:
    """That of every bilinear upsampling."""
    return Grid(self.align_corners, self.half_pixel_centers)

  @property
  def encoder_style(self) -> layers.Style:
    """What the encoder's layers share."""
    style = self.style
    return dataclasses.replace(
      style,
      bn_epsilon=self.encoder_bn_epsilon or style.bn_epsilon,
      freeze_bn=self.freeze_bn or self.freeze_encoder_bn,
      bounded=False,
    )

  @property
  def style(self) -> layers.Style:
    """What the layers of head and decoder share."""
    dtype = jnp.dtype(self.dtype)
    return layers.Style(
      dtype=dtype,
      param_dtype=jnp.promote_types(dtype, jnp.float32),
      bn_decay=self.bn_decay,
      bn_epsilon=self.bn_epsilon,
      bn_unbiased=self.bn_unbiased,
      freeze_bn=self.freeze_bn,
      bounded=self.bounded_activation,
      space_to_batch=self.space_to_batch,
      conv_lowering=self.conv_lowering,
    )
