"""DeepLabV3 with ResNet-50 on Cityscapes, output stride 16.

  python launch/train.py --config=configs/v3_r50.py
  python launch/evaluate.py --workdir=runs/v3_r50 --output_stride=16,8

Paper: Chen et al. 2017, Rethinking Atrous Convolution for Semantic Image
Segmentation (arXiv:1706.05587). The recipe is that of configs/v3_r101.py, and
so are its variants; as torchvision has it (`:voc,torchvision`, 21 classes) it
has 42,004,074 parameters.

The paper has ResNet-50 in comparisons on VOC only. Score of this config: not
yet run.
"""

from configs import common
from configs.v3_r101 import beta, torchvision, v3


def get_config(argument: str = ''):
  return common.variants(
    v3('50'),
    argument,
    camvid=common.camvid,
    voc=common.tf_deeplab_voc,
    beta=beta,
    torchvision=torchvision,
  )
