"""DeepLabV3+ with Aligned Xception-65 on Cityscapes, output stride 16.

  python launch/train.py --config=configs/x65.py
  python launch/evaluate.py --workdir=runs/x65 --output_stride=16,8

Paper: Chen et al. 2018, Encoder-Decoder with Atrous Separable Convolution for
Semantic Image Segmentation (arXiv:1802.02611). The network is the authors':
separable ASPP and decoder, batch norm's epsilon 1e-3 in the encoder and 1e-5
behind it. Recipe: SGD 0.01 poly 0.9, 90k steps of 16 crops of 769, decay 4e-5
(`common.tf_deeplab`); on VOC 0.007, 30k steps of crops of 513. 41,055,413
parameters with 21 classes, 41,258,213 with the statistics.

It starts from ImageNet's weights, the authors' as timm's `xception65.tf_in1k`
has them, here the `model.safetensors` of its page on the Hugging Face Hub under
another name:

  python launch/convert.py --source=timm --weights=xception65.safetensors \
    --config=configs/x65.py --output=runs/x65_imagenet
  python launch/train.py --config=configs/x65.py \
    --config.init_from=runs/x65_imagenet

The authors' own file, deeplabv3_xception_2018_01_04.tar.gz of their model zoo,
is one for `--source=tf_deeplab`.

The authors' mIoU on Cityscapes val: 78.79, and 80.42 at output stride 8 with
scales and flip; on VOC val, from COCO's weights, 82.20 and 83.58. Score of this
config: not yet run.
"""

from configs import common


def get_config(argument: str = ''):
  return v3plus('65', argument)


def v3plus(variant: str, argument: str, *, image_pooling: bool = True):
  """The paper's network over an Aligned Xception, and its recipe."""
  config = common.base()
  common.tf_deeplab(config)
  config.model.encoder = 'xception'
  config.model.variant = variant
  config.model.head_separable = True
  config.model.image_pooling = image_pooling
  config.model.decoder_separable = True
  config.model.input_norm = 'symmetric'
  config.model.encoder_bn_epsilon = 1e-3
  config.optimizer.decay_mask = 'dense_kernels'
  config.schedule.peak = 0.01
  return common.variants(
    config, argument, camvid=common.camvid, voc=common.tf_deeplab_voc
  )
