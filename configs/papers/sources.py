"""Where the values are from: papers by section, code by file."""

_DEEPLAB = 'tensorflow/models, research/deeplab/'
_MMSEG = 'open-mmlab/mmsegmentation, '
_COURSE = 'fregu856/deeplabv3, '

SOURCES = {
  'V1': 'Chen et al. 2015, arXiv:1412.7062',
  'V2': 'Chen et al. 2016, arXiv:1606.00915',
  'V3': 'Chen et al. 2017, arXiv:1706.05587',
  'V3+': 'Chen et al. 2018, arXiv:1802.02611',
  'MNv2': 'Sandler et al. 2018, arXiv:1801.04381',
  'U-Net': 'Ronneberger et al. 2015, arXiv:1505.04597',
  'prototxt': "the authors' solver, train and test files of DeepLab-LargeFOV",
  'voc12.yaml': 'kazuto1011/deeplab-pytorch, configs/voc12.yaml, a port of '
  "V2's with 76.65 where the authors have 76.35",
  'port main.py': 'kazuto1011/deeplab-pytorch, main.py',
  'isht7': 'isht7/pytorch-deeplab-resnet, readme.md, on what V2 does in Caffe',
  'train.py': f'{_DEEPLAB}train.py, flags',
  'common.py': f'{_DEEPLAB}common.py, flags',
  'model.py': f'{_DEEPLAB}model.py',
  'feature_extractor.py': f'{_DEEPLAB}core/feature_extractor.py',
  'input_preprocess.py': f'{_DEEPLAB}input_preprocess.py',
  'train_utils.py': f'{_DEEPLAB}utils/train_utils.py',
  'eval.py': f'{_DEEPLAB}eval.py, flags',
  'cityscapes.md': f'{_DEEPLAB}g3doc/cityscapes.md',
  'model_zoo.md': f'{_DEEPLAB}g3doc/model_zoo.md',
  'issue 3677': "github.com/tensorflow/models/issues/3677, an author's answer "
  'on what was used for train_fine of Cityscapes',
  'mobilenet.py': 'tensorflow/models, research/slim/nets/mobilenet/'
  'mobilenet.py',
  'slim': 'tf.contrib.slim.batch_norm, defaults',
  'r50-d8': f'{_MMSEG}configs/_base_/models/deeplabv3plus_r50-d8.py',
  'r101-d8': f'{_MMSEG}configs/deeplabv3plus/'
  'deeplabv3plus_r101-d8_4xb2-80k_cityscapes-512x1024.py',
  'r101-d16': f'{_MMSEG}configs/deeplabv3plus/'
  'deeplabv3plus_r101-d16-mg124_4xb2-80k_cityscapes-512x1024.py',
  'cityscapes.py': f'{_MMSEG}configs/_base_/datasets/cityscapes.py',
  'schedule_80k.py': f'{_MMSEG}configs/_base_/schedules/schedule_80k.py',
  'cross_entropy_loss.py': f'{_MMSEG}mmseg/models/losses/'
  'cross_entropy_loss.py, avg_non_ignore=False',
  'ohem_pixel_sampler.py': f'{_MMSEG}mmseg/structures/sampler/'
  'ohem_pixel_sampler.py',
  'README.md': f'{_MMSEG}configs/deeplabv3plus/README.md',
  'upstream train.py': f'{_COURSE}train.py',
  'upstream utils.py': f'{_COURSE}utils/utils.py',
  'notebook': 'KlamJ/DeepLab_V3_KL, Klamer_U_Net.ipynb, at the commit named',
  'PyTorch': 'defaults of torch.optim.Adam, torch.nn.BatchNorm2d and '
  'torch.nn.functional.upsample',
}
