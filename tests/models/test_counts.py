"""Numbers of parameters, for every variant there is."""

import math

import jax
import pytest

from deeplax import models

# encoder/variant: (trainable, statistics), without a classifier.
ENCODERS = {
  'resnet/18': (11_176_512, 9_600),
  'resnet/18_v1c': (11_195_744, 9_728),
  'resnet/18_slim': (11_176_512, 9_600),
  'resnet/18_beta': (11_324_992, 10_112),
  'resnet/18_course': (11_176_512, 9_600),
  'resnet/34': (21_284_672, 17_024),
  'resnet/34_v1c': (21_303_904, 17_152),
  'resnet/34_slim': (21_284_672, 17_024),
  'resnet/34_beta': (21_433_152, 17_536),
  'resnet/34_course': (21_284_672, 17_024),
  'resnet/50': (23_508_032, 53_120),
  'resnet/50_caffe': (23_508_032, 53_120),
  'resnet/50_v1c': (23_527_264, 53_248),
  'resnet/50_slim': (23_508_032, 53_120),
  'resnet/50_beta': (23_631_808, 53_504),
  'resnet/50_course': (23_508_032, 53_120),
  'resnet/101': (42_500_160, 105_344),
  'resnet/101_caffe': (42_500_160, 105_344),
  'resnet/101_v1c': (42_519_392, 105_472),
  'resnet/101_slim': (42_500_160, 105_344),
  'resnet/101_beta': (42_623_936, 105_728),
  'resnet/101_course': (42_500_160, 105_344),
  'resnet/152': (58_143_808, 151_424),
  'resnet/152_caffe': (58_143_808, 151_424),
  'resnet/152_v1c': (58_163_040, 151_552),
  'resnet/152_slim': (58_143_808, 151_424),
  'resnet/152_beta': (58_267_584, 151_808),
  'resnet/152_course': (58_143_808, 151_424),
}

COURSE = dict(decoder='none', head_bias=True)
TORCHVISION = dict(decoder='conv3x3', output_stride=8)
# Trainable parameters of whole networks: classes, choices, total.
NETWORKS = [
  # The course experiments (fregu856/deeplabv3), void as a 20th class.
  (20, dict(variant='18_course', **COURSE), 15_315_028),
  (20, dict(variant='34_course', **COURSE), 25_423_188),
  (20, dict(variant='50_course', **COURSE), 39_049_812),
  (20, dict(variant='101_course', **COURSE), 58_041_940),
  (20, dict(variant='152_course', **COURSE), 73_685_588),
  (19, dict(variant='18_course', **COURSE), 15_315_028 - 257),
  # torchvision's deeplabv3_resnet50 and 101, as its metadata has them.
  (21, dict(variant='50', **TORCHVISION), 39_638_869),
  (21, dict(variant='101', **TORCHVISION), 58_630_997),
  (21, dict(variant='50', auxiliary=True, **TORCHVISION), 42_004_074),
  (21, dict(variant='101', auxiliary=True, **TORCHVISION), 60_996_202),
  # DeepLabV3+ with the paper's decoder.
  (19, dict(variant='18'), 16_607_667),
  (19, dict(variant='50'), 40_351_667),
  (19, dict(variant='101'), 59_343_795),
]


def count(tree):
  return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def all_variants():
  return [
    f'{encoder}/{variant}'
    for encoder in models.available('encoders')
    for variant in models.find(encoder, 'encoders').VARIANTS
  ]


def test_every_variant_has_a_golden_count():
  assert sorted(all_variants()) == sorted(ENCODERS)


@pytest.mark.parametrize('name', all_variants())
def test_encoder(name):
  encoder, variant = name.split('/')
  model = models.build(2, encoder=encoder, variant=variant)
  variables = models.abstract_variables(model)
  found = tuple(
    count(variables[c]['encoder']) for c in ('params', 'batch_stats')
  )
  assert found == ENCODERS[name]


@pytest.mark.parametrize('classes, choices, total', NETWORKS)
def test_network(classes, choices, total):
  model = models.build(classes, **choices)
  assert count(models.abstract_variables(model)['params']) == total
