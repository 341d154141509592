"""U-Net on Cityscapes, to be compared with the DeepLabs.

  python launch/train.py --config=configs/unet.py
  python launch/train.py --config=configs/unet.py:resnet

Paper: Ronneberger et al. 2015, U-Net: Convolutional Networks for Biomedical
Image Segmentation (arXiv:1505.04597). The network is the paper's, without batch
norm, from scratch; convolutions are padded, so that the result has the size of
the picture (31,031,810 parameters with 2 classes). Of its recipe: momentum
0.99, dropout at the end of the contracting path, no decay. The paper names no
learning rate; 1e-4 with this momentum goes as far as 1e-3 with 0.9.

`:bn` has batch norm. `:resnet` is segmentation_models_pytorch's U-Net over
ResNet-50 (32,521,250 parameters with 2 classes), with the recipe of
configs/r101.py; its encoder can start from torchvision's weights
(`ResNet50_Weights.IMAGENET1K_V1`):

  python launch/convert.py --source=torchvision \
    --weights=resnet50-0676ba61.pth \
    --config=configs/unet.py:resnet --output=runs/unet_resnet50_imagenet
  python launch/train.py --config=configs/unet.py:resnet \
    --config.init_from=runs/unet_resnet50_imagenet

The paper has no score on these data. Score of this config: not yet run.
"""

from configs import common


def get_config(argument: str = ''):
  config = common.base()
  config.input.train = (
    'random_scale(0.5, 2.0)|random_crop(512, 512)|random_flip()|photometric()'
  )
  config.input.workers = 8
  config.input.eval_batch_size = 1
  network(config)
  config.optimizer.momentum = 0.99
  config.optimizer.weight_decay = 0.0
  config.schedule.peak = 1e-4
  config.total_steps = 80_000
  config.eval_every = 4_000
  config.checkpoint_every = 1_000
  return common.variants(
    config,
    argument,
    camvid=common.camvid,
    voc=common.voc,
    bn=batch_norm,
    resnet=resnet,
  )


def network(config):
  """The paper's, without batch norm."""
  config.model.encoder = 'unet'
  config.model.variant = 'paper'
  config.model.head = 'none'
  config.model.atrous_rates = ()
  config.model.dropout = 0.5
  config.model.decoder = 'unet'
  config.model.unet_channels = (512, 256, 128, 64)
  config.model.unet_upsampling = 'transposed'
  config.model.unet_bn = False


def batch_norm(config):
  """Batch norm before every ReLU, and learning rates that it allows."""
  config.model.variant = 'bn'
  config.model.unet_bn = True
  config.optimizer.momentum = 0.9
  config.optimizer.weight_decay = 5e-4
  config.schedule.peak = 0.01


def resnet(config):
  """Five levels of nearest neighbours over a ResNet-50."""
  batch_norm(config)
  config.model.encoder = 'resnet'
  config.model.variant = '50'
  config.model.output_stride = 32
  config.model.dropout = 0.0
  config.model.unet_channels = (256, 128, 64, 32, 16)
  config.model.unet_upsampling = 'nearest'
  config.model.logits_size = 3
