"""DeepLab V1 and V2 as their authors' Caffe code trains them."""

from configs.papers import reasons

_AT_FULL_SIZE = (
  "The loss is taken at the labels' size, as V3 found better; theirs at a "
  'stride of 8 pixels.'
)
_V1 = dict(
  optimizer=('SGD, momentum 0.9', 'V1 5; prototxt'),
  learning_rate=('0.001', 'V1 5; prototxt'),
  schedule=('x 0.1 at steps 2,000, 4,000', 'V1 5; prototxt'),
  warm_up=('0 steps', 'prototxt'),
  rate_factors=('class scores x 10, biases x 2', 'prototxt'),
  weight_decay=('0.0005', 'V1 5; prototxt'),
  decayed=('kernels', 'prototxt'),
  initial_weights=('ImageNet', 'V1 5'),
  pictures=('voc trainaug, 10,582', 'V1 5'),
  batch=('30', 'prototxt; V2 4.1.2, table 2; V1 5 has 20'),
  steps=('6,000', 'prototxt; V2 4.1.2, table 2'),
  crop=('321x321', 'prototxt; V3 A'),
  augmentation=('flip', 'prototxt'),
  batch_norm=('none', 'prototxt'),
  output_stride=('8', 'V1 3.1; prototxt'),
  atrous_rates=('12', 'prototxt; V2 4.1.1'),
  head=('LargeFOV of 1,024', 'prototxt; V2 4.1.1'),
  decoder=('none', 'prototxt'),
  dropout=('0.5', 'prototxt'),
  upsampling=('corners aligned', 'prototxt'),
  loss=('cross entropy', 'V1 3.1; prototxt'),
  loss_over=('all positions at stride 8', 'V1 3.1'),
  class_weights=('none', 'V1 3.1'),
  eval_output_stride=('8', 'V1 3.1'),
  crf=(
    '10 iterations; 3 within 3 pixels; 5 within 50 pixels and 10 levels',
    'V1 5; prototxt',
  ),
)
_V2 = dict(
  schedule=('poly 0.9 to 0', 'V2 4.1.2'),
  rate_factors=('class scores x 10, biases x 2', 'port main.py; isht7'),
  decayed=('kernels', 'port main.py'),
  scale=('0.5 to 1.5', 'V2 4.1.2'),
  augmentation=('flip', 'isht7'),
  batch_norm=(
    'statistics frozen, scales and biases x 0',
    'isht7; port main.py',
  ),
  output_stride=('8', 'V2 3.1'),
  atrous_rates=('6, 12, 18, 24', 'V2 4.1.2'),
  multi_grid=('none', 'V2 3.1'),
  head=('ASPP, summed', 'V2 3.2'),
  decoder=('none', 'V2'),
  loss=('cross entropy', 'V2 4'),
  loss_over=('labelled positions at stride 8', 'V2 4'),
  class_weights=('none', 'V2 4'),
  eval_output_stride=('8', 'V2 3.1'),
  crf=(
    '10 iterations; 3 within 1 pixels; 4 within 67 pixels and 3 levels',
    'voc12.yaml',
  ),
)
_V2_REASONS = dict(
  initial_weights=reasons.WEIGHTS,
  loss_over=_AT_FULL_SIZE,
)
PAPERS = {
  'v1_vgg16:voc': dict(
    title="DeepLab V1, LargeFOV over VGG-16, on VOC; the authors'.",
    published=('62.25 mIoU on VOC val, 67.64 with the CRF (V1 5, table 1)',),
    theirs=_V1,
    reasons=dict(
      initial_weights='`:voc,torchvision` starts from them; fc6 and fc7 start '
      "afresh, where the authors cut them out of VGG's.",
      loss_over=_AT_FULL_SIZE,
    ),
  ),
  'v2_r101': dict(
    title="DeepLab V2, ASPP-L over ResNet-101; the authors'.",
    published=('71.0 mIoU on Cityscapes val, 71.4 with the CRF (V2 4.4)',),
    theirs=dict(
      **_V2,
      initial_weights=('ImageNet', 'V2 4, 4.4, table 9 names no COCO'),
      pictures=('cityscapes train, 2,975', 'V2 4.4'),
      input_scales=('1', 'V2 4.4, for lack of memory'),
      eval_input=('overlapping regions at full size', 'V2 4.4'),
    ),
    reasons=dict(
      **_V2_REASONS,
      input_scales='The scales of VOC, which fit into memory today; '
      '`--config.model.input_scales="(1.0,)"` has the one.',
      eval_input='The whole picture fits into memory today; V3 C evaluates so.',
    ),
  ),
  'v2_r101:voc': dict(
    title="DeepLab V2, ASPP-L over ResNet-101, on VOC; the authors'.",
    published=(
      '76.35 mIoU on VOC val, 77.69 with the CRF (V2 4.1.2, table 4)',
    ),
    theirs=dict(
      **{**_V2, 'scale': ('0.5 to 1.5, steps of 0.25', 'isht7; voc12.yaml')},
      optimizer=('SGD, momentum 0.9', 'voc12.yaml'),
      learning_rate=('0.00025', 'voc12.yaml'),
      warm_up=('0 steps', 'voc12.yaml'),
      weight_decay=('0.0005', 'voc12.yaml'),
      initial_weights=('COCO', 'V2 4.1.2; voc12.yaml'),
      pictures=('voc trainaug, 10,582', 'V2 4.1'),
      batch=('10', 'V2 4.1.2; voc12.yaml 2 x 5'),
      steps=('20,000', 'V2 4.1.2; voc12.yaml'),
      crop=('321x321', 'V3 A; voc12.yaml'),
      input_scales=('1, 0.75, 0.5', 'V2 4.1.2'),
      eval_input=('padded to multiples of 513', 'voc12.yaml; none is larger'),
    ),
    reasons=dict(
      **{
        **_V2_REASONS,
        'initial_weights': "Theirs go through COCO first. The docstring's "
        "commands give ImageNet's by `--config.init_from`.",
      },
      scale=reasons.STEPS_OF_SCALE,
    ),
  ),
}
