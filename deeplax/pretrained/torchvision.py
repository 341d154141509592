"""torchvision: classifiers as encoders, and its `deeplabv3_*`.

resnet18 ... resnet152    --config.model.variant=18 ... 152
vgg16, vgg16_bn           encoder vgg, variant 16, 16_bn or 16_large_fov
mobilenet_v2              encoder mobilenet_v2, variant 1.0_1280
deeplabv3_resnet50, 101   head_conv3x3=True, decoder='none',
                          output_stride=8, with `auxiliary` or without
"""

import pathlib
import re

from deeplax.pretrained import pytorch
from deeplax.pretrained.filling import File, Found

_LEFT_OUT = (
  (r'(fc|classifier\.\d)\.(weight|bias)', "the classifier of ImageNet's"),
)


def _resnet(prefix: str) -> pytorch.Rules:
  """Names of a ResNet below `prefix`, also in other sources."""
  return (
    (r'encoder/stage1/(conv|bn)(\d)', rf'{prefix}\1\2'),
    (
      r'encoder/stage(\d)/unit(\d+)/(conv\d|bn\d)',
      lambda m: f'{prefix}layer{int(m[1]) - 1}.{int(m[2]) - 1}.{m[3]}',
    ),
    (
      r'encoder/stage(\d)/unit(\d+)/shortcut/(conv|bn)',
      lambda m: (
        f'{prefix}layer{int(m[1]) - 1}.{int(m[2]) - 1}.downsample.'
        f'{int(m[3] == "bn")}'
      ),
    ),
  )


def read(path: pathlib.Path) -> File:
  """See `pytorch.read`."""
  return pytorch.read(path, _LEFT_OUT)


def find(path: str, file: File) -> Found | None:
  """What of the file becomes our `path`."""
  prefix = 'backbone.' if _is_deeplab(file) else ''
  return pytorch.finder(_resnet(prefix))(path, file)


def _is_deeplab(file: File) -> bool:
  return any(re.match(r'backbone\.', name) for name in file.tensors)
