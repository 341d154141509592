"""Converted files against stored figures: `golden/pretrained_torch.py`.

The files are written here, with every tensor of the original's state_dict
drawn by its name; PyTorch is not needed.
"""

import json
import pathlib

import numpy as np
import pytest
import safetensors.numpy

from deeplax import models, pretrained
from deeplax.ops.resize import resize
from tests.models import torch_weights
from tests.models.torch_weights import picture
from tests.pretrained.checks import TOLERANCE, check, error

GOLDEN = pathlib.Path(__file__).parents[1] / 'golden' / 'pretrained.npz'
SEED = 0
CLASSIFIER = dict(
  head='global_pool', decoder='none', output_stride=32, dropout=0.0
)
# File -> source, classes, config.model, size of the picture.
ENCODERS = {
  'vgg16_bn': ('torchvision', dict(encoder='vgg', variant='16_bn')),
  'mobilenet_v2': (
    'torchvision',
    dict(encoder='mobilenet_v2', variant='1.0_1280'),
  ),
  'xception41': (
    'timm',
    dict(
      encoder='xception',
      variant='41',
      encoder_bn_epsilon=1e-3,
      input_norm='symmetric',
    ),
  ),
}
UNET = dict(head='none', decoder='unet', output_stride=32, logits_size=3)
NETWORKS = {
  'smp_deeplabv3_resnet18': (
    (16, 328),
    dict(
      variant='18_course',
      head_conv3x3=True,
      decoder='none',
      output_stride=8,
      align_corners=True,
    ),
  ),
  'smp_deeplabv3plus_resnet18': (
    (32, 400),
    dict(
      variant='18_course',
      atrous_rates=(12, 24, 36),
      head_separable=True,
      head_conv3x3=True,
      decoder_separable=True,
      decoder_layers=1,
      separable_inner_bn=False,
      align_corners=True,
    ),
  ),
  'smp_unet_resnet18': ((33, 49), dict(variant='18', **UNET)),
  'smp_unet_vgg16': (
    (33, 49),
    dict(encoder='vgg', variant='16', unet_center=True, **UNET),
  ),
}


@pytest.fixture(scope='module')
def golden():
  with np.load(GOLDEN) as arrays:
    return dict(arrays)


def shapes(golden, name):
  """Name -> shape of the tensors of the original's state_dict."""
  return json.loads(golden[f'{name}/tensors'].tobytes())


def convert(shapes, name, source, classes, keys, path):
  """Our network, its variables, and the report."""
  tensors = {}
  for n, shape in shapes.items():
    if n.endswith('num_batches_tracked'):
      tensors[n] = np.zeros(shape, np.int64)
    else:
      drawn = torch_weights.draw(n, tuple(shape), SEED)
      tensors[n] = np.ascontiguousarray(drawn, np.float32)
  file = path / f'{name}.safetensors'
  safetensors.numpy.save_file(tensors, file)
  model = models.build(classes, **keys)
  variables, report = pretrained.fill(
    source,
    pretrained.read(source, file),
    models.initialize(model, seed=1),
    options=keys,
  )
  file.unlink()
  return model, variables, report


def scores(report):
  """Tensors left out, PyTorch's counters not among them."""
  return [n for n, _ in report.left_out if 'num_batches_tracked' not in n]


@pytest.mark.parametrize('name', ENCODERS)
def test_encoder(name, golden, tmp_path):
  source, keys = ENCODERS[name]
  model, variables, report = convert(
    shapes(golden, name), name, source, 7, {**CLASSIFIER, **keys}, tmp_path
  )
  if name == 'vgg16_bn':
    assert scores(report) == [
      n for n in sorted(shapes(golden, name)) if n.startswith('classifier')
    ]
    assert {p for p, _ in report.missing} == {
      'params/logits/kernel',
      'params/logits/bias',
    }
  else:
    assert not scores(report) and not report.missing
  _, endpoints = model.apply(variables, picture(33, 49), train=False)
  for n in range(1, 6):
    x = endpoints[f'stage{n}']
    step, channels = 1 + x.shape[1] // 8, x.shape[-1] // 24 + 1
    x = x[:, ::step, ::step, ::channels]
    check(f'stage{n}', x, golden[f'{name}/stage{n}'])


@pytest.mark.parametrize(
  'there, here', [(True, True), (True, False), (False, True)]
)
def test_deeplabv3_resnet50(there, here, golden, tmp_path):
  """Whether or not the file, and the config, have an auxiliary head."""
  name = 'deeplabv3_resnet50'
  keys = dict(
    variant='50',
    output_stride=8,
    head_conv3x3=True,
    decoder='none',
    auxiliary=here,
  )
  tensors = shapes(golden, name)
  of_head = {n for n in tensors if n.startswith('aux_classifier.')}
  if not there:
    tensors = {n: s for n, s in tensors.items() if n not in of_head}
  model, variables, report = convert(
    tensors, name, 'torchvision', 9, keys, tmp_path
  )
  left_out, missing = dict(report.left_out), dict(report.missing)
  if there and not here:
    assert {*left_out} >= of_head
    assert {left_out[n] for n in scores(report)} == {
      'the config has no auxiliary head'
    }
  else:
    assert not scores(report)
  assert {p.split('/')[1] for p in missing} == (
    set() if there else {'auxiliary'}
  )
  image = picture(17, 321)
  logits, endpoints = model.apply(variables, image, train=False)
  found = {'out': logits}
  if there and here:
    found['aux'] = endpoints['auxiliary']
  for what, x in found.items():
    x = resize(x, image.shape[1:3])[:, ::4, ::16]
    check(what, x, golden[f'{name}/{what}'])


def smp_logits(golden, name, path, **changes):
  """Of a network with `changes`, with the weights of the right one."""
  size, keys = NETWORKS[name]
  model, variables, report = convert(
    shapes(golden, name), name, 'smp', 5, keys, path
  )
  assert not report.missing
  assert {n.split('.')[0] for n in scores(report)} <= {'classification_head'}
  model = models.build(5, **{**keys, **changes})
  image = picture(*size)
  logits, _ = model.apply(variables, image, train=False)
  x = model.grid.resize(logits, size)
  return x[:, :: 1 + size[0] // 12, :: 1 + size[1] // 24]


@pytest.mark.parametrize('name', NETWORKS)
def test_smp(name, golden, tmp_path):
  check('logits', smp_logits(golden, name, tmp_path), golden[f'{name}/out'])


@pytest.mark.parametrize(
  'changes',
  [
    dict(align_corners=False),
    dict(variant='18'),  # rate 1 where all have 2
    dict(atrous_rates=(6, 12, 18)),
    dict(output_stride=8),  # at which the first convolutions are others
    dict(bn_epsilon=1e-3),
    dict(bn_epsilon=1e-3, encoder_bn_epsilon=1e-5),
    dict(encoder_bn_epsilon=1e-3),
    dict(multi_grid=(1, 2)),
    dict(image_pooling_window=(32, 128)),
    dict(input_scales=(1.0, 0.5)),
    dict(bounded_activation=True),
  ],
  ids=str,
)
def test_a_wrong_key_is_found_out(changes, golden, tmp_path):
  name = 'smp_deeplabv3plus_resnet18'
  found = smp_logits(golden, name, tmp_path, **changes)
  assert error(found, golden[f'{name}/out']) > 10 * TOLERANCE
