"""Networks exactly as PyTorch's libraries have them, to be timed beside them.

  python launch/benchmark.py --what=train --peer=smp \
    --config=configs/benchmark.py:v3plus_r18
  python launch/benchmark.py --what=train --peer=smp \
    --config=configs/benchmark.py:v3plus_r101
  python launch/benchmark.py --what=train --peer=torchvision \
    --config=configs/benchmark.py:v3_r101
  python launch/benchmark.py --what=train --peer=timm \
    --config=configs/benchmark.py:v3plus_x65
  python launch/benchmark.py --what=eval --size=1024x2048 --batch_size=1 \
    --config=configs/benchmark.py:v3plus_r101 --peer=smp

Not for scores; to see one of them learn:

  python launch/train.py --config=configs/benchmark.py:v3plus_r18

Parameters and operations of both sides are equal to the digit
(tests/benchmark/test_peers.py). The small network, pictures of 256x256, is for
CPUs; the others, in bfloat16 and at 768x768, are for accelerators.
"""

from configs import common


def get_config(argument: str = ''):
  config = common.base()
  config.input.train = 'random_crop(768, 768)'
  config.model.dtype = 'bfloat16'
  config.model.dropout = 0.5
  config.model.bn_unbiased = True
  config.batch_size = 16
  config.total_steps = 1_000
  networks = dict(
    v3plus_r18=v3plus_r18,
    v3plus_r101=v3plus_r101,
    v3_r101=v3_r101,
    v3plus_x65=v3plus_x65,
  )
  if not {*argument.split(',')} & {*networks}:
    argument = f'v3plus_r18,{argument}'
  return common.variants(config, argument, **networks)


def v3plus_r18(config):
  """segmentation_models_pytorch's DeepLabV3Plus over its ResNet-18."""
  _smp_v3plus(config, '18_course')
  config.model.dtype = 'float32'
  config.input.train = 'random_crop(256, 256)'
  config.batch_size = 4


def v3plus_r101(config):
  """segmentation_models_pytorch's DeepLabV3Plus over its ResNet-101."""
  _smp_v3plus(config, '101_course')


def v3_r101(config):
  """torchvision's deeplabv3_resnet101, at output stride 8 as always."""
  config.model.update(
    encoder='resnet',
    variant='101',
    output_stride=8,
    head_conv3x3=True,
    decoder='none',
  )
  config.batch_size = 8


def v3plus_x65(config):
  """The authors' network of configs/x65.py, over timm's xception65."""
  config.model.update(
    encoder='xception',
    variant='65',
    input_norm='symmetric',
    encoder_bn_epsilon=1e-3,
    head_separable=True,
    decoder_separable=True,
    align_corners=True,
  )


def _smp_v3plus(config, variant):
  config.model.update(
    encoder='resnet',
    variant=variant,
    output_stride=16,
    atrous_rates=(12, 24, 36),
    head_separable=True,
    head_conv3x3=True,
    decoder_separable=True,
    decoder_layers=1,
    separable_inner_bn=False,
    align_corners=True,
  )
