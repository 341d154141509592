"""DeepLab V2, ASPP-L over ResNet-101, on Cityscapes.

  python launch/convert.py --source=keras \
    --weights=resnet101_weights_tf_dim_ordering_tf_kernels_notop.h5 \
    --config=configs/v2_r101.py --output=runs/r101_caffe_imagenet
  python launch/train.py --config=configs/v2_r101.py \
    --config.init_from=runs/r101_caffe_imagenet
  python launch/train.py --config=configs/v2_r101.py:voc \
    --config.init_from=runs/r101_caffe_imagenet
  python launch/train.py --config=configs/v2_r101.py:crf_rnn

Paper: Chen et al. 2016, DeepLab: Semantic Image Segmentation with Deep
Convolutional Nets, Atrous Convolution, and Fully Connected CRFs
(arXiv:1606.00915). The recipe is its authors': the picture at scales 1, 0.75
and 0.5, joined by their maximum, with a loss for it and for each; 20k steps of
10 crops of 321, scaled by 0.5 to 1.5, mirrored; learning rate 2.5e-4 poly 0.9,
10 times as much for the last layer and twice for its biases; batch norm is
frozen, scales and biases, too. 44,048,532 parameters with 21 classes.

With frozen statistics it has to start from ImageNet's weights, those of a
ResNet with the strides in the first 1x1. Keras' are such: the file is the one
that `keras.applications.ResNet101` fetches, with or without its classifier.

`:crf_rnn` goes on from a run of the first kind with the CRF as its last layer
(arXiv:1502.03240): the kernels' weights and the compatibility of labels are
trained with the network, at a tenth of its rate. Not yet run.

The authors also train on COCO first. Their mIoU on Cityscapes val: 71.0, with
the CRF 71.4; on VOC val 76.35 and 77.69. launch/evaluate.py scores before and
after it. Score of this config: not yet run.
"""

from configs import common


def get_config(argument: str = ''):
  config = common.base()
  common.aligned(config)
  config.input.train = (
    'random_scale(0.5, 1.5)|random_crop(321, 321)|random_flip()'
  )
  config.input.workers = 8
  config.input.eval_batch_size = 1
  config.model.variant = '101_caffe'
  config.model.output_stride = 8
  config.model.head = 'aspp_sum'
  config.model.atrous_rates = (3, 6, 9, 12)  # 6, 12, 18, 24 at stride 8
  config.model.decoder = 'none'
  config.model.input_scales = (1.0, 0.75, 0.5)
  config.model.input_norm = 'vgg'
  config.model.freeze_bn = True
  config.crf.use = True
  config.optimizer.decay_mask = 'kernels'
  config.optimizer.logits_lr_mult = 10.0
  config.optimizer.bias_lr_mult = 2.0
  config.optimizer.bn_lr_mult = 0.0
  config.schedule.peak = 2.5e-4
  config.batch_size = 10
  config.total_steps = 20_000
  config.eval_every = 2_000
  config.checkpoint_every = 1_000
  return common.variants(
    config, argument, camvid=common.camvid, voc=common.voc, crf_rnn=crf_rnn
  )


def crf_rnn(config):
  """The CRF as the network's last layer, trained with it from a run of V2."""
  config.model.crf_rnn = 5
  config.crf.use = False  # it is in the network
  config.init_from = 'runs/v2_r101'
  config.schedule.peak = 2.5e-5
  config.total_steps = 5_000
