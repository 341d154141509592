"""Files of PyTorch's networks without their numbers, and configs for them."""

import functools
import json
import pathlib
import re
import shlex

import numpy as np
from absl import flags
from ml_collections import config_flags

from configs import common
from deeplax.pretrained.filling import File
from tests.pretrained import resnets

GOLDEN = pathlib.Path(__file__).parents[1] / 'golden' / 'pretrained.npz'
POOLED = dict(head='global_pool', decoder='none', output_stride=32)
V3 = dict(output_stride=8, head_conv3x3=True, decoder='none')
V3_PLUS = dict(
  variant='18_course',
  atrous_rates=(12, 24, 36),
  head_separable=True,
  head_conv3x3=True,
  decoder_separable=True,
  decoder_layers=1,
  separable_inner_bn=False,
  align_corners=True,
)
UNET = dict(head='none', decoder='unet', output_stride=32, logits_size=3)
VGG = dict(encoder='vgg', variant='16', unet_center=True)
XCEPTION = dict(
  encoder='xception',
  variant='41',
  encoder_bn_epsilon=1e-3,
  input_norm='symmetric',
)
# Source and file -> config.model of the whole network that the file is.
WHOLE = {
  'torchvision resnet50': POOLED | dict(variant='50'),
  'torchvision mobilenet_v2': POOLED
  | dict(encoder='mobilenet_v2', variant='1.0_1280'),
  'torchvision deeplabv3_resnet50': V3 | dict(variant='50'),
  'timm resnet18': POOLED | dict(variant='18'),
  'timm xception41': POOLED | XCEPTION,
  'smp smp_deeplabv3_resnet18': V3
  | dict(variant='18_course', align_corners=True),
  'smp smp_deeplabv3plus_resnet18': V3_PLUS,
  'smp smp_unet_resnet18': UNET | dict(variant='18'),
  'smp smp_unet_vgg16': UNET | VGG,
}
# The same, whose encoder alone is taken, by the network of the default.
ALONE = {
  'torchvision resnet50': dict(variant='50'),
  'torchvision vgg16_bn': dict(encoder='vgg', variant='16_bn'),
  'torchvision vgg16': dict(encoder='vgg', variant='16'),
  'torchvision mobilenet_v2': dict(encoder='mobilenet_v2', variant='1.0_1280'),
  'timm resnet18': dict(variant='18'),
  'timm xception41': XCEPTION,
}


@functools.cache
def shapes(name):
  """Name -> shape of a file's tensors."""
  if name.startswith('resnet'):
    tensors = resnets.tensors(name.removeprefix('resnet'))
    return {n: x.shape for n, x in tensors.items()}
  with np.load(GOLDEN) as arrays:
    if name != 'vgg16':
      return json.loads(arrays[f'{name}/tensors'].tobytes())
    unet = json.loads(arrays['smp_unet_vgg16/tensors'].tobytes())
  prefix = 'encoder.'
  return {
    n.removeprefix(prefix): s for n, s in unet.items() if n.startswith(prefix)
  }


def file(name):
  """Of that name, all zeros."""
  return zeros(shapes(name))


def zeros(shapes):
  """Of tensors of these shapes."""
  return File(
    'w.pth', {n: np.broadcast_to(np.float32(0), s) for n, s in shapes.items()}
  )


def parsed(keys, message):
  """`keys` with the flags of a message, as a command would read them."""
  given = re.findall(r"--config\.model\.\w+=(?:'[^']*'|[\w.-]+)", message)
  assert given
  config = common.base()
  config.model.update(keys)
  argv = ['convert', *(word for flag in given for word in shlex.split(flag))]
  values = flags.FlagValues()
  config_flags.DEFINE_config_dict(
    'config', config, flag_values=values, sys_argv=argv
  )
  values(argv)
  model = config.model.to_dict()
  del model['name']
  return model
