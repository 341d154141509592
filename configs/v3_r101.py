"""DeepLabV3 with ResNet-101 on Cityscapes, output stride 16.

  python launch/train.py --config=configs/v3_r101.py
  python launch/evaluate.py --workdir=runs/v3_r101 --output_stride=16,8

Paper: Chen et al. 2017, Rethinking Atrous Convolution for Semantic Image
Segmentation (arXiv:1706.05587). The network is the authors': multi-grid
(1, 2, 4), strides in the last unit of a stage, ASPP with the picture's mean. It
is trained at output stride 16 and evaluated at 8. Recipe: SGD 0.007 poly 0.9,
90k steps of 16 crops of 769, decay 1e-4 (`common.tf_deeplab`); on VOC 30k
steps of crops of 513.

It starts from ImageNet's weights, TF slim's of resnet_v1_101_2016_08_28.tar.gz:

  python launch/convert.py --source=tf_deeplab --weights=resnet_v1_101.ckpt \
    --config=configs/v3_r101.py --output=runs/r101_slim_imagenet
  python launch/train.py --config=configs/v3_r101.py \
    --config.init_from=runs/r101_slim_imagenet

or, with `:beta`, from `resnet_v1_101_beta` of DeepLab's model zoo, the folder
that resnet_v1_101_2018_05_04.tar.gz unpacks to:

  python launch/convert.py --source=tf_deeplab --weights=resnet_v1_101 \
    --config=configs/v3_r101.py:beta --output=runs/r101_beta_imagenet
  python launch/train.py --config=configs/v3_r101.py:beta \
    --config.init_from=runs/r101_beta_imagenet

With `:torchvision` it is torchvision's network, output stride 8 and auxiliary
head included (60,996,202 parameters with 21 classes), whose weights

  python launch/convert.py --source=torchvision \
    --weights=deeplabv3_resnet101_coco-586e9e4e.pth \
    --config=configs/v3_r101.py:voc,torchvision --output=runs/v3_r101_tv
  python launch/evaluate.py --workdir=runs/v3_r101_tv

can be evaluated at once.

The paper's mIoU on Cityscapes val: 77.23 at output stride 16, 77.82 at 8, and
79.30 with scales and flip; on VOC val 77.21, 78.51, 79.77. Score of this
config: not yet run.
"""

from configs import common


def get_config(argument: str = ''):
  return v3('101', argument)


def v3(depth: str, argument: str):
  """The paper's network over a ResNet of 50 or 101 layers, and its recipe."""
  config = common.base()
  common.tf_deeplab(config)
  config.model.variant = f'{depth}_slim'
  config.model.multi_grid = (1, 2, 4)
  config.model.decoder = 'none'
  config.model.input_norm = 'mean'
  config.optimizer.weight_decay = 1e-4
  return common.variants(
    config,
    argument,
    camvid=common.camvid,
    voc=common.tf_deeplab_voc,
    beta=beta,
    torchvision=torchvision,
  )


def beta(config):
  """The root of three 3x3 convolutions of DeepLab's model zoo."""
  config.model.variant = config.model.variant.replace('slim', 'beta')
  config.model.input_norm = 'symmetric'


def torchvision(config):
  """torchvision's network: its strides, grid, head, and batch norm."""
  config.model.variant = config.model.variant.partition('_')[0]
  config.model.output_stride = 8
  config.model.multi_grid = ()
  config.model.head_conv3x3 = True
  config.model.auxiliary = True
  config.model.dropout = 0.5
  config.model.input_norm = 'imagenet'
  config.model.align_corners = False
  config.model.bn_decay = 0.9
  config.model.bn_unbiased = True
