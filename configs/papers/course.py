"""The course project's DeepLabV3, trained by its notebook."""

_COURSE = dict(
  optimizer=('Adam, 0.9, 0.999', 'upstream train.py; PyTorch'),
  learning_rate=('0.0001', 'notebook 0b6a6ad, 7204707, cbe0dea'),
  schedule=('constant', 'upstream train.py'),
  warm_up=('0 steps', 'upstream train.py'),
  rate_factors=('none', 'upstream train.py'),
  weight_decay=('0.0001', 'upstream train.py; notebook 0b6a6ad'),
  decayed=('kernels', 'upstream utils.py'),
  initial_weights=('ImageNet, the last stage fresh', 'notebook f96096e'),
  pictures=('cityscapes train, 2,975', 'notebook f96096e; V3 C'),
  batch=('3', 'notebook 0b6a6ad, 7204707, cbe0dea'),
  crop=('256x256', 'notebook f96096e'),
  scale=('0.7 to 2', 'notebook f96096e'),
  augmentation=(
    'resized to 512x1024 by nearest pixels, flip',
    'notebook f96096e',
  ),
  batch_norm=('trained', 'upstream train.py'),
  bn_decay=('0.9', 'PyTorch 1 - momentum 0.1'),
  bn_epsilon=('1e-05', 'PyTorch'),
  running_variance=('over n - 1', 'PyTorch'),
  output_stride=('16', 'notebook 7204707, cbe0dea'),
  atrous_rates=('6, 12, 18', 'notebook f96096e'),
  head=('ASPP of 256, biases, mean of the picture', 'notebook f96096e'),
  decoder=('none', 'notebook f96096e'),
  dropout=('0', 'notebook f96096e'),
  input_scales=('1', 'notebook f96096e'),
  upsampling=('half-pixel', 'notebook f96096e; PyTorch'),
  precision=('float32', 'PyTorch'),
  loss=('cross entropy, void a class', 'upstream train.py'),
  loss_over=('the sum of weights at full size', 'upstream train.py; PyTorch'),
  class_weights=('1 / ln(1.02 + p)', 'notebook f96096e'),
  hard_pixels=('all count', 'upstream train.py'),
  auxiliary_loss=('none', 'upstream train.py'),
  eval_input=(
    'resized to 512x1024 by nearest pixels, label too',
    'notebook f96096e',
  ),
  eval_output_stride=('16', 'notebook f96096e'),
  eval_scales=('1, not mirrored', 'notebook f96096e'),
  crf=('none', 'notebook f96096e'),
)
_REASONS = dict(
  initial_weights="Others' weights are no part of this project: commands in "
  "configs/course.py make torchvision's, the last stage among them, and give "
  '`--config.init_from`.',
  batch='3 pictures go to 1 or 3 devices only; 4 is what the last leg had.',
  augmentation='Nearest pixels make edges of the picture jagged.',
  eval_input='Every score here is taken at the size of the labels, as the '
  "official scorer's; upstream's mIoU, too.",
)


def _with(epochs, source):
  return {**_COURSE, 'epochs': (epochs, source)}


PAPERS = {
  'course_r18': dict(
    title="The course's DeepLabV3 over ResNet-18.",
    published=('0.723001 as 1 - mean soft IoU (notebook f96096e)',),
    theirs={
      **_with('92', 'notebook f96096e'),
      'output_stride': ('8', 'notebook 0b6a6ad, 4d318bd'),
      'eval_output_stride': ('8', 'notebook 4d318bd'),
    },
    reasons=dict(
      **_REASONS,
      output_stride='As the other two, to compare them; `:os8` is the network '
      'that was trained, with as many parameters.',
      eval_output_stride='That of training, as theirs was.',
    ),
  ),
  'course_r50': dict(
    title="The course's DeepLabV3 over ResNet-50.",
    published=('0.720219 as 1 - mean soft IoU (notebook f96096e)',),
    theirs=_with('128', 'notebook f96096e'),
    reasons=_REASONS,
  ),
  'course_r101': dict(
    title="The course's DeepLabV3 over ResNet-101, first leg.",
    published=('none; see the second leg',),
    theirs=_with('148', 'notebook f96096e; its epoch 141 was gone on from'),
    reasons=_REASONS,
  ),
  'course_r101:second_leg': dict(
    title="The course's DeepLabV3 over ResNet-101, last leg.",
    published=('0.69874 as 1 - mean soft IoU (notebook f96096e)',),
    theirs={
      **_with('22, and 22 of batch 3 before', 'notebook 367e7c7, e37d0d2'),
      'learning_rate': ('1e-05', 'notebook 367e7c7, e37d0d2'),
      'batch': ('4', 'notebook e37d0d2'),
      'initial_weights': ('the first leg, epoch 141', 'notebook 367e7c7'),
    },
    reasons={
      **{k: v for k, v in _REASONS.items() if k != 'batch'},
      'epochs': "One leg, as the course's table has it.",
      'initial_weights': 'The last weights of the first leg, its epoch 148.',
    },
  ),
}
