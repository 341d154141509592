"""DeepLab V1, LargeFOV over VGG-16, on Cityscapes; `:voc` is the paper's.

  python launch/convert.py --source=torchvision \
    --weights=vgg16-397923af.pth \
    --config=configs/v1_vgg16.py:voc,torchvision --output=runs/vgg16_imagenet
  python launch/train.py --config=configs/v1_vgg16.py:voc,torchvision
  python launch/evaluate.py --workdir=runs/v1_vgg16_voc_torchvision

Paper: Chen et al. 2015, Semantic Image Segmentation with Deep Convolutional
Nets and Fully Connected CRFs (arXiv:1412.7062). The recipe is its authors':
6,000 steps of 30 crops of 321, mirrored; learning rate 0.001, a tenth of it
every 2,000 steps, 10 times as much for the last layer and twice for biases,
which don't decay. A batch of 30 divides over 1, 2, 3, 5 or 6 devices. Their
loss is taken at a stride of 8 pixels, here at full size. 20,505,429 parameters
with 21 classes.

There is no batch norm to help: it needs ImageNet's weights. `:torchvision`
starts from those in runs/vgg16_imagenet, with their normalisation: the first
command makes it of the file that torchvision's `VGG16_Weights.IMAGENET1K_V1`
is. fc6 and fc7 start afresh, where the authors cut them out of VGG's.

launch/evaluate.py scores before and after the paper's CRF. The paper's mIoU on
VOC val: 62.25, with it 67.64. Score of this config: not yet run.
"""

from configs import common


def get_config(argument: str = ''):
  config = common.base()
  common.aligned(config)
  config.input.train = 'random_crop(321, 321)|random_flip()'
  config.input.workers = 8
  config.input.eval_batch_size = 1
  network(config)
  config.model.input_norm = 'vgg'
  config.crf.use = True
  config.crf.spatial = (3.0, 3.0)
  config.crf.bilateral = (50.0, 10.0, 5.0)
  config.optimizer.decay_mask = 'kernels'
  config.optimizer.logits_lr_mult = 10.0
  config.optimizer.bias_lr_mult = 2.0
  config.schedule.name = 'step'
  config.schedule.peak = 0.001
  config.schedule.boundaries = (1 / 3, 2 / 3)
  config.batch_size = 30
  config.total_steps = 6_000
  config.eval_every = config.checkpoint_every = 1_000
  return common.variants(
    config,
    argument,
    camvid=common.camvid,
    voc=common.voc,
    torchvision=torchvision,
  )


def network(config):
  """The paper's, over VGG-16."""
  config.model.encoder = 'vgg'
  config.model.variant = '16_large_fov'
  config.model.output_stride = 8
  config.model.head = 'large_fov'
  config.model.head_channels = 1024
  config.model.atrous_rates = (6,)  # 12 at output stride 8
  config.model.dropout = 0.5
  config.model.decoder = 'none'


def torchvision(config):
  """Starts from torchvision's weights, made ready by launch/convert.py."""
  config.model.input_norm = 'imagenet'
  config.init_from = 'runs/vgg16_imagenet'
