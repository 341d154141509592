"""The choices a network is built from: the keys of `config.model`, typed."""

import dataclasses
import difflib

import jax
import jax.numpy as jnp

from deeplax.models import atrous, layers

INPUT_NORMS = ('imagenet', 'symmetric', 'mean')
DTYPES = ('float32', 'bfloat16', 'float64')


@dataclasses.dataclass(frozen=True)
class Options:
  """What every part may read; a part ignores what does not concern it.

  Attributes:
    num_classes: Channels of the logits, the trained void class included.
    encoder: Module of `deeplax/models/encoders`.
    variant: Row of that encoder's table, e.g. `'101'` or `'50_slim'`.
    output_stride: Of the encoder's last stage: 8, 16 or 32.
    multi_grid: Rate multiplier per unit of the last stage; () is 1 each.
    head: Module of `deeplax/models/heads`.
    atrous_rates: Of the head, at output stride 16.
    head_channels: Channels of every branch of the head, and of its result.
    head_bias: Whether convolutions before batch norm in the head have biases.
    head_separable: Whether the head's 3x3 convolutions are separable.
    image_pooling: Whether the head has a branch that sees the whole picture.
    dropout: Rate of dropping the head's features while training.
    decoder: Module of `deeplax/models/decoders`.
    decoder_channels: Channels of the decoder's 3x3 convolutions.
    decoder_separable: Whether these are separable.
    low_level_channels: What the encoder's early features are reduced to.
    auxiliary: Whether a small head on stage 4 gives logits of its own.
    input_norm: `'imagenet'`, `'symmetric'` or `'mean'`.
    align_corners: Grid of every bilinear upsampling.
    bn_decay: Of the running statistics; PyTorch's momentum is 1 minus this.
    bn_epsilon: Added to variances.
    freeze_bn: Whether training, too, uses the running statistics as they are.
    dtype: Of the computation. Parameters are float32, or float64 for float64.
    remat: Whether units of the encoder are recomputed for the gradient.
  """

  num_classes: int
  encoder: str = 'resnet'
  variant: str = '101'
  output_stride: int = 16
  multi_grid: tuple[int, ...] = ()
  head: str = 'aspp'
  atrous_rates: tuple[int, ...] = (6, 12, 18)
  head_channels: int = 256
  head_bias: bool = False
  head_separable: bool = False
  image_pooling: bool = True
  dropout: float = 0.1
  decoder: str = 'v3plus'
  decoder_channels: int = 256
  decoder_separable: bool = False
  low_level_channels: int = 48
  auxiliary: bool = False
  input_norm: str = 'imagenet'
  align_corners: bool = False
  bn_decay: float = 0.9
  bn_epsilon: float = 1e-5
  freeze_bn: bool = False
  dtype: str = 'float32'
  remat: bool = False

  def __post_init__(self):
    for name in ('multi_grid', 'atrous_rates'):  # lists come out of JSON
      object.__setattr__(self, name, tuple(getattr(self, name)))
    object.__setattr__(self, 'variant', str(self.variant))
    atrous.check_output_stride(self.output_stride)
    for name in (
      'num_classes',
      'head_channels',
      'decoder_channels',
      'low_level_channels',
    ):
      if getattr(self, name) < 1:
        raise ValueError(f'`{name}` (={getattr(self, name)}) must be positive.')
    for name in ('dropout', 'bn_decay'):
      if not 0 <= getattr(self, name) < 1:
        raise ValueError(
          f'`{name}` (={getattr(self, name)}) must be at least 0 and below 1.'
        )
    if self.bn_epsilon <= 0:
      raise ValueError(f'`bn_epsilon` (={self.bn_epsilon}) must be positive.')
    if self.input_norm not in INPUT_NORMS:
      raise ValueError(
        f'`input_norm` (={self.input_norm!r}) must be one of {INPUT_NORMS}.'
      )
    if self.dtype not in DTYPES:
      raise ValueError(f'`dtype` (={self.dtype!r}) must be one of {DTYPES}.')
    if self.dtype == 'float64' and not jax.config.jax_enable_x64:
      raise ValueError(
        '`dtype` (=float64) needs 64-bit mode: set JAX_ENABLE_X64=1.'
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
  def style(self) -> layers.Style:
    """What all layers share."""
    dtype = jnp.dtype(self.dtype)
    return layers.Style(
      dtype=dtype,
      param_dtype=jnp.promote_types(dtype, jnp.float32),
      bn_decay=self.bn_decay,
      bn_epsilon=self.bn_epsilon,
      freeze_bn=self.freeze_bn,
    )
