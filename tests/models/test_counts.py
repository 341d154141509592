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
  'vgg/16': (14_714_688, 0),
  'vgg/16_bn': (14_723_136, 8_448),
  'vgg/16_large_fov': (14_714_688, 0),
  'xception/41': (24_920_560, 115_312),
  'xception/65': (37_867_312, 185_200),
  'xception/71': (40_289_736, 198_976),
  'mobilenet_v2/0.25': (131_560, 7_920),
  'mobilenet_v2/0.35': (242_041, 10_974),
  'mobilenet_v2/0.5': (477_088, 15_776),
  'mobilenet_v2/0.75': (1_037_624, 23_696),
  'mobilenet_v2/1.0': (1_811_712, 31_552),
  'mobilenet_v2/1.3': (3_010_854, 40_830),
  'mobilenet_v2/1.4': (3_489_140, 44_084),
  'mobilenet_v2/0.25_320': (133_152, 8_096),
  'mobilenet_v2/0.35_320': (250_208, 11_520),
  'mobilenet_v2/0.5_320': (480_320, 15_984),
  'mobilenet_v2/0.75_320': (1_045_664, 24_080),
  'mobilenet_v2/1.0_320': (1_811_712, 31_552),
  'mobilenet_v2/1.3_320': (3_026_240, 40_928),
  'mobilenet_v2/1.4_320': (3_509_376, 44_352),
  'mobilenet_v2/0.25_1280': (238_112, 10_656),
  'mobilenet_v2/0.35_1280': (396_128, 14_080),
  'mobilenet_v2/0.5_1280': (687_680, 18_544),
  'mobilenet_v2/0.75_1280': (1_355_424, 26_640),
  'mobilenet_v2/1.0_1280': (2_223_872, 34_112),
  'mobilenet_v2/1.3_1280': (3_721_792, 44_256),
  'mobilenet_v2/1.4_1280': (4_315_776, 47_936),
  'mobilenet_v2/1.0_smp': (2_223_872, 34_112),
  'unet/paper': (18_843_200, 0),
  'unet/bn': (18_847_168, 7_936),
}

COURSE = dict(decoder='none', head_bias=True)
TORCHVISION = dict(head_conv3x3=True, decoder='none', output_stride=8)
SEPARABLE = dict(head_separable=True, decoder_separable=True)
UNET = dict(
  head='none',
  decoder='unet',
  unet_channels=(512, 256, 128, 64),
  unet_upsampling='transposed',
  unet_bn=False,
)
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
  # DeepLab V1, LargeFOV (the paper's 20.5 million), and V2, ASPP-L.
  (
    21,
    dict(
      encoder='vgg',
      variant='16_large_fov',
      output_stride=8,
      head='large_fov',
      head_channels=1024,
      atrous_rates=(6,),
      decoder='none',
    ),
    20_505_429,
  ),
  (
    21,
    dict(
      variant='101_caffe',
      output_stride=8,
      head='aspp_sum',
      atrous_rates=(3, 6, 9, 12),
      decoder='none',
      input_scales=(1.0, 0.75, 0.5),
    ),
    44_048_532,
  ),
  # V3+ with Xception: with running statistics 41,258,213, the Keras port's.
  (21, dict(encoder='xception', variant='65', **SEPARABLE), 41_055_413),
  (19, dict(encoder='xception', variant='65', **SEPARABLE), 41_054_899),
  (19, dict(encoder='xception', variant='71', **SEPARABLE), 43_477_323),
  # segmentation_models_pytorch's DeepLabV3Plus and Unet over ResNet-50.
  (
    19,
    dict(
      variant='50_course',
      head_separable=True,
      head_conv3x3=True,
      decoder_separable=True,
      decoder_layers=1,
      separable_inner_bn=False,
    ),
    26_682_211,
  ),
  (
    2,
    dict(
      variant='50',
      output_stride=32,
      head='none',
      decoder='unet',
      logits_size=3,
    ),
    32_521_250,
  ),
  # U-Net as in the paper, with 3 channels in, 2 classes and padding.
  (2, dict(encoder='unet', variant='paper', **UNET), 31_031_810),
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
  model = models.build(2, encoder=encoder, variant=variant, decoder='none')
  variables = models.abstract_variables(model)
  found = tuple(
    count(variables[c].get('encoder', {})) for c in ('params', 'batch_stats')
  )
  assert found == ENCODERS[name]


@pytest.mark.parametrize('classes, choices, total', NETWORKS)
def test_network(classes, choices, total):
  model = models.build(classes, **choices)
  assert count(models.abstract_variables(model)['params']) == total
