"""DeepLab: an encoder, a head, a decoder and class scores."""

import flax.linen as nn
import jax
import jax.numpy as jnp

import deeplax.models as models
from deeplax.models import norms
from deeplax.models.crf_rnn import CrfRnn
from deeplax.models.layers import Conv, ConvBn, Style
from deeplax.models.options import Options
from deeplax.ops.resize import Grid, scaled_size


def build(num_classes: int, **keys) -> 'DeepLab':
  """Builds the network of `config.model`.

  Raises:
    ValueError: For a name, key, variant or combination that does not exist.
  """
  options = Options.parse(num_classes, **keys)
  model = DeepLab(
    encoder=models.find(options.encoder, 'encoders').build(options),
    head=models.find(options.head, 'heads').build(options),
    decoder=models.find(options.decoder, 'decoders').build(options),
    num_classes=num_classes,
    logits_size=options.logits_size,
    input_scales=options.input_scales,
    crf_rnn=_crf_rnn(options),
    input_norm=options.input_norm,
    grid=options.grid,
    auxiliary=options.auxiliary,
    remat_norms=options.remat_norms,
    style=options.style,
  )
  if model.head_gives_logits and options.decoder != 'none':
    raise ValueError(
      f'`decoder` (={options.decoder!r}) must be none: the head '
      f'{options.head!r} gives the class scores itself.'
    )
  return model


class DeepLab(nn.Module):
  """Any of the family, by its parts: V1, V2, V3, V3+ and U-Net.

  Attributes:
    encoder: `(x, *, train) -> endpoints`.
    head: `(x, *, train) -> x`, on `stage5`.
    decoder: `(x, endpoints, *, train) -> x`.
    num_classes: Channels of the logits.
    logits_size: Side of the kernel that gives them.
    input_scales: See `options.Options`.
    crf_rnn: The last layer, at the picture's size, or None.
    input_norm: See `norms.parse`.
    grid: On which pictures and logits are scaled.
    auxiliary: Whether stage 4 gives logits too, in `endpoints['auxiliary']`.
    remat_norms: Whether training is to recompute what is no convolution.
    style: Of the layers here.
  """

  encoder: nn.Module
  head: nn.Module
  decoder: nn.Module
  num_classes: int
  logits_size: int
  input_scales: tuple[float, ...]
  crf_rnn: nn.Module | None
  input_norm: str
  grid: Grid
  auxiliary: bool
  remat_norms: bool
  style: Style

  @property
  def head_gives_logits(self) -> bool:
    """Whether the head's result are the class scores."""
    return getattr(self.head, 'gives_logits', False)

  @nn.compact
  def __call__(
    self, image: jax.Array, *, train: bool
  ) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Scores every pixel for every class.

    Args:
      image: `[B, H, W, 3]` RGB, 0..255, of any dtype; normalised here.
      train: Whether batch norm uses, and updates, statistics of the batch
        (`mutable=['batch_stats']`), and dropout drops (rng `dropout`).

    Returns:
      Logits `[B, h, w, num_classes]` at the decoder's resolution, float32
      (float64 for `dtype='float64'`), and the features by name: `image`, what
      the encoder saw; `stage1` to `stage5`, `low_level`, `head`, `decoder`;
      and `auxiliary`, logits at the resolution of stage 4, where it was asked
      for. With `input_scales` the logits are the largest of all scales, and
      `logits_x1`, `logits_x0.75`, ... those of each at its own resolution. With
      `crf_rnn` they are logarithms of probabilities at the picture's, and
      `before_crf` has them as they were.
    """
    mean, deviation = (
      jnp.asarray(v, self.style.param_dtype)
      for v in norms.parse(self.input_norm)
    )
    x = (image.astype(self.style.param_dtype) - mean) / deviation
    score = self._scorer(train)
    logits, endpoints = score(x)
    for scale in self.input_scales:
      other = logits if scale == 1 else score(self._scaled(x, scale))[0]
      endpoints[f'logits_x{scale:g}'] = other
    for name in [n for n in endpoints if n.startswith('logits_x')]:
      other = self.grid.resize(endpoints[name], logits.shape[1:3])
      logits = jnp.maximum(logits, other)
    if self.crf_rnn is not None:
      endpoints['before_crf'] = logits
      logits = self.crf_rnn(image, self.grid.resize(logits, image.shape[1:3]))
    return logits, endpoints

  def _scaled(self, x: jax.Array, scale: float) -> jax.Array:
    size = scaled_size(
      x.shape[1:3], scale, align_corners=self.grid.align_corners
    )
    return self.grid.resize(x, size)

  def _scorer(self, train: bool):
    """A function of a normalised picture; each call has the same weights."""
    auxiliary = AuxiliaryHead(self.num_classes, self.style, name='auxiliary')
    last = _logits(self.num_classes, self.style, self.logits_size)

    def score(x):
      endpoints = self.encoder(x.astype(self.style.dtype), train=train)
      endpoints['image'] = x
      x = endpoints['head'] = self.head(endpoints['stage5'], train=train)
      x = endpoints['decoder'] = self.decoder(x, endpoints, train=train)
      if self.auxiliary:
        endpoints['auxiliary'] = auxiliary(endpoints['stage4'], train=train)
      return (x if self.head_gives_logits else last(x, train=train)), endpoints

    return score


def _crf_rnn(options: Options) -> CrfRnn | None:
  if not options.crf_rnn:
    return None
  return CrfRnn(
    options.crf_rnn, options.crf_rnn_spatial, options.crf_rnn_bilateral
  )


class AuxiliaryHead(nn.Module):
  """FCN head (PSPNet, torchvision): 3x3 to a quarter, dropout 0.1, 1x1."""

  num_classes: int
  style: Style

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """`[B, h, w, C]` to `[B, h, w, num_classes]`."""
    x = ConvBn(x.shape[-1] // 4, self.style, size=3, name='conv1')(
      x, train=train
    )
    x = nn.Dropout(0.1, deterministic=not train)(x)
    return _logits(self.num_classes, self.style)(x, train=train)


def _logits(num_classes: int, style: Style, size: int = 1) -> Conv:
  return Conv(
    num_classes,
    style,
    size=size,
    use_bias=True,
    out_dtype=style.param_dtype,
    name='logits',
  )
