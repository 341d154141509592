"""DeepLabV3 with ResNet-50 on Cityscapes, output stride 16.

  python launch/train.py --config=configs/v3_r50.py
  python launch/evaluate.py --workdir=runs/v3_r50 --output_stride=16,8

Paper: Chen et al. 2017, Rethinking Atrous Convolution for Semantic Image
Segmentation (arXiv:1706.05587). The recipe is that of configs/v3_r101.py, and
so are its variants; as torchvision has it (`:voc,torchvision`, 21 classes) it
has 42,004,074 parameters. So are its weights, with 50 for 101: slim's are in
resnet_v1_50_2016_08_28.tar.gz, beta's in resnet_v1_50_2018_05_04.tar.gz, and

  python launch/convert.py --source=torchvision \
    --weights=deeplabv3_resnet50_coco-cd0a2569.pth \
    --config=configs/v3_r50.py:voc,torchvision --output=runs/v3_r50_tv
  python launch/evaluate.py --workdir=runs/v3_r50_tv

are torchvision's.

The paper has ResNet-50 in comparisons on VOC only. Score of this config: not
yet run.
"""

from configs.v3_r101 import v3


def get_config(argument: str = ''):
  return v3('50', argument)
