"""Configs that take the weights of PyTorch's files, but are other networks.

What is refused here does change results: see `test_a_wrong_key_is_found_out`
of `test_pytorch_golden.py`.
"""

import importlib
import logging

import pytest

from deeplax.errors import WeightsError
from deeplax.models.options import Options
from deeplax.pretrained import timm
from tests.pretrained import torch_configs
from tests.pretrained.torch_configs import ALONE, V3_PLUS, WHOLE, parsed


@pytest.fixture
def adapt(caplog):
  """Compares a file with a config; returns what was warned of."""

  def run(which, keys):
    source, name = which.split()
    module = importlib.import_module(f'deeplax.pretrained.{source}')
    caplog.clear()
    module.adapt(torch_configs.file(name), Options.parse(5, **keys))
    return [record.getMessage() for record in caplog.records]

  caplog.set_level(logging.INFO, logger='deeplax')
  return run


@pytest.mark.parametrize('which', WHOLE)
def test_the_network_of_the_file(which, adapt):
  assert not adapt(which, WHOLE[which])


@pytest.mark.parametrize('output_stride', [8, 16, 32])
@pytest.mark.parametrize(
  'which', [which for which in WHOLE if 'smp_deeplab' not in which]
)
def test_any_output_stride(output_stride, which, adapt):
  assert not adapt(which, WHOLE[which] | dict(output_stride=output_stride))


@pytest.mark.parametrize(
  'which, changes, words',
  [
    (
      'torchvision resnet50',
      dict(encoder_bn_epsilon=1e-3),
      'encoder_bn_epsilon is 1e-05 there and 0.001 here',
    ),
    (
      'torchvision resnet50',
      dict(variant='50_caffe'),
      'variant is 50 there and 50_caffe here',
    ),
    ('torchvision resnet50', dict(variant='50_slim'), 'variant=50'),
    (
      'torchvision resnet50',
      dict(variant='50_course', output_stride=16),
      'variant=50',
    ),
    ('torchvision resnet50', dict(multi_grid=(1, 2, 4)), r"multi_grid='\(\)'"),
    (
      'torchvision resnet50',
      dict(encoder='xception', variant='65'),
      'encoder=resnet --config.model.variant=50',
    ),
    (
      'torchvision mobilenet_v2',
      dict(padding='same'),
      'padding is symmetric there and same here',
    ),
    (
      'torchvision mobilenet_v2',
      dict(variant='1.0_smp', output_stride=16),
      'variant=1.0_1280',
    ),
    (
      'torchvision deeplabv3_resnet50',
      dict(decoder='v3plus'),
      'decoder is none there and v3plus here',
    ),
    (
      'torchvision deeplabv3_resnet50',
      dict(atrous_rates=(12, 24, 36)),
      r'atrous_rates is \(6, 12, 18\) there and \(12, 24, 36\) here',
    ),
    ('torchvision deeplabv3_resnet50', dict(align_corners=True), 'False'),
    (
      'torchvision deeplabv3_resnet50',
      dict(half_pixel_centers=False),
      'half_pixel_centers=True',
    ),
    (
      'torchvision deeplabv3_resnet50',
      dict(bn_epsilon=1e-3),
      'encoder_bn_epsilon is 1e-05.*, bn_epsilon is 1e-05',
    ),
    (
      'torchvision deeplabv3_resnet50',
      dict(image_pooling_window=(513, 513)),
      r"image_pooling_window='\(\)'",
    ),
    (
      'torchvision deeplabv3_resnet50',
      dict(input_scales=(1.0, 0.75, 0.5)),
      r"input_scales='\(\)'",
    ),
    ('torchvision deeplabv3_resnet50', dict(variant='50_slim'), 'variant=50'),
    ('torchvision deeplabv3_resnet50', dict(variant='101'), 'variant=50'),
    (
      'timm xception41',
      dict(encoder_bn_epsilon=None),
      'encoder_bn_epsilon is 0.001 there and 1e-05 here',
    ),
    ('timm xception41', dict(multi_grid=(1, 2, 4)), r"multi_grid='\(\)'"),
    ('timm xception41', dict(variant='65'), 'variant=41'),
    (
      'smp smp_deeplabv3plus_resnet18',
      dict(align_corners=False, variant='18', bn_epsilon=1e-3),
      'variant is 18_course there and 18 here.*align_corners is True there',
    ),
    (
      'smp smp_deeplabv3plus_resnet18',
      dict(bounded_activation=True),
      'bounded_activation=False',
    ),
    (
      'smp smp_deeplabv3_resnet18',
      dict(decoder='v3plus'),
      'decoder is none there and v3plus here',
    ),
    ('smp smp_deeplabv3_resnet18', dict(variant='18'), 'variant=18_course'),
    (
      'smp smp_unet_resnet18',
      dict(head='global_pool'),  # without a parameter, as none
      'head is none there and global_pool here',
    ),
    (
      'smp smp_unet_resnet18',
      dict(bn_epsilon=1e-3),
      'encoder_bn_epsilon is 1e-05.*, bn_epsilon is 1e-05',
    ),
    (
      'smp smp_unet_resnet18',
      dict(variant='18_course', output_stride=16),
      'variant=18',
    ),
    ('smp smp_unet_vgg16', dict(variant='16_large_fov'), 'variant=16'),
  ],
)
def test_another_network(which, changes, words, adapt):
  """Every key is named, with the flags that make it the file's network."""
  keys = WHOLE[which] | changes
  with pytest.raises(WeightsError, match=words) as error:
    adapt(which, keys)
  message = str(error.value)
  for key in changes.keys() - {'output_stride'}:
    assert f'{key} is ' in message
  assert not adapt(which, parsed(keys, message))


def test_all_flags_at_once(adapt):
  """From the default of a config to the file's network."""
  which = 'smp smp_deeplabv3plus_resnet18'
  with pytest.raises(WeightsError) as error:
    adapt(which, {})
  keys = parsed({}, str(error.value))
  assert keys.items() >= (V3_PLUS | dict(atrous_rates=(6, 12, 18))).items()


@pytest.mark.parametrize(
  'which, changes',
  [
    ('torchvision resnet50', dict(multi_grid=(1, 1, 1), input_scales=(1.0,))),
    ('torchvision resnet50', dict(variant='50_course')),  # at stride 32
    ('torchvision mobilenet_v2', dict(variant='1.0_smp')),
    ('smp smp_unet_resnet18', dict(variant='18_course')),
    ('smp smp_unet_vgg16', dict(encoder_bn_epsilon=1e-3)),  # has none
    ('smp smp_unet_resnet18', dict(align_corners=True)),  # nearest neighbours
  ],
)
def test_the_same_in_other_words(which, changes, adapt):
  assert not adapt(which, WHOLE[which] | changes)


@pytest.mark.parametrize('which', ALONE)
def test_an_encoder_alone(which, adapt):
  assert not adapt(which, ALONE[which])
  # What concerns the fresh parts alone.
  more = dict(align_corners=True, atrous_rates=(2, 4, 6), input_scales=(1, 0.5))
  epsilons = dict(encoder_bn_epsilon=1e-5) | ALONE[which]
  assert not adapt(which, epsilons | more | dict(bn_epsilon=1e-3))


@pytest.mark.parametrize(
  'which, changes, words',
  [
    (
      'timm xception41',
      dict(encoder_bn_epsilon=None),
      'encoder_bn_epsilon is 0.001 there and 1e-05 here',
    ),
    ('torchvision resnet50', dict(bn_epsilon=1e-3), 'encoder_bn_epsilon'),
    ('torchvision resnet50', dict(variant='50_caffe'), 'variant is 50 there'),
    ('torchvision mobilenet_v2', dict(padding='same'), 'padding is symmetric'),
    ('timm resnet18', dict(variant='18_slim'), 'variant is 18 there'),
  ],
)
def test_another_encoder_alone(which, changes, words, adapt):
  keys = ALONE[which] | changes
  (warning,) = adapt(which, keys)
  assert words in warning and 'or train on' in warning
  assert not adapt(which, parsed(keys, warning))


def test_a_classifier_without_its_last_layer(adapt):
  """Beside an auxiliary head the class scores are not taken."""
  keys = WHOLE['torchvision resnet50'] | dict(variant='50_caffe')
  (warning,) = adapt('torchvision resnet50', keys | dict(auxiliary=True))
  assert 'variant is 50 there and 50_caffe here' in warning


@pytest.mark.parametrize(
  'which, variant',
  [
    ('torchvision resnet50', '50_course'),
    ('torchvision vgg16', '16_large_fov'),
    ('torchvision mobilenet_v2', '1.0_smp'),
  ],
)
def test_encoders_that_start_from_it(which, variant, adapt):
  assert not adapt(which, ALONE[which] | dict(variant=variant))


@pytest.mark.parametrize('keys', [ALONE, WHOLE], ids=['alone', 'whole'])
@pytest.mark.parametrize(
  'which, found, expected',
  [
    ('torchvision resnet50', 'symmetric', 'imagenet'),
    ('torchvision vgg16', 'vgg', 'imagenet'),
    ('torchvision deeplabv3_resnet50', 'mean', 'imagenet'),
    ('timm xception41', 'imagenet', 'symmetric'),
    ('timm resnet18', 'symmetric', 'imagenet'),
    ('smp smp_unet_resnet18', 'symmetric', 'imagenet'),
  ],
)
def test_another_normalisation(keys, which, found, expected, adapt):
  """No error: who trained the file may have chosen otherwise."""
  if which not in keys:
    return
  (warning,) = adapt(which, keys[which] | dict(input_norm=found))
  assert f'input_norm={expected}; this config has {found}' in warning
  assert not adapt(which, parsed(keys[which], warning))
  assert ('IMAGENET1K_FEATURES' in warning) == (which == 'torchvision vgg16')


@pytest.mark.parametrize(
  'which, stride, rates, applied',
  [
    ('smp smp_deeplabv3_resnet18', 8, (12, 24, 36), '(24, 48, 72)'),
    ('smp smp_deeplabv3_resnet18', 16, (12, 24, 36), '(12, 24, 36)'),
    ('smp smp_deeplabv3plus_resnet18', 16, (6, 12, 18), '(6, 12, 18)'),
    ('smp smp_deeplabv3plus_resnet18', 8, (6, 12, 18), '(12, 24, 36)'),
  ],
)
def test_stride_and_rates_of_smp(which, stride, rates, applied, adapt):
  """No error: they are choices there, of which the file does not tell."""
  keys = WHOLE[which] | dict(output_stride=stride, atrous_rates=rates)
  (warning,) = adapt(which, keys)
  assert f'encoder_output_stride={stride} ' in warning
  assert f'decoder_atrous_rates={applied}.' in warning
  expected = Options.parse(5, **WHOLE[which])
  assert Options.parse(5, **parsed(keys, warning)) == expected


@pytest.mark.parametrize(
  'name', ['resnet26', 'resnext50_32x4d', 'resnet50c', 'senet', 'densenet']
)
def test_nothing_is_said_of_what_shapes_will_show(name, caplog):
  """An encoder that is none of ours, or not of this config."""
  changed = {
    'resnet26': {},
    'resnext50_32x4d': {'layer1.0.conv1.weight': (128, 64, 1, 1)},
    'resnet50c': {'conv1.0.weight': (32, 3, 3, 3)},
    'senet': {'layer1.0.se_module.fc1.weight': (16, 256, 1, 1)},
    'densenet': {'features.denseblock1.denselayer1.norm1.weight': (64,)},
  }[name]
  tensors = torch_configs.shapes('resnet50') | changed
  if name == 'resnet26':
    tensors = {n: s for n, s in tensors.items() if '.2.' not in n}
  if name == 'densenet':
    tensors = changed
  options = Options.parse(5, variant='50_caffe', input_norm='mean')
  timm.adapt(torch_configs.zeros(tensors), options)
  assert not caplog.records
