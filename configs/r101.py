"""DeepLabV3+ with ResNet-101 on Cityscapes, output stride 8.

  python launch/train.py --config=configs/r101.py
  python launch/train.py --config=configs/r101.py:voc

Paper: Chen et al. 2018, Encoder-Decoder with Atrous Separable Convolution. The
recipe is mmsegmentation's, the strongest published for this network: SGD 0.01,
poly 0.9 to 1e-4, 80k steps of 8 crops of 512x1024, at most 75 % of one class in
a crop, photometric distortion, auxiliary head 0.4. From ImageNet weights it
reports 80.97 mIoU on val (82.03 with scales and flip); the network here has the
paper's decoder (256 channels, dense) where theirs is separable with 512. On
VOC: 40k steps of 16 crops of 512.

ImageNet's weights for this root are timm's `resnet101c.gluon_in1k`, here the
`model.safetensors` of its page on the Hugging Face Hub under another name:

  python launch/convert.py --source=timm --weights=resnet101c.safetensors \
    --config=configs/r101.py --output=runs/r101_imagenet
  python launch/train.py --config=configs/r101.py \
    --config.init_from=runs/r101_imagenet

Score of this config: not yet run.
"""

from configs import common


def get_config(argument: str = ''):
  config = common.base()
  config.input.train = (
    'random_scale(0.5, 2.0)|random_crop(512, 1024, 0.75)|random_flip()'
    '|photometric()'
  )
  config.input.workers = 8
  config.input.eval_batch_size = 1
  config.model.variant = '101_v1c'
  config.model.output_stride = 8
  config.model.auxiliary = True
  config.model.bn_unbiased = True
  config.model.dtype = 'bfloat16'
  config.schedule.end = 1e-4
  config.total_steps = 80_000
  config.eval_every = 4_000
  config.checkpoint_every = 1_000
  return common.variants(
    config, argument, camvid=common.camvid, voc=voc, os16=output_stride_16
  )


def voc(config):
  """mmsegmentation's schedule for VOC."""
  common.voc(config)
  config.batch_size = 16
  config.total_steps = 40_000


def output_stride_16(config):
  """mmsegmentation's D16-MG124: 79.90 reported, half the work of stride 8."""
  config.model.output_stride = 16
  # Times the rates (1, 2, 2) of this stride: 1, 2, 4, as theirs.
  config.model.multi_grid = (1, 1, 2)
