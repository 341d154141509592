"""The network of a config in words; see `recipe_summary`."""

from collections.abc import Iterable
from typing import Any

import ml_collections

from deeplax.models import atrous

_HEADS = {
  'aspp_sum': 'ASPP, summed',
  'large_fov': 'LargeFOV of {:,}',
  'aspp': 'ASPP of {:,}',
}


def summarise(model: ml_collections.ConfigDict) -> dict[str, str]:
  """Each setting of `config.model` in words."""
  return dict(
    batch_norm=batch_norm(model),
    bn_decay=_if_trained(model, f'{model.bn_decay:g}'),
    bn_epsilon=_bn_epsilon(model),
    running_variance=_if_trained(
      model, 'over n - 1' if model.bn_unbiased else 'over n'
    ),
    output_stride=f'{model.output_stride}',
    atrous_rates=numbers(
      atrous.scale_rates(model.atrous_rates, model.output_stride)
    ),
    multi_grid=numbers(model.multi_grid),
    head=_head(model),
    decoder=_decoder(model),
    dropout=_dropout(model),
    input_scales=numbers(model.input_scales or (1,)),
    upsampling=_upsampling(model),
    precision=model.dtype,
  )


def numbers(values: Iterable[Any], form: str = '{:g}') -> str:
  """`1, 2, 4`, or 'none'."""
  return ', '.join(form.format(value) for value in values) or 'none'


def has_batch_norm(model: ml_collections.ConfigDict) -> bool:
  """Whether the network has any."""
  in_encoder = {
    'vgg': model.variant.endswith('_bn'),
    'unet': model.variant != 'paper',
  }.get(model.encoder, True)
  in_decoder = model.decoder == 'v3plus' or (
    model.decoder == 'unet' and model.unet_bn
  )
  return in_encoder or in_decoder or model.head == 'aspp'


def batch_norm(model: ml_collections.ConfigDict) -> str:
  """Whether there is any, and what of it is frozen."""
  if not has_batch_norm(model):
    return 'none'
  if model.freeze_bn:
    return 'statistics frozen'
  if model.freeze_encoder_bn:
    return "the encoder's statistics frozen"
  return 'trained'


def _if_trained(model, words):
  """Where statistics are there and change."""
  trained = has_batch_norm(model) and not model.freeze_bn
  return words if trained else 'no use'


def _bn_epsilon(model):
  if not has_batch_norm(model):
    return 'no use'
  if model.encoder_bn_epsilon in (None, model.bn_epsilon):
    return f'{model.bn_epsilon:g}'
  return (
    f'{model.encoder_bn_epsilon:g}, behind the encoder {model.bn_epsilon:g}'
  )


def _head(model):
  words = [_HEADS.get(model.head, model.head).format(model.head_channels)]
  if model.head == 'aspp':
    words += ['separable'] * model.head_separable
    words += ['biases'] * model.head_bias
    words += ['mean of the picture'] * model.image_pooling
    words += ['a 3x3 more'] * model.head_conv3x3
  return ', '.join(words)


def _decoder(model):
  if model.decoder == 'unet':
    return f'U-Net of {numbers(model.unet_channels)}'
  if model.decoder != 'v3plus':
    return model.decoder
  separable = ', separable' * model.decoder_separable
  return f'V3+, {model.decoder_layers} x {model.decoder_channels}{separable}'


def _dropout(model):
  # The one head that drops nothing, whatever the key says.
  return '0' if model.head == 'aspp_sum' else f'{model.dropout:g}'


def _upsampling(model):
  if model.align_corners:
    return 'corners aligned'
  return 'half-pixel' if model.half_pixel_centers else "TensorFlow 1's"
