"""DeepLabV3+ with Aligned Xception-71 on Cityscapes, output stride 16.

  python launch/train.py --config=configs/x71.py
  python launch/evaluate.py --workdir=runs/x71 --output_stride=16,8

Paper: Chen et al. 2018, Encoder-Decoder with Atrous Separable Convolution for
Semantic Image Segmentation (arXiv:1802.02611). Recipe and weights as those of
configs/x65.py, here timm's `xception71.tf_in1k`:

  python launch/convert.py --source=timm --weights=xception71.safetensors \
    --config=configs/x71.py --output=runs/x71_imagenet
  python launch/train.py --config=configs/x71.py \
    --config.init_from=runs/x71_imagenet

As the paper's best (table 7), it has no branch that sees the whole picture:
42,886,987 parameters with 19 classes. The paper's mIoU on Cityscapes val:
79.55. Score of this config: not yet run.
"""

from configs.x65 import v3plus


def get_config(argument: str = ''):
  return v3plus('71', argument, image_pooling=False)
