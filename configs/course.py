"""The recipe that the three course_*.py share; not an experiment by itself.

A course project compared U-Net and DeepLab on Cityscapes with a PyTorch
DeepLabV3: 20 classes (void is trained as the last one), Adam 1e-4, pictures
halved to 512x1024, crops of 256, class weights 1 / ln(1.02 + p). Its printed
"mIOU" was 1 - mean soft IoU over 20 classes, lower is better; evaluation prints
that figure under its own name beside the true mIoU.

Its encoders started from ImageNet's weights, torchvision's, save the last
stage, which was fresh. These take it from there, too, here for ResNet-18:

  python launch/convert.py --source=torchvision \
    --weights=resnet18-f37072fd.pth --config=configs/course_r18.py \
    --output=runs/course_r18_imagenet
  python launch/train.py --config=configs/course_r18.py \
    --config.init_from=runs/course_r18_imagenet

resnet50-0676ba61.pth and resnet101-63fe2227.pth are those of the others.
Batches were of 3 pictures; here of 4, which more numbers of devices divide.
"""

from configs import common


def course(variant: str, epochs: float):
  config = common.base()
  config.input.train = (
    'resize(512, 1024)|random_flip()|random_scale(0.7, 2.0)'
    '|random_crop(256, 256)'
  )
  # The network sees half the size, the score is taken at full size.
  config.input.eval = 'resize_image(512, 1024)'
  config.input.eval_batch_size = 2
  config.model.variant = f'{variant}_course'
  config.model.head_bias = True
  config.model.dropout = 0.0
  config.model.bn_unbiased = True
  config.model.decoder = 'none'
  config.loss.void_class = True
  config.loss.class_weights_from_data = True
  config.loss.normalize_by = 'weights'
  config.optimizer.name = 'adam'
  config.optimizer.weight_decay = 1e-4
  config.optimizer.decay_mask = 'kernels'
  config.schedule.name = 'constant'
  config.schedule.peak = 1e-4
  config.batch_size = 4
  config.total_epochs = epochs
  config.eval_every = 7_440  # 10 epochs of 2,975 pictures
  config.checkpoint_every = 744
  return config
