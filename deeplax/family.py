"""The family by name: what each paper's network is made of."""

import re
from typing import Any

import flax

from deeplax import models
from deeplax.errors import ConfigError

# By name: the paper's encoder, and head and decoder, which go with any other.
_ENCODERS = {
  'v1': dict(encoder='vgg', variant='16_large_fov'),
  'v2': dict(encoder='resnet', variant='101_caffe'),
  'v3': dict(encoder='resnet', variant='101_slim'),
  'v3plus': dict(encoder='resnet', variant='101'),
  'unet': dict(encoder='unet', variant='paper'),
}
_PARTS = {
  'v1': dict(
    output_stride=8,
    head='large_fov',
    head_channels=1024,
    atrous_rates=(6,),  # 12 at output stride 8
    dropout=0.5,
    decoder='none',
  ),
  'v2': dict(
    output_stride=8,
    head='aspp_sum',
    atrous_rates=(3, 6, 9, 12),  # 6, 12, 18, 24 at output stride 8
    decoder='none',
    input_scales=(1.0, 0.75, 0.5),
  ),
  'v3': dict(head='aspp', atrous_rates=(6, 12, 18), decoder='none'),
  'v3plus': dict(head='aspp', atrous_rates=(6, 12, 18), decoder='v3plus'),
  'unet': dict(head='none', atrous_rates=(), decoder='unet'),
}
_UNET_PAPER = dict(
  dropout=0.5,
  unet_channels=(512, 256, 128, 64),
  unet_upsampling='transposed',
)
# Five levels over another encoder, as segmentation_models_pytorch has them.
_UNET_OVER_ENCODER = dict(
  output_stride=32,
  dropout=0.0,
  unet_channels=(256, 128, 64, 32, 16),
  logits_size=3,
)


def build(
  name: str,
  *,
  num_classes: int,
  encoder: str | None = None,
  variant: str | int | float | None = None,
  **options: Any,
) -> 'flax.linen.Module':
  """Builds a network of the family, for a training loop of your own.

  >>> import deeplax
  >>> from deeplax import models
  >>> network = deeplax.build(
  ...   'v3plus', encoder='mobilenet_v2', variant=0.25, num_classes=19
  ... )
  >>> variables = models.initialize(network, seed=0)
  >>> sorted(variables)
  ['batch_stats', 'params']
  >>> import jax, numpy as np
  >>> images = np.zeros((2, 64, 96, 3), np.uint8)  # RGB, 0..255
  >>> logits, endpoints = jax.jit(
  ...   lambda v, x: network.apply(v, x, train=False)
  ... )(variables, images)
  >>> logits.shape, logits.dtype.name  # at the decoder's stride, here 4
  ((2, 16, 24, 19), 'float32')

  The network normalises pictures itself. `models.initialize` draws what
  `network.init(key, images, train=False)` would, without compiling. In training
  `network.apply(variables, images, train=True, rngs={'dropout': key},
  mutable=['batch_stats'])` gives `((logits, endpoints), changes)`;
  `deeplax.ops.resize.resize` brings logits to the size of the labels.

  | name | head and decoder | by default over |
  |---|---|---|
  | `v1` | LargeFOV, stride 8 | VGG `16_large_fov` |
  | `v2` | ASPP as a sum, three scales of the picture, stride 8 | `101_caffe` |
  | `v3` | ASPP with the picture's mean; multi-grid 1, 2, 4 | `101_slim` |
  | `v3plus` | the same without multi-grid, and a decoder | ResNet `101` |
  | `unet` | up-convolutions and skips | the paper's own |

  Over Xception V3+ is separable, as its paper's. U-Net over an encoder of
  another kind has five levels with batch norm. What belongs to the authors'
  weights and recipes (`align_corners`, `input_norm`, statistics of batch norm)
  is not set here; configs/*.py say it.

  Args:
    name: `'v1'`, `'v2'`, `'v3'`, `'v3plus'` or `'unet'`.
    num_classes: Channels of the logits.
    encoder: `'resnet'`, `'vgg'`, `'xception'`, `'mobilenet_v2'`, `'unet'`.
    variant: Of that encoder, `101`, `'50_slim'`; to be given with `encoder`.
    **options: Other keys of `config.model`, see `models.options.Options`.

  Returns:
    A Flax module: `apply(variables, image, *, train) -> (logits, endpoints)`.

  Raises:
    ConfigError: A name, variant, key or combination that does not exist.
  """
  if name not in _PARTS:
    raise ConfigError(
      f'there is no network {name!r}; there are: {", ".join(_PARTS)}.'
    )
  chosen = dict(_ENCODERS[name])
  if encoder is not None and encoder != chosen['encoder']:
    chosen = dict(encoder=encoder, variant='')
  if variant is not None:
    chosen['variant'] = str(variant)
  keys = {**_PARTS[name], **_that_go_with(name, **chosen), **chosen, **options}
  try:
    return models.build(num_classes, **keys)
  except ValueError as error:
    raise ConfigError(f'{name}: {error}') from error


def _that_go_with(name: str, encoder: str, variant: str) -> dict[str, Any]:
  """Options of a paper that hang on the encoder."""
  if name == 'v3' and _has_three_last_units(encoder, variant):
    return dict(multi_grid=(1, 2, 4))
  if name == 'v3plus' and encoder == 'xception':
    return dict(head_separable=True, decoder_separable=True)
  if name == 'unet' and encoder == 'unet':
    return dict(_UNET_PAPER, unet_bn=variant == 'bn')
  return _UNET_OVER_ENCODER if name == 'unet' else {}


def _has_three_last_units(encoder, variant):
  depth = re.match(r'\d+', variant)
  if encoder == 'xception':
    return True
  return encoder == 'resnet' and depth is not None and int(depth[0]) >= 50
