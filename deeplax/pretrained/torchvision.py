"""torchvision: classifiers as encoders, and its `deeplabv3_*`.

| file                 | config.model                                        |
|----------------------|-----------------------------------------------------|
| resnet18 to 152      | encoder='resnet', variant='18' to '152'             |
| vgg16                | encoder='vgg', variant='16' or '16_large_fov'       |
| vgg16_bn             | encoder='vgg', variant='16_bn'                      |
| mobilenet_v2         | encoder='mobilenet_v2', variant='1.0_1280'          |
| deeplabv3_resnet50,  | variant='50' or '101', output_stride=8,             |
| deeplabv3_resnet101  | head_conv3x3=True, decoder='none', auxiliary=True   |
|                      | if its auxiliary head is wanted, too                |

All with input_norm='imagenet' and bn_epsilon=1e-5, the defaults; vgg16 of
IMAGENET1K_FEATURES with input_norm='vgg'. A classifier has no head and decoder:
these start afresh. With head='global_pool' and decoder='none' the network is
the classifier of resnet* and mobilenet_v2, and its last layer is taken, too.
DeepLabV3 is taken whole, with atrous_rates=(6, 12, 18), at any output stride;
training can go on from it with another decoder by `init_from`.

To go on training as torchvision does: bn_unbiased=True, dropout=0.5.
"""

import dataclasses
import pathlib

from deeplax.errors import WeightsError
from deeplax.models.options import Options
from deeplax.pretrained import pytorch, torch_encoders
from deeplax.pretrained.filling import File, Found

CLASSIFIER = 'the image classifier: the network of this config has none'
# A tensor of its other networks for segmentation -> what they are.
_OTHERS = {
  'backbone.0.0.weight': 'its encoder is MobileNetV3',
  'classifier.0.weight': 'it is an FCN',
}
_NO_AUXILIARY = 'the config has no auxiliary head'
# Convolutions of VGG-16 before each pool.
_VGG = (2, 2, 3, 3, 3)
# Number of MobileNetV2's `features` before the first unit of each stage, less
# one: stages are numbered from 1, and so are units.
_MOBILENET = {1: 0, 2: 1, 3: 3, 4: 6, 5: 13}


def read(path: pathlib.Path) -> File:
  """See `pytorch.read`; an error also for networks known not to fit."""
  file = pytorch.read(path)
  if _has_backbone(file):
    for name, what in _OTHERS.items():
      if name in file.tensors:
        raise WeightsError(
          f'{file.name} has {name}: {what}. Of the segmentations of '
          'torchvision, deeplabv3_resnet50 and 101 are taken.'
        )
    mine = ((r'aux_classifier\..*', _NO_AUXILIARY),)
  else:
    mine = ((r'(fc|classifier\.\d)\.(weight|bias)', CLASSIFIER),)
  return dataclasses.replace(file, left_out=(*file.left_out, *mine))


def adapt(file: File, options: Options) -> File:
  """Compares what no tensor tells of with the config.

  Raises:
    WeightsError: The whole network is taken, and would give other results.
  """
  prefix = 'backbone.' if _has_backbone(file) else ''
  encoder = torch_encoders.recognise(file, prefix)
  if encoder:
    network = None
    if 'classifier.0.project.0.weight' in file.tensors:
      network = _DEEPLAB_KEYS
    elif is_classifier(file, options, 'fc', 'classifier.1'):
      network = {}
    publisher = 'torchvision'
    if encoder.variant == '16':
      publisher += " (but for VGG-16's IMAGENET1K_FEATURES: vgg)"
    torch_encoders.check(file, options, encoder, network, publisher)
  return file


def find(path: str, file: File) -> Found | None:
  """What of the file becomes our `path`."""
  if _has_backbone(file):
    rules = (*resnet('backbone.'), *aspp('classifier.0.'), *_DEEPLAB)
  else:
    rules = (*resnet(''), *vgg('', file), *mobilenet_v2(''))
    rules += classifier(file, 'fc', 'classifier.1')
  return pytorch.find(path, rules)


def _has_backbone(file: File) -> bool:
  return any(name.startswith('backbone.') for name in file.tensors)


_DEEPLAB = (
  (r'head/conv3x3/(conv|bn)', lambda m: f'classifier.{1 + (m[1] == "bn")}'),
  (r'logits', 'classifier.4'),
  (
    r'auxiliary/conv1/(conv|bn)',
    lambda m: f'aux_classifier.{int(m[1] == "bn")}',
  ),
  (r'auxiliary/logits', 'aux_classifier.4'),
)


# What its DeepLabV3 is, over either encoder.
_DEEPLAB_KEYS = {
  'head': 'aspp',
  'atrous_rates': (6, 12, 18),
  'head_bias': False,
  'head_separable': False,
  'head_conv3x3': True,
  'image_pooling': True,
  'image_pooling_window': (),
  'decoder': 'none',
  'decoder_separable': False,
  'bounded_activation': False,
  'align_corners': False,
  'half_pixel_centers': True,
  'bn_epsilon': 1e-5,
}


def is_classifier(file: File, options: Options, *names: str) -> bool:
  """Whether a classifier is taken with its last layer, one of `names`."""
  pooled = options.head == 'global_pool' and options.decoder == 'none'
  there = any(f'{name}.weight' in file.tensors for name in names)
  return pooled and there and not options.auxiliary


def classifier(file: File, *names: str) -> pytorch.Rules:
  """The last layer, if ours, too, is a classifier: an encoder and logits."""
  parts = {path.split('/')[1] for path in file.ours}
  there = [name for name in names if f'{name}.weight' in file.tensors]
  if parts == {'encoder', 'logits'} and there:
    return ((r'logits', there[0]),)
  return ()


def resnet(prefix: str) -> pytorch.Rules:
  """Names of a ResNet below `prefix`; other projects have them, too."""

  def unit(match):
    return f'{prefix}layer{int(match[1]) - 1}.{int(match[2]) - 1}'

  return (
    (r'encoder/stage1/(conv1|bn1)', rf'{prefix}\1'),
    (
      r'encoder/stage(\d)/unit(\d+)/(conv\d|bn\d)',
      lambda m: f'{unit(m)}.{m[3]}',
    ),
    (
      r'encoder/stage(\d)/unit(\d+)/shortcut/(conv|bn)',
      lambda m: f'{unit(m)}.downsample.{int(m[3] == "bn")}',
    ),
  )


def vgg(prefix: str, file: File) -> pytorch.Rules:
  """Names of VGG-16 below `prefix`, which depend on its having batch norm."""
  batch_norm = f'{prefix}features.1.weight' in file.tensors
  layers = 3 if batch_norm else 2  # a convolution, batch norm, ReLU

  def name(match):
    block, number = int(match[1]) - 1, int(match[3]) - 1
    before = sum(layers * convs + 1 for convs in _VGG[:block])
    at = before + layers * number + (match[2] == 'bn')
    return f'{prefix}features.{at}'

  return ((r'encoder/block(\d)/(conv|bn)(\d)', name),)


def mobilenet_v2(prefix: str) -> pytorch.Rules:
  """Names of MobileNetV2 below `prefix`."""

  def unit(match):
    stage, number, layer = int(match[1]), int(match[2]), match[3]
    first = {'expand': 0, 'depthwise': 1, 'project': 2}[layer]
    if stage == 1:  # its one unit does not expand
      first -= 1
    is_bn = int(match[4] == 'bn')
    # The last pair is not wrapped in a module of its own.
    pair = f'{first + is_bn}' if layer == 'project' else f'{first}.{is_bn}'
    return f'{prefix}features.{_MOBILENET[stage] + number}.conv.{pair}'

  return (
    (
      r'encoder/stage1/root/(conv|bn)',
      lambda m: f'{prefix}features.0.{int(m[1] == "bn")}',
    ),
    (
      r'encoder/stage(\d)/unit(\d+)/(expand|depthwise|project)/(conv|bn)',
      unit,
    ),
    (
      r'encoder/stage5/last/(conv|bn)',
      lambda m: f'{prefix}features.18.{int(m[1] == "bn")}',
    ),
  )


def aspp(prefix: str) -> pytorch.Rules:
  """Names of the pyramid below `prefix`."""
  return (
    (
      r'head/aspp/branch(\d)/(conv|bn)',
      lambda m: f'{prefix}convs.{m[1]}.{int(m[2] == "bn")}',
    ),
    (
      r'head/aspp/image_pooling/(conv|bn)',
      lambda m: f'{prefix}convs.4.{1 + (m[1] == "bn")}',
    ),
    (
      r'head/project/(conv|bn)',
      lambda m: f'{prefix}project.{int(m[1] == "bn")}',
    ),
  )
