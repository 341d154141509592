"""DeepLab V1, LargeFOV over VGG-16, on CamVid.

  python launch/train.py --config=configs/camvid_v1_vgg16.py --seeds=3
  python launch/evaluate.py --workdir=runs/camvid_v1_vgg16 --split=test

From scratch. There is no batch norm, so that Adam takes the place of SGD, and
gradients are clipped; the rest is the recipe of configs/camvid_r18.py, whose
words are there, too. `:torchvision` starts from ImageNet's weights, the file
that torchvision's `VGG16_Weights.IMAGENET1K_V1` is:

  python launch/convert.py --source=torchvision \
    --weights=vgg16-397923af.pth \
    --config=configs/camvid_v1_vgg16.py:torchvision --output=runs/vgg16_imagenet
  python launch/train.py --config=configs/camvid_v1_vgg16.py:torchvision

Published for LargeFOV from ImageNet's weights: 0.616 on test. The same head
over ResNet-18 is `camvid_r18.py:v1`.

Score: not yet run.
"""

from configs import camvid, common, v1_vgg16


def get_config(argument: str = ''):
  config = common.base()
  v1_vgg16.network(config)
  config.model.dtype = 'bfloat16'
  camvid.recipe(config)
  config.crf.use = True
  config.optimizer.name = 'adamw'
  config.optimizer.nesterov = False
  config.optimizer.weight_decay = 0.01
  config.optimizer.decay_mask = 'kernels'
  config.optimizer.clip_norm = 1.0
  config.schedule.peak = 3e-4
  config.schedule.warmup_steps = 500
  return common.variants(
    config, argument, torchvision=torchvision, **camvid.WORDS
  )


def torchvision(config):
  """Starts from torchvision's weights, made ready by launch/convert.py."""
  config.init_from = 'runs/vgg16_imagenet'
