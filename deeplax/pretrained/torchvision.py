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

All with input_norm='imagenet' and bn_epsilon=1e-5, the defaults. A classifier
has no head and decoder: these start afresh. With head='global_pool' and
decoder='none' the network is the classifier of resnet* and mobilenet_v2, and
its last layer is taken, too.

To go on training as torchvision does: bn_unbiased=True, dropout=0.5.
"""

import dataclasses
import pathlib

from deeplax.pretrained import pytorch
from deeplax.pretrained.filling import File, Found

CLASSIFIER = 'the image classifier: the network of this config has none'
_NO_AUXILIARY = 'the config has no auxiliary head'
# Convolutions of VGG-16 before each pool.
_VGG = (2, 2, 3, 3, 3)
# Number of MobileNetV2's `features` before the first unit of each stage, less
# one: stages are numbered from 1, and so are units.
_MOBILENET = {1: 0, 2: 1, 3: 3, 4: 6, 5: 13}


def read(path: pathlib.Path) -> File:
  """See `pytorch.read`."""
  file = pytorch.read(path)
  if _is_deeplab(file):
    mine = ((r'aux_classifier\..*', _NO_AUXILIARY),)
  else:
    mine = ((r'(fc|classifier\.\d)\.(weight|bias)', CLASSIFIER),)
  return dataclasses.replace(file, left_out=(*mine, *file.left_out))


def find(path: str, file: File) -> Found | None:
  """What of the file becomes our `path`."""
  if _is_deeplab(file):
    rules = (*resnet('backbone.'), *aspp('classifier.0.'), *_DEEPLAB)
  else:
    rules = (*resnet(''), *vgg('', file), *mobilenet_v2(''))
    rules += classifier(file, 'fc', 'classifier.1')
  return pytorch.find(path, rules)


def _is_deeplab(file: File) -> bool:
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
