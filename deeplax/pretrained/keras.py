"""Keras: `keras.applications`, and the port of DeepLabV3+ to Keras.

| file                     | config.model                                   |
|--------------------------|------------------------------------------------|
| VGG16                    | encoder='vgg', variant='16',                   |
|                          | input_norm='vgg'                               |
| ResNet50, 101, 152       | encoder='resnet', variant='50_caffe', ...,     |
|                          | input_norm='vgg', encoder_bn_epsilon=1.001e-5  |
| MobileNetV2              | encoder='mobilenet_v2', variant='1.0_1280',    |
|                          | ..., padding='same', input_norm='symmetric',   |
|                          | encoder_bn_epsilon=1e-3                        |
| deeplabv3_xception_*,    | as of `tf_deeplab`: encoder='xception',        |
| deeplabv3_mobilenetv2_*  | variant='65', head_separable=True,             |
|                          | decoder_separable=True; encoder=               |
|                          | 'mobilenet_v2', variant='1.0', atrous_rates=() |

The last two are those of bonlime/keras-deeplab-v3-plus, made of the authors'
checkpoints: results are the authors', with align_corners=True. Its Xception
pads the first convolution as TensorFlow does, which at even sizes is half a
pixel off.

VGG16 and ResNet were trained on BGR: the inputs of their first kernel are
turned round. Biases of convolutions before batch norm go into its mean.

`.h5`, `.weights.h5` or `.keras`, of Keras 2 or 3. Nothing in it is executed.
"""

import pathlib
import re

import numpy as np

from deeplax.errors import WeightsError
from deeplax.models.options import Options
from deeplax.pretrained import hdf5, tf_names
from deeplax.pretrained.filling import File, Found

_LEFT_OUT = (
  (r'(predictions|fc\d)/(kernel|bias)', "the classifier of ImageNet's"),
  (r'Conv_1(_bn)?/.*', "the classifier's last 1x1: variants _1280 have it"),
  (r'seed_generator.*/.*', 'the state of a random generator'),
)
_BN = ('gamma', 'beta', 'moving_mean', 'moving_variance')
_BN_LEAVES = dict(zip(('scale', 'bias', 'mean', 'var'), _BN))


def read(path: pathlib.Path) -> File:
  """Reads weights, with or without the network they are of.

  Raises:
    WeightsError: The file is damaged, or is none of Keras.
  """
  try:
    tensors = hdf5.read(path)
  except (OSError, ValueError) as error:
    reason = ' '.join(str(error).split())[:200]
    raise WeightsError(
      f'{path} is no whole file of Keras ({reason}). Expected .h5, .weights.h5 '
      'or .keras.'
    ) from error
  if not tensors:
    raise WeightsError(
      f'{path} has no weights with names of layers. Expected what '
      'save_weights or save of Keras writes.'
    )
  return File(path.name, tensors, _LEFT_OUT)


def adapt(file: File, options: Options) -> File:
  """Compares what no tensor tells of with the config; see `tf_names`."""
  kind = _kind(file)
  if kind in ('vgg', 'resnet'):
    wanted = {'encoder': kind, 'input_norm': 'vgg'}
    if kind == 'resnet':
      wanted['variant'] = f'{options.variant.partition("_")[0]}_caffe'
  elif kind:
    wanted = {'encoder': 'mobilenet_v2', 'input_norm': 'symmetric'}
    if kind == 'xception_65':
      wanted['encoder'] = 'xception'
    else:
      wanted['padding'] = 'same'
    wanted['encoder_bn_epsilon'] = 1e-3
  else:
    wanted = {}
  tf_names.compare(file, kind or '', wanted, options)
  return file


# A layer that only such a file has -> its kind.
_KINDS = {
  'entry_flow_conv1_1': 'xception_65',
  'Conv': 'MobilenetV2',
  'Conv1': 'mobilenet_v2',
  'conv1_conv': 'resnet',
  'block1_conv1': 'vgg',
}


def _kind(file: File) -> str | None:
  for layer, kind in _KINDS.items():
    if f'{layer}/kernel' in file.tensors:
      return kind
  return None


def find(path: str, file: File) -> Found | None:
  """What of the file becomes our `path`."""
  module, _, leaf = path.partition('/')[2].rpartition('/')
  kind = _kind(file)
  layers = _layers(module, kind, file)
  if layers is None:
    return None
  conv, norm = layers
  if re.fullmatch(r'bn\d?', module.rpartition('/')[2]):
    name = f'{norm}/{_BN_LEAVES[leaf]}'
    if leaf == 'mean' and f'{conv}/bias' in file.tensors:
      return Found((name, f'{conv}/bias'), np.subtract, 'less the bias')
    return Found((name,), np.asarray)
  name = f'{conv}/{leaf}'
  if leaf == 'bias':
    return Found((name,), np.asarray)
  if module.endswith('depthwise/conv'):
    return tf_names.depthwise_kernel(name)
  if module == 'logits' and conv == 'predictions':
    return Found((name,), lambda k: k[None, None], 'matrix to 1x1 kernel')
  if conv in ('conv1_conv', 'block1_conv1'):
    return Found((name,), lambda k: k[:, :, ::-1], 'BGR to RGB')
  pooling = file.tensors.get('image_pooling/kernel')
  return tf_names.kernel(module, name, pooling)


def _layers(
  module: str, kind: str | None, file: File
) -> tuple[str, str] | None:
  """Names of the convolution and of its batch norm."""
  module = re.sub(r'/(conv|bn)$', '', module)
  if kind in ('xception_65', 'MobilenetV2'):
    return _deeplab(module, kind, file)
  if module == 'logits':
    parts = {path.split('/')[1] for path in file.ours}
    return ('predictions', '') if parts == {'encoder', 'logits'} else None
  if kind == 'vgg':
    match = re.fullmatch(r'encoder/block(\d)/conv(\d)', module)
    return (f'block{match[1]}_conv{match[2]}', '') if match else None
  if kind == 'resnet':
    return _resnet(module)
  return _mobilenet(module) if kind else None


def _deeplab(module, kind, file):
  name = tf_names.scope(module, kind, beta=False)
  if name is None:
    return None
  name = name.removeprefix(f'{kind}/').removeprefix('decoder/')
  name = name.replace('/xception_module', '')
  name = name.replace('middle_flow/block1', 'middle_flow')
  name = name.replace('/unit_1/', '/') if 'block' in name else name
  name = name.replace('/', '_')
  if name == 'logits_semantic' and f'{name}/kernel' not in file.tensors:
    name = 'custom_logits_semantic'
  return name, f'{name}_BN'


def _resnet(module):
  if re.fullmatch(r'encoder/stage1/(conv|bn)1', module):
    return 'conv1_conv', 'conv1_bn'
  match = re.fullmatch(
    r'encoder/stage(\d)/unit(\d+)/(?:(?:conv|bn)(\d)|shortcut)', module
  )
  if not match:
    return None
  name = f'conv{match[1]}_block{match[2]}_{match[3] or 0}'
  return f'{name}_conv', f'{name}_bn'


def _mobilenet(module):
  if module == 'encoder/stage1/root':
    return 'Conv1', 'bn_Conv1'
  if module == 'encoder/stage5/last':
    return 'Conv_1', 'Conv_1_bn'
  match = re.fullmatch(r'encoder/stage(\d)/unit(\d+)/(\w+)', module)
  if not match:
    return None
  number = tf_names.MOBILENET[int(match[1])] + int(match[2]) - 1
  name = f'block_{number}' if number else 'expanded_conv'
  return f'{name}_{match[3]}', f'{name}_{match[3]}_BN'
