"""DeepLab: an encoder, a head, a decoder and class scores."""

import flax.linen as nn
import jax
import jax.numpy as jnp

import deeplax.models as models
from deeplax.models.layers import Conv, ConvBn, Style
from deeplax.models.options import Options

# name -> (mean, deviation) of 0..255 RGB
_IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
_NORMS = {
  'imagenet': _IMAGENET,  # weights of torchvision, timm, mmseg
  'symmetric': ((127.5,) * 3, (127.5,) * 3),  # 2x/255 - 1: TF Xception, beta
  'mean': ((123.15, 115.90, 103.06), (1.0,) * 3),  # TF slim's ResNet v1
}


def build(num_classes: int, **keys) -> 'DeepLab':
  """Builds the network of `config.model`.

  Raises:
    ValueError: For a name, key, variant or combination that does not exist.
  """
  options = Options.parse(num_classes, **keys)
  return DeepLab(
    encoder=models.find(options.encoder, 'encoders').build(options),
    head=models.find(options.head, 'heads').build(options),
    decoder=models.find(options.decoder, 'decoders').build(options),
    num_classes=num_classes,
    input_norm=options.input_norm,
    auxiliary=options.auxiliary,
    style=options.style,
  )


class DeepLab(nn.Module):
  """V3 or V3+, by its parts.

  Attributes:
    encoder: `(x, *, train) -> endpoints`.
    head: `(x, *, train) -> x`, on `stage5`.
    decoder: `(x, endpoints, *, train) -> x`.
    num_classes: Channels of the logits.
    input_norm: Key of `_NORMS`.
    auxiliary: Whether stage 4 gives logits too, in `endpoints['auxiliary']`.
    style: Of the layers here.
  """

  encoder: nn.Module
  head: nn.Module
  decoder: nn.Module
  num_classes: int
  input_norm: str
  auxiliary: bool
  style: Style

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
      (float64 for `dtype='float64'`), and the features by name: `stage1` to
      `stage5`, `low_level`, `head`, `decoder`, and `auxiliary`, logits at
      the resolution of stage 4, where it was asked for.
    """
    mean, deviation = (
      jnp.asarray(v, self.style.param_dtype) for v in _NORMS[self.input_norm]
    )
    x = (image.astype(self.style.param_dtype) - mean) / deviation
    endpoints = self.encoder(x.astype(self.style.dtype), train=train)
    x = endpoints['head'] = self.head(endpoints['stage5'], train=train)
    x = endpoints['decoder'] = self.decoder(x, endpoints, train=train)
    if self.auxiliary:
      endpoints['auxiliary'] = AuxiliaryHead(
        self.num_classes, self.style, name='auxiliary'
      )(endpoints['stage4'], train=train)
    return _logits(self.num_classes, self.style)(x), endpoints


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
    return _logits(self.num_classes, self.style)(x)


def _logits(num_classes: int, style: Style) -> Conv:
  return Conv(
    num_classes,
    style,
    use_bias=True,
    out_dtype=style.param_dtype,
    name='logits',
  )
