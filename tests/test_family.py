"""`deeplax.build`: the networks of the configs, by the name of their paper."""

import importlib

import jax
import numpy as np
import pytest

import deeplax
from deeplax import models
from deeplax.errors import ConfigError

# What configs set for the authors' weights and recipes, not for the network.
RECIPE = (
  *('align_corners', 'input_norm', 'bn_decay', 'encoder_bn_epsilon'),
  *('freeze_bn', 'dtype', 'auxiliary', 'name', 'bn_unbiased'),
)
R18 = dict(encoder='resnet', variant=18)
SEPARABLE = dict(head_separable=True, decoder_separable=True)


@pytest.mark.parametrize(
  'name, choices, config',
  [
    ('v1', {}, 'v1_vgg16'),
    ('v2', {}, 'v2_r101'),
    ('v3', {}, 'v3_r101'),
    ('v3', dict(variant='50_slim'), 'v3_r50'),
    ('v3plus', dict(variant='101_v1c', output_stride=8), 'r101'),
    ('v3plus', dict(encoder='xception', variant=65), 'x65'),
    ('v3plus', dict(variant=18, **SEPARABLE), 'camvid_r18'),
    ('v1', dict(R18, output_stride=16, dropout=0.1), 'camvid_r18:v1'),
    ('v2', dict(R18, output_stride=16, input_scales=()), 'camvid_r18:v2'),
    ('v3', dict(R18, **SEPARABLE), 'camvid_r18:v3'),
    ('unet', R18, 'camvid_r18:unet'),
    ('v1', dict(dropout=0.5), 'camvid_v1_vgg16'),
    ('unet', dict(variant='bn'), 'camvid_unet'),
    ('unet', {}, 'unet'),
    ('unet', dict(variant='bn'), 'unet:bn'),
    ('unet', dict(encoder='resnet', variant=50), 'unet:resnet'),
    (
      'v3',
      dict(encoder='mobilenet_v2', variant='1.0', atrous_rates=()),
      'mobilenet_v2',
    ),
  ],
)
def test_they_are_those_of_the_configs(name, choices, config):
  file, _, variant = config.partition(':')
  keys = importlib.import_module(f'configs.{file}').get_config(variant).model
  keys = {k: v for k, v in keys.to_dict().items() if k not in RECIPE}
  network = deeplax.build(name, num_classes=19, **choices)
  assert network == models.build(19, **keys)


def test_shallow_resnets_have_no_multi_grid():
  shallow = deeplax.build('v3', num_classes=19, variant=18)
  assert shallow.encoder.multi_grid == ()
  deep = deeplax.build('v3', num_classes=19, variant=50)
  assert deep.encoder.multi_grid == (1, 2, 4)


@pytest.mark.parametrize('name', ['v1', 'v2', 'v3', 'v3plus', 'unet'])
def test_any_head_over_any_encoder(name):
  for encoder, variant in (
    *(('resnet', 101), ('vgg', 16), ('xception', 41), ('unet', 'bn')),
    ('mobilenet_v2', 0.25),
  ):
    choices = dict(encoder=encoder, variant=variant)
    if encoder == 'unet' and name in ('v1', 'v2'):
      choices['output_stride'] = 16  # it has no other
    network = deeplax.build(name, num_classes=5, **choices)
  if name == 'v2':  # three times as slow, over three scales
    return
  image = jax.ShapeDtypeStruct((1, 65, 97, 3), np.uint8)
  variables = models.abstract_variables(network)
  logits, _ = jax.eval_shape(
    lambda v, x: network.apply(v, x, train=False), variables, image
  )
  assert logits.shape[-1] == 5


@pytest.mark.parametrize(
  'name, choices, message',
  [
    ('v4', {}, "no network 'v4'; there are: v1, v2, v3, v3plus, unet"),
    (None, {}, 'no network None'),
    ('v3', dict(encoder='resnext'), "'resnext'; there are: mobilenet_v2, "),
    ('v3plus', dict(variant=102), "v3plus: resnet has no variant '102'"),
    ('v3plus', dict(encoder='vgg'), "vgg has no variant ''"),
    ('v3plus', dict(decoder_chanels=64), "did you mean 'decoder_channels'"),
    ('v3', dict(output_stride=12), 'output_stride.*12'),
    ('v3', dict(num_classes=0), r'`num_classes` \(=0\)'),
    ('v3', dict(num_classes='19'), '`num_classes`.*type int'),
  ],
)
def test_networks_that_do_not_exist(name, choices, message):
  with pytest.raises(ConfigError, match=message):
    deeplax.build(name, **{'num_classes': 19, **choices})


def test_the_number_of_classes_has_no_default():
  with pytest.raises(TypeError, match='num_classes'):
    deeplax.build('v3plus')
