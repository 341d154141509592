"""Makes pretrained.npz: networks of other projects, weights drawn by name.

In an environment of its own; deeplax takes no part but in drawing the numbers:

    python -m venv /tmp/torch
    /tmp/torch/bin/pip install torch==2.14.1 torchvision==0.29.1 timm==1.0.31 \\
      segmentation-models-pytorch==0.6.0 jax flax
    PYTHONPATH=. /tmp/torch/bin/python tests/golden/pretrained_torch.py

`tests/pretrained/test_pytorch_golden.py` draws the same weights and pictures
again, writes a file of them, converts it, and compares. Of each network there
are the names and shapes of all tensors of its state_dict, and some channels or
pixels of what it computes.
"""

import json
import pathlib

import numpy as np
import segmentation_models_pytorch as smp
import timm
import torch
import torchvision

from tests.models import torch_networks
from tests.models.torch_weights import picture

SEED = 0
PATH = pathlib.Path(__file__).with_name('pretrained.npz')
# Height and width of the pictures.
SIZES = {
  'deeplabv3_resnet50': (17, 321),
  'vgg16_bn': (33, 49),
  'mobilenet_v2': (33, 49),
  'xception41': (33, 49),
  'smp_deeplabv3_resnet18': (16, 328),
  'smp_deeplabv3plus_resnet18': (32, 400),
  'smp_unet_resnet18': (33, 49),
  'smp_unet_vgg16': (33, 49),
}


def deeplabv3_resnet50(module, x):
  """Both logits, at the size of the picture."""
  y = module(x)
  return {name: y[name][..., ::4, ::16] for name in ('out', 'aux')}


def vgg16_bn(module, x):
  """Blocks 2 to 5 before their pools, and the last one after it."""
  seen = []
  for layer in module.features:
    if isinstance(layer, torch.nn.MaxPool2d):
      seen.append(x)
    x = layer(x)
  return _stages([*seen[1:], x])


def mobilenet_v2(module, x):
  """The last features of each resolution."""
  seen = []
  for n, layer in enumerate(module.features):
    x = layer(x)
    if n in (1, 3, 6, 13, 18):
      seen.append(x)
  return _stages(seen)


def xception41(module, x):
  """What each block of stride 2 reads, and the last features."""
  seen, x = [], module.stem(x)
  for block in module.blocks:
    if block.stack.conv3.conv_dw.stride == (2, 2):
      seen.append(x)
    x = block(x)
  return _stages([*seen, x])


def smp_logits(module, x):
  """Logits at the size of the picture."""
  y = module(x)
  return {'out': y[..., :: 1 + y.shape[2] // 12, :: 1 + y.shape[3] // 24]}


def _stages(features):
  """24 channels of each, and at most 100 pixels or so."""
  result = {}
  for n, y in enumerate(features, 1):
    step = 1 + y.shape[2] // 8
    result[f'stage{n}'] = y[:, :: y.shape[1] // 24 + 1, ::step, ::step]
  return result


def networks():
  """Name -> the module, what it computes, whether pictures are in -1..1."""
  segmentation = torchvision.models.segmentation
  keys = dict(encoder_weights=None, classes=5)
  deeplab = segmentation.deeplabv3_resnet50(
    weights=None, weights_backbone=None, num_classes=9, aux_loss=True
  )
  vgg = torchvision.models.vgg16_bn(num_classes=7)
  for n in (0, 3, 6):  # its first layer has 100 million numbers
    vgg.classifier[n] = torch.nn.Linear(2, 2)
  mobilenet = torchvision.models.mobilenet_v2(num_classes=7)
  xception = timm.create_model('xception41', num_classes=7)
  v3, v3_plus, unet = smp.DeepLabV3, smp.DeepLabV3Plus, smp.Unet
  return {
    'deeplabv3_resnet50': (deeplab, deeplabv3_resnet50, False),
    'vgg16_bn': (vgg, vgg16_bn, False),
    'mobilenet_v2': (mobilenet, mobilenet_v2, False),
    'xception41': (xception, xception41, True),
    'smp_deeplabv3_resnet18': (v3('resnet18', **keys), smp_logits, False),
    'smp_deeplabv3plus_resnet18': (
      v3_plus('resnet18', aux_params=dict(classes=3), **keys),
      lambda module, x: smp_logits(lambda x: module(x)[0], x),
      False,
    ),
    'smp_unet_resnet18': (unet('resnet18', **keys), smp_logits, False),
    'smp_unet_vgg16': (unet('vgg16', **keys), smp_logits, False),
  }


def main():
  arrays = {}
  for name, (module, compute, symmetric) in networks().items():
    torch_networks.load(module.eval(), seed=SEED)
    image = picture(*SIZES[name])
    x = torch_networks.normalized(image)
    if symmetric:
      x = torch.as_tensor(image).permute(0, 3, 1, 2) / 127.5 - 1
    shapes = {n: list(t.shape) for n, t in module.state_dict().items()}
    arrays[f'{name}/tensors'] = np.frombuffer(
      json.dumps(shapes).encode(), np.uint8
    )
    for what, y in compute(module, x).items():
      arrays[f'{name}/{what}'] = np.moveaxis(y.numpy(), 1, -1)
  np.savez_compressed(PATH, **arrays)
  print(f'{PATH}: {PATH.stat().st_size} bytes')
  for name, array in arrays.items():
    print(name, array.shape)


if __name__ == '__main__':
  with torch.no_grad():
    main()
