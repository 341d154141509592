"""DeepLabV3 with MobileNetV2 on Cityscapes, output stride 16.

  python launch/train.py --config=configs/mobilenet_v2.py
  python launch/evaluate.py --workdir=runs/mobilenet_v2 --output_stride=16,8

Paper: Sandler et al. 2018, MobileNetV2: Inverted Residuals and Linear
Bottlenecks (arXiv:1801.04381), section 6.3. The network is TF DeepLab's: an
ASPP without atrous branches, that is a 1x1 convolution and the picture's mean,
and no decoder. Recipe: SGD 0.007 poly 0.9, 90k steps of 16 crops of 769, decay
4e-5 (`common.tf_deeplab`); on VOC 30k steps of crops of 513.

The authors' weights of COCO and VOC, deeplabv3_mnv2_pascal_train_aug of their
model zoo, are a start (the classifier of 21 classes is left out):

  python launch/convert.py --source=tf_deeplab \
    --weights=deeplabv3_mnv2_pascal_train_aug \
    --config=configs/mobilenet_v2.py:voc --output=runs/mobilenet_v2_coco_voc
  python launch/train.py --config=configs/mobilenet_v2.py \
    --config.init_from=runs/mobilenet_v2_coco_voc

On CamVid it starts from ImageNet's weights:

  python launch/convert.py --source=tflite \
    --weights=tf2_mobilenet_v2_1.0_224_ptq.tflite \
    --config=configs/mobilenet_v2.py:camvid --output=runs/mobilenet_v2_imagenet
  python launch/train.py --config=configs/mobilenet_v2.py:camvid

That file is Coral's (github.com/google-coral/test_data). The command says that
it pads as TensorFlow: at the odd sizes here that is the same. It has batch norm
folded into its convolutions. That is put back as one that changes nothing,
whose statistics are not those of the features, so they are frozen in the
encoder; scales and biases are trained.

The authors' mIoU on Cityscapes val, from COCO's weights: 70.71, and 73.57 at
output stride 8 with scales and flip; on VOC val 75.32 and 77.33. Score of this
config: not yet run.
"""

from configs import common


def get_config(argument: str = ''):
  config = common.base()
  common.tf_deeplab(config)
  config.model.encoder = 'mobilenet_v2'
  config.model.variant = '1.0'
  config.model.atrous_rates = ()
  config.model.decoder = 'none'
  config.model.input_norm = 'symmetric'
  config.model.encoder_bn_epsilon = 1e-3
  config.optimizer.decay_mask = 'dense_kernels'
  return common.variants(
    config, argument, camvid=camvid, voc=common.tf_deeplab_voc
  )


def camvid(config):
  """CamVid, from weights with folded batch norm."""
  common.camvid(config)
  config.model.freeze_encoder_bn = True
  config.init_from = 'runs/mobilenet_v2_imagenet'
