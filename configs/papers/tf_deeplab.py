"""DeepLabV3 and V3+ as their authors' TensorFlow code trains them."""

from configs.papers import reasons

# What their code does for every network.
_CODE = dict(
  optimizer=('SGD, momentum 0.9', 'train.py'),
  schedule=('poly 0.9 to 0', 'V3 4.1; train.py'),
  warm_up=('0 steps', 'train.py slow_start_step'),
  rate_factors=('biases x 2', 'train_utils.py'),
  scale=('0.5 to 2, steps of 0.25', 'train.py'),
  augmentation=('flip', 'V3 4.1; input_preprocess.py'),
  batch_norm=('trained', 'V3 4.1; cityscapes.md'),
  output_stride=('16', 'V3 4.1; cityscapes.md'),
  dropout=('0.1', 'model.py'),
  input_scales=('1', 'common.py image_pyramid'),
  upsampling=('corners aligned', 'model.py'),
  precision=('float32', 'feature_extractor.py'),
  loss=('cross entropy', 'train_utils.py'),
  loss_over=('labelled pixels at full size', 'V3 4.1; train_utils.py'),
  class_weights=('none', 'train.py'),
  hard_pixels=('all count', 'train.py top_k_percent_pixels'),
  auxiliary_loss=('none', 'train.py'),
  eval_input=(
    'padded to multiples of 16, and 1',
    'cityscapes.md: 1025x2049; input_preprocess.py',
  ),
  eval_output_stride=('16', 'cityscapes.md'),
  eval_scales=('1, not mirrored', 'eval.py'),
)
# What the papers add on Cityscapes.
_CITYSCAPES = dict(
  initial_weights=('ImageNet', 'V3 4; model_zoo.md'),
  pictures=('cityscapes train, 2,975', 'V3 C'),
  batch=('16', 'V3 4.1, C'),
  steps=('90,000', 'V3 C; cityscapes.md'),
  crop=('769x769', 'V3 C; cityscapes.md'),
)
_V3 = dict(
  **_CODE,
  **_CITYSCAPES,
  learning_rate=('0.007', 'V3 4.1, C'),
  weight_decay=('0.0001', 'train.py, of ResNets'),
  decayed=('kernels', 'model.py'),
  bn_decay=(
    '0.9997',
    'V3 4.1; feature_extractor.py, since, has 0.95 in the encoder',
  ),
  bn_epsilon=('1e-05', 'feature_extractor.py; model.py'),
  atrous_rates=('6, 12, 18', 'V3 3.3'),
  multi_grid=('1, 2, 4', 'V3 4.3'),
  head=('ASPP of 256, mean of the picture', 'V3 3.3'),
  decoder=('none', 'V3'),
  crf=('none', 'V3 4.3'),
)
_XCEPTION = dict(
  **_CODE,
  **_CITYSCAPES,
  learning_rate=('0.01', 'issue 3677; V3+ 4 has 0.007 for VOC'),
  weight_decay=('4e-05', 'train.py, of Xception'),
  decayed=('kernels but depthwise', 'feature_extractor.py; model.py'),
  bn_decay=('0.9997', 'feature_extractor.py; model.py'),
  bn_epsilon=(
    '0.001, behind the encoder 1e-05',
    'feature_extractor.py; model.py',
  ),
  atrous_rates=('6, 12, 18', 'cityscapes.md'),
  multi_grid=('none', 'V3+ 4.3'),
  head=(
    'ASPP of 256, separable, mean of the picture',
    'V3+ 4.5; common.py; model.py',
  ),
  decoder=('V3+, 2 x 256, separable', 'common.py; model.py'),
  crf=('none', 'V3+ 4.5'),
)
_REASONS = dict(
  initial_weights=reasons.WEIGHTS,
  scale=reasons.STEPS_OF_SCALE,
)
PAPERS = {
  'x65': dict(
    title="DeepLabV3+ over Aligned Xception-65; the authors'.",
    published=(
      '78.79 mIoU on Cityscapes val at output stride 16, 80.42 at 8 with '
      'scales and flip (model_zoo.md)',
    ),
    theirs=_XCEPTION,
    reasons=_REASONS,
  ),
  'x71': dict(
    title="DeepLabV3+ over Aligned Xception-71; the authors'.",
    published=('79.55 mIoU on Cityscapes val (V3+ 4.5, table 7)',),
    theirs={
      **_XCEPTION,
      'head': ('ASPP of 256, separable', 'V3+ 4.5, table 7'),
    },
    reasons=_REASONS,
  ),
  'v3_r101': dict(
    title="DeepLabV3 over ResNet-101; the authors'.",
    published=(
      '77.23 mIoU on Cityscapes val at output stride 16, 77.82 at 8, 79.30 '
      'at 8 with scales and flip (V3 C, table 12)',
    ),
    theirs=_V3,
    reasons=_REASONS,
  ),
  'v3_r50': dict(
    title='DeepLabV3 over ResNet-50, by the recipe for ResNet-101.',
    published=('none on Cityscapes (V3 4.2 has ResNet-50 on VOC only)',),
    theirs=_V3,
    reasons=_REASONS,
  ),
  'mobilenet_v2': dict(
    title="DeepLabV3 over MobileNetV2; the authors'.",
    published=(
      '70.71 mIoU on Cityscapes val at output stride 16, 73.57 at 8 with '
      'scales and flip (model_zoo.md)',
    ),
    theirs=dict(
      **_CODE,
      weight_decay=('4e-05', 'train.py, of MobileNetV2'),
      decayed=('kernels but depthwise', 'mobilenet.py; model.py'),
      initial_weights=('COCO', 'model_zoo.md'),
      pictures=('cityscapes train, 2,975', 'model_zoo.md; V3 C'),
      bn_decay=('0.997, behind the encoder 0.9997', 'mobilenet.py; model.py'),
      bn_epsilon=('0.001, behind the encoder 1e-05', 'slim; model.py'),
      atrous_rates=('none', 'MNv2 6.3; model_zoo.md'),
      multi_grid=('none', 'common.py, of ResNets'),
      head=('ASPP of 256, mean of the picture', 'MNv2 6.3; model.py'),
      decoder=('none', 'model_zoo.md'),
    ),
    reasons=dict(
      scale=reasons.STEPS_OF_SCALE,
      initial_weights='Nobody has published those of COCO alone: the '
      "docstring's commands make those of COCO and VOC, or ImageNet's.",
      bn_decay='One key serves encoder and head. 0.9997 looks back over 3,300 '
      'of 90,000 steps, 0.997 over 330; the last ones hardly change a weight.',
    ),
  ),
}
