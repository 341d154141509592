"""timm: Aligned Xception and ResNets, classifiers as encoders.

| file                | config.model                                         |
|---------------------|------------------------------------------------------|
| xception41, 65, 71  | encoder='xception', variant='41', '65' or '71',      |
|                     | encoder_bn_epsilon=1e-3, input_norm='symmetric'      |
| resnet18 to 152     | encoder='resnet', variant='18' to '152'              |
| resnet50c, 101c,    | encoder='resnet', variant='50_v1c', '101_v1c',       |
| 152c                | '152_v1c'                                            |

ResNets have input_norm='imagenet' and bn_epsilon=1e-5, the defaults, but for
resnet34.ra4_e3600_r224_in1k, whose input_norm is 'symmetric'. Head and decoder
start afresh, but for the classifier itself: head='global_pool', decoder='none'.

Not taken: resnet*d and resnet*t, whose shortcuts average before they reduce;
resnet*s, whose wider root no variant has with these strides; xception41p and
65p, with batch norm before each convolution; xception71 that was built with
output_stride=8, whose fifth block then lacks its shortcut. resnetblur* and
resnetaa* have the very names and shapes of resnet*, but filters between layers
that no tensor tells of: they would be taken, and give other results.
"""

import dataclasses
import pathlib
import re

from deeplax.errors import WeightsError
from deeplax.models.options import Options
from deeplax.pretrained import pytorch, torch_encoders, torchvision
from deeplax.pretrained.filling import File, Found

# A tensor -> what a file that has it is.
_OTHERS = (
  (
    r'layer\d\.0\.downsample\.2\.weight',
    'of resnet*d or resnet*t: their shortcuts average before they reduce',
  ),
  (
    r'blocks\.0\.norm\.weight',
    'of xception*p: batch norm precedes its convolutions',
  ),
  (r'layer1\.0\.se\..*', 'of a network with squeeze-and-excitation'),
)
_WIDE_ROOT = (
  'of resnet*s: its root has 64, 64, 128 channels, as that of the variants '
  '_beta, whose strides are others'
)


def read(path: pathlib.Path) -> File:
  """See `pytorch.read`; an error also for networks known not to fit."""
  file = pytorch.read(path)
  for pattern, what in _OTHERS:
    for name in file.tensors:
      if re.fullmatch(pattern, name):
        raise _other(file, name, what)
  root = 'conv1.0.weight'
  if root in file.tensors and file.tensors[root].shape[0] == 64:
    raise _other(file, root, _WIDE_ROOT)
  mine = (r'(head\.)?fc\.(weight|bias)', torchvision.CLASSIFIER)
  return dataclasses.replace(file, left_out=(mine, *file.left_out))


def adapt(file: File, options: Options) -> File:
  """Compares what no tensor tells of with the config.

  Raises:
    WeightsError: The classifier is taken whole, and would give other scores.
  """
  encoder = torch_encoders.recognise(file)
  if encoder:
    whole = torchvision.is_classifier(file, options, 'fc', 'head.fc')
    publisher = 'timm'
    if encoder.variant == '34':
      publisher += ' (but for resnet34.ra4_e3600_r224_in1k: symmetric)'
    network = {} if whole else None
    torch_encoders.check(file, options, encoder, network, publisher)
  return file


def find(path: str, file: File) -> Found | None:
  """What of the file becomes our `path`."""
  rules = (
    *(_DEEP_ROOT if 'conv1.0.weight' in file.tensors else ()),
    *torchvision.resnet(''),
    *_xception(file),
    *torchvision.classifier(file, 'fc', 'head.fc'),
  )
  return pytorch.find(path, rules)


def _other(file: File, name: str, what: str) -> WeightsError:
  return WeightsError(
    f'{file.name} is {what} (it has {name}). No encoder here is that network: '
    'there are xception41, 65, 71, resnet18 to 152 and resnet*c.'
  )


# The last batch norm of three convolutions stands outside of them.
_DEEP_ROOT = (
  (
    r'encoder/stage1/(conv|bn)([12])',
    lambda m: f'conv1.{3 * int(m[2]) - 3 + (m[1] == "bn")}',
  ),
  (r'encoder/stage1/conv3', 'conv1.6'),
  (r'encoder/stage1/bn3', 'bn1'),
)


def _xception(file: File) -> pytorch.Rules:
  """Blocks are counted through all flows; how long these are, files tell."""
  numbers = {
    int(match[1])
    for name in file.tensors
    if (match := re.match(r'blocks\.(\d+)\.', name))
  }
  blocks = max(numbers, default=0) + 1
  entry = 0
  while f'blocks.{entry}.shortcut.conv.weight' in file.tensors:
    entry += 1
  before = {'entry': 0, 'middle': entry, 'exit': blocks - 2}

  def block(match):
    return f'blocks.{before[match[1]] + int(match[2]) - 1}'

  unit = r'encoder/(entry|middle|exit)/unit(\d+)'
  short = {'depthwise': 'dw', 'pointwise': 'pw'}
  return (
    (
      r'encoder/root([12])/(conv|bn)',
      lambda m: f'stem.{int(m[1]) - 1}.{m[2]}',
    ),
    (
      rf'{unit}/conv(\d)/(depthwise|pointwise)/(conv|bn)',
      lambda m: f'{block(m)}.stack.conv{m[3]}.{m[5]}_{short[m[4]]}',
    ),
    (rf'{unit}/shortcut/(conv|bn)', lambda m: f'{block(m)}.shortcut.{m[3]}'),
  )
