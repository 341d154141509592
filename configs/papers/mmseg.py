"""DeepLabV3+ over ResNet-101 as mmsegmentation trains it."""

from configs.papers import reasons

_STRIDE_8 = dict(
  optimizer=('SGD, momentum 0.9', 'schedule_80k.py'),
  learning_rate=('0.01', 'schedule_80k.py'),
  schedule=('poly 0.9 to 0.0001', 'schedule_80k.py'),
  warm_up=('0 steps', 'schedule_80k.py'),
  rate_factors=('none', 'schedule_80k.py'),
  weight_decay=('0.0005', 'schedule_80k.py'),
  decayed=('everything', 'schedule_80k.py'),
  initial_weights=('ImageNet', 'r101-d8 resnet101_v1c'),
  pictures=('cityscapes train, 2,975', 'cityscapes.py; V3 C'),
  batch=('8', 'r101-d8 4 x 2'),
  steps=('80,000', 'schedule_80k.py'),
  crop=('512x1024', 'cityscapes.py'),
  scale=('0.5 to 2', 'cityscapes.py'),
  augmentation=(
    'at most 75% of one class, flip, photometric',
    'cityscapes.py',
  ),
  batch_norm=('trained', 'r50-d8'),
  bn_decay=('0.9', 'PyTorch 1 - momentum 0.1'),
  bn_epsilon=('1e-05', 'PyTorch'),
  running_variance=('over n - 1', 'PyTorch'),
  output_stride=('8', 'r50-d8'),
  atrous_rates=('12, 24, 36', 'r50-d8'),
  multi_grid=('none', 'r50-d8'),
  head=(
    'ASPP of 512, separable, mean of the picture, joined by a 3x3',
    'r50-d8',
  ),
  decoder=('V3+, 2 x 512, separable', 'r50-d8'),
  dropout=('0.1', 'r50-d8'),
  input_scales=('1', 'r50-d8'),
  upsampling=('half-pixel', 'r50-d8'),
  precision=('float32', 'README.md; with fp16 it is another config'),
  loss=('cross entropy', 'r50-d8'),
  loss_over=('all pixels, void too, at full size', 'cross_entropy_loss.py'),
  class_weights=('none', 'r50-d8'),
  hard_pixels=('all count', 'r50-d8'),
  auxiliary_loss=('FCN head x 0.4', 'r50-d8'),
  eval_input=('whole picture', 'r50-d8; cityscapes.py'),
  eval_output_stride=('8', 'r50-d8'),
  eval_scales=('1, not mirrored', 'cityscapes.py'),
  crf=('none', 'r50-d8'),
)
_REASONS = dict(
  initial_weights=reasons.WEIGHTS,
  head="The paper's head: dense, 256 channels, joined by a 1x1.",
  decoder="The paper's decoder: dense, 256 channels.",
  precision='Half the memory for features. Logits and parameters stay float32.',
  loss_over='A void pixel has no part in the mean, as in all configs here. '
  'With a tenth of the pixels void the loss is a ninth larger than theirs.',
)
PAPERS = {
  'r101': dict(
    title="DeepLabV3+ over ResNet-101, output stride 8; mmsegmentation's.",
    published=(
      '80.97 mIoU on Cityscapes val, 82.03 with scales and flip (README.md)',
    ),
    theirs=_STRIDE_8,
    reasons=_REASONS,
  ),
  'r101:os16': dict(
    title="The same at output stride 16, mmsegmentation's D16-MG124.",
    published=('79.90 mIoU on Cityscapes val (README.md)',),
    theirs={
      **_STRIDE_8,
      'output_stride': ('16', 'r101-d16'),
      'atrous_rates': ('6, 12, 18', 'r101-d16'),
      'multi_grid': ('1, 2, 4', 'r101-d16'),
      'hard_pixels': (
        'hardest 19%',
        'r101-d16 100,000 of 524,288 a picture; ohem_pixel_sampler.py',
      ),
      'eval_output_stride': ('16', 'r101-d16'),
    },
    reasons={
      **_REASONS,
      'multi_grid': 'The same rates, 1, 2, 4: theirs are absolute, ours '
      'multiply the 1, 2, 2 of this stride.',
      'hard_pixels': 'Theirs mines for this network alone; here the output '
      'stride is the one thing that differs from r101. '
      '`--config.loss.hard_pixels=0.19` mines, in both heads.',
    },
  ),
}
