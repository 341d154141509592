"""segmentation_models_pytorch: Unet, DeepLabV3 and DeepLabV3Plus.

By the encoder's name there:

| encoder_name     | config.model                                            |
|------------------|---------------------------------------------------------|
| resnet18 to 152  | encoder='resnet'; variant='18_course' to '152_course'   |
|                  | of the DeepLabs, '18' to '152' of Unet                  |
| mobilenet_v2     | encoder='mobilenet_v2'; variant='1.0_smp' of the        |
|                  | DeepLabs, '1.0_1280' of Unet                            |
| vgg16, vgg16_bn  | encoder='vgg', variant='16', '16_bn'; of Unet only      |

and by the network:

| network          | config.model                                            |
|------------------|---------------------------------------------------------|
| DeepLabV3        | head_conv3x3=True, decoder='none', align_corners=True,  |
|                  | dropout=0.5, output_stride=8, as is its default         |
| DeepLabV3Plus    | head_separable=True, head_conv3x3=True,                 |
|                  | decoder='v3plus', decoder_separable=True,               |
|                  | decoder_layers=1, separable_inner_bn=False,             |
|                  | align_corners=True, dropout=0.5, output_stride=16       |
| Unet             | head='none', decoder='unet', output_stride=32,          |
|                  | logits_size=3, dropout=0.0; unet_center=True with vgg   |

`decoder_channels` of the DeepLabs is head_channels, and decoder_channels too
of DeepLabV3Plus; that of Unet is unet_channels. `decoder_use_norm=False` is
unet_bn=False. Its rates are the same at every output stride, and those here
are given for 16: `decoder_atrous_rates=(12, 24, 36)`, its default, is
atrous_rates=(12, 24, 36) at 16, and (6, 12, 18) at 8. The DeepLabs' features,
too, change with the output stride: weights belong to that of training. No
tensor tells of either; others than the defaults are taken with a warning.

`decoder_aspp_separable` is head_separable; the last 3x3 convolution of the
head follows decoder_separable.

Not taken: `tu-` encoders; attention; `encoder_depth` below 5. Unet with a
`decoder_interpolation` other than nearest has the same tensors, and would be
taken, but give other results.
"""

import dataclasses
import logging
import pathlib
from typing import Any

from deeplax.errors import WeightsError
from deeplax.models import atrous
from deeplax.models.options import Options
from deeplax.pretrained import pytorch, torch_encoders, torchvision
from deeplax.pretrained.filling import File, Found

log = logging.getLogger('deeplax')

# As they are applied, at any output stride.
_DEFAULT_RATES = (12, 24, 36)
_LEFT_OUT = (
  (
    r'classification_head\..*',
    'a classifier of whole pictures beside the segmentation',
  ),
)
# DeepLabV3's decoder was once a plain sequence.
_OLD_NAMES = {
  'decoder.0.': 'decoder.aspp.',
  'decoder.1.': 'decoder.conv.',
  'decoder.2.': 'decoder.bn.',
}


def read(path: pathlib.Path) -> File:
  """See `pytorch.read`; an error also for timm's encoders."""
  file = pytorch.read(path)
  for name in file.tensors:
    if name.startswith('encoder.model.'):
      raise WeightsError(
        f'{file.name} has {name}: its encoder is one of timm, `tu-...`. '
        'Expected one of: resnet18 to 152, vgg16, vgg16_bn, mobilenet_v2.'
      )
  return dataclasses.replace(
    file,
    tensors={_new_name(name): v for name, v in file.tensors.items()},
    left_out=(*_LEFT_OUT, *file.left_out),
  )


def adapt(file: File, options: Options) -> File:
  """Compares what no tensor tells of with the config.

  Raises:
    WeightsError: The network would take the weights, but give other results.
  """
  encoder = torch_encoders.recognise(file, 'encoder.')
  if encoder is None:
    return file
  network = None
  if f'{_pyramid(file)}project.0.weight' in file.tensors:
    network = _deeplab_keys(file)
    encoder = torch_encoders.dilated(encoder)
  elif 'decoder.blocks.0.conv1.0.weight' in file.tensors:
    network = _unet_keys(file)
  torch_encoders.check(file, options, encoder, network, 'SMP')
  if network and network['head'] == 'aspp':
    _check_rates(file, options)
  return file


def _is_plus(file: File) -> bool:
  return 'decoder.block1.0.weight' in file.tensors


def _pyramid(file: File) -> str:
  return 'decoder.aspp.0.' if _is_plus(file) else 'decoder.aspp.'


def _deeplab_keys(file: File) -> dict[str, Any]:
  """What DeepLabV3 or DeepLabV3Plus is, but for its rates and widths."""
  plus = _is_plus(file)
  separable = f'{_pyramid(file)}convs.1.0.0.weight' in file.tensors
  keys = {
    'head': 'aspp',
    'head_bias': False,
    'head_separable': separable,
    'head_conv3x3': True,
    'image_pooling': True,
    'image_pooling_window': (),
    'decoder': 'v3plus' if plus else 'none',
    'decoder_separable': plus,
    'logits_size': 1,
    'bounded_activation': False,
    'align_corners': True,
    'bn_epsilon': 1e-5,
  }
  if plus:
    keys['decoder_layers'] = 1
  if plus or separable:
    keys['separable_inner_bn'] = False
  return keys


def _unet_keys(file: File) -> dict[str, Any]:
  """What Unet is, but for its widths."""
  batch_norm = 'decoder.blocks.0.conv1.1.running_var' in file.tensors
  keys = {
    'head': 'none',
    'decoder': 'unet',
    'unet_upsampling': 'nearest',
    'unet_bn': batch_norm,
    'unet_center': 'decoder.center.0.0.weight' in file.tensors,
    'bounded_activation': False,
    'logits_size': 3,
  }
  if batch_norm:
    keys['bn_epsilon'] = 1e-5
  return keys


def _check_rates(file: File, options: Options) -> None:
  """Warns of a stride and rates that only a network built with them has."""
  stride = options.output_stride
  rates = atrous.scale_rates(options.atrous_rates, stride)
  default = 16 if _is_plus(file) else 8
  if (stride, rates) != (default, _DEFAULT_RATES):
    at_16 = tuple(rate * default // 16 for rate in _DEFAULT_RATES)
    log.warning(
      '%s: this config has output stride %d and rates %s at it, which is right '
      'only if the network was built with encoder_output_stride=%d and '
      'decoder_atrous_rates=%s. For its defaults give '
      "--config.model.output_stride=%d --config.model.atrous_rates='%s'",
      file.name, stride, rates, stride, rates, default, at_16,
    )  # fmt: skip


def find(path: str, file: File) -> Found | None:
  """What of the file becomes our `path`."""
  plus, pyramid = _is_plus(file), _pyramid(file)
  rules = (
    *torchvision.resnet('encoder.'),
    *torchvision.vgg('encoder.', file),
    *torchvision.mobilenet_v2('encoder.'),
    *torchvision.aspp(pyramid),
    *_separable(
      r'head/aspp/branch(\d)', rf'{pyramid}convs.\1.0', rf'{pyramid}convs.\1.1'
    ),
    *(_V3_PLUS if plus else _V3),
    *_UNET,
    (r'logits', 'segmentation_head.0'),
  )
  return pytorch.find(path, rules)


def _new_name(name: str) -> str:
  for old, new in _OLD_NAMES.items():
    if name.startswith(old):
      return new + name.removeprefix(old)
  return name


def _separable(ours: str, pair: str, norm: str) -> pytorch.Rules:
  """A pair of convolutions, and the batch norm behind it."""
  return (
    (rf'{ours}/depthwise', f'{pair}.0'),
    (rf'{ours}/pointwise/conv', f'{pair}.1'),
    (rf'{ours}/pointwise/bn', norm),
  )


_V3 = ((r'head/conv3x3/(conv|bn)', r'decoder.\1'),)
_V3_PLUS = (
  *_separable('head/conv3x3', 'decoder.aspp.1', 'decoder.aspp.2'),
  (
    r'decoder/low_level/(conv|bn)',
    lambda m: f'decoder.block1.{int(m[1] == "bn")}',
  ),
  *_separable('decoder/conv1', 'decoder.block2.0', 'decoder.block2.1'),
)
_UNET = (
  (
    r'decoder/center/(conv|bn)(\d)',
    lambda m: f'decoder.center.{int(m[2]) - 1}.{int(m[1] == "bn")}',
  ),
  (
    r'decoder/level(\d)/(conv|bn)(\d)',
    lambda m: f'decoder.blocks.{int(m[1]) - 1}.conv{m[3]}.{int(m[2] == "bn")}',
  ),
)
