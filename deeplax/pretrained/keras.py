"""Keras: encoders of keras.applications, and the Keras port of DeepLabV3+.

| file                    | config.model                                     |
|-------------------------|--------------------------------------------------|
| VGG16                   | encoder='vgg', variant='16' or '16_large_fov',   |
|                         | input_norm='vgg'                                 |
| ResNet50, 101, 152      | variant='50_caffe', '101_caffe', '152_caffe',    |
|                         | input_norm='vgg', encoder_bn_epsilon=1.001e-5    |
| MobileNetV2             | encoder='mobilenet_v2', variant='1.0_1280', ..., |
|                         | padding='same', input_norm='symmetric',          |
|                         | encoder_bn_epsilon=1e-3                          |
| DeepLabV3+ over         | encoder='xception', variant='65',                |
| Xception                | head_separable=True, decoder_separable=True,     |
|                         | input_norm='symmetric', align_corners=True,      |
|                         | encoder_bn_epsilon=1e-3                          |
| the same over           | encoder='mobilenet_v2', variant='1.0', '0.5',    |
| MobileNetV2             | ..., atrous_rates=(), decoder='none',            |
|                         | input_norm, align_corners, epsilon as above      |

The first three are classifiers: head and decoder start afresh, but for the
classifier itself, head='global_pool' and decoder='none', which ResNets and
MobileNetV2 fill too. ResNets' convolutions have biases before batch norm; they
go into its means. VGG and ResNets want the channels blue first: the first
kernel is turned round, so that pictures stay RGB.

Files are `.h5` (weights, or whole models), `.weights.h5` and `.keras`. Models
in them are not built, so nothing in them is executed.
"""

import io
import pathlib
import re
import zipfile

import h5py
import numpy as np

from deeplax.errors import WeightsError
from deeplax.pretrained.filling import File, Found

_CLASSIFIER = 'the image classifier: the network of this config has none'
_LEFT_OUT = (
  (r'(predictions|fc[12])/\w+', _CLASSIFIER),
  (
    r'Conv_1(_bn)?/\w+',
    "the classifier's last 1x1: variants with _1280 have it",
  ),
  (r'(optimizer|vars|seed_generator|rescaling|normalization).*', 'no weight'),
)
_BN = {
  'scale': 'gamma',
  'bias': 'beta',
  'mean': 'moving_mean',
  'var': 'moving_variance',
}
# Units of MobileNetV2 before each stage.
_MOBILENET = {1: 0, 2: 1, 3: 3, 4: 6, 5: 13}


def read(path: pathlib.Path) -> File:
  """Reads the arrays of all layers, as `layer/kernel`, `layer/gamma`, ...

  Raises:
    WeightsError: The file is not there, is damaged, or no file of Keras.
  """
  if not path.is_file():
    raise WeightsError(f'there is no file {path}.')
  try:
    with h5py.File(_hdf5(path), 'r') as file:
      tensors = _legacy(file) if _is_legacy(file) else _keras_3(file)
  except (OSError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
    reason = ' '.join(str(error).split())[:200]
    raise WeightsError(
      f'{path} is no whole file of Keras ({reason}). Expected .h5, .weights.h5 '
      'or .keras; copy it again.'
    ) from error
  if not tensors:
    raise WeightsError(f'{path} holds no layer with weights.')
  return File(path.name, tensors, _LEFT_OUT)


def _hdf5(path: pathlib.Path):
  """The HDF5 file itself: the whole, or what a .keras archive has inside."""
  if not zipfile.is_zipfile(path):
    return path
  with zipfile.ZipFile(path) as archive:
    return io.BytesIO(archive.read('model.weights.h5'))


def _is_legacy(file: h5py.File) -> bool:
  return 'layer_names' in file.attrs or 'model_weights' in file


def _legacy(file: h5py.File) -> dict[str, np.ndarray]:
  """Keras 1 and 2: names of layers and weights stand in attributes."""
  root = file.get('model_weights', file)
  tensors = {}
  for layer in map(_text, root.attrs['layer_names']):
    group = root[layer]
    for name in map(_text, group.attrs.get('weight_names', ())):
      leaf = name.rpartition('/')[2].partition(':')[0]
      tensors[f'{layer}/{leaf}'] = np.asarray(group[name])
  return tensors


def _keras_3(file: h5py.File) -> dict[str, np.ndarray]:
  """Keras 3: arrays are numbered, and of each layer in one order."""
  tensors = {}

  def visit(path, group):
    if not path.endswith('/vars') or path.startswith('optimizer'):
      return
    arrays = [np.asarray(group[n]) for n in sorted(group, key=int)]
    if not arrays:
      return
    layer = _text(group.attrs.get('name', path.split('/')[-2]))
    leaves = ('kernel', 'bias')
    if len(arrays) in (3, 4) and all(a.ndim == 1 for a in arrays):
      leaves = tuple(_BN.values())[-len(arrays) :]
    if len(arrays) > len(leaves):
      raise WeightsError(
        f'layer {layer} has {len(arrays)} arrays, expected those of a '
        'convolution, a dense layer or batch norm.'
      )
    for leaf, array in zip(leaves, arrays):
      tensors[f'{layer}/{leaf}'] = array

  file.visititems(visit)
  return tensors


def _text(name) -> str:
  return name.decode() if isinstance(name, bytes) else str(name)


def find(path: str, file: File) -> Found | None:
  """What of the file becomes our `path`."""
  module, _, leaf = path.partition('/')[2].rpartition('/')
  conv, norm = _layers(module, file)
  if conv is None:
    return None
  if leaf == 'kernel':
    return _kernel(conv, module, file)
  if norm is None:
    return Found((f'{conv}/bias',), np.asarray)
  bias = f'{conv}/bias'
  if leaf == 'mean' and bias in file.tensors:
    return Found(
      (f'{norm}/moving_mean', bias), np.subtract, 'less the bias before it'
    )
  if leaf == 'scale' and f'{norm}/gamma' not in file.tensors:
    return Found((f'{norm}/beta',), np.ones_like, 'no gamma, that is 1')
  return Found((f'{norm}/{_BN[leaf]}',), np.asarray)


def _kernel(layer: str, module: str, file: File) -> Found:
  name = f'{layer}/kernel'
  if '/depthwise' in module:
    if f'{layer}/depthwise_kernel' in file.tensors:
      name = f'{layer}/depthwise_kernel'
    return Found((name,), lambda k: k.transpose(0, 1, 3, 2), 'HWC1 to HW1C')
  if layer in ('block1_conv1', 'conv1_conv'):
    return Found((name,), lambda k: k[:, :, ::-1], 'BGR to RGB')
  if layer == 'predictions':
    return Found((name,), lambda k: k[None, None], 'a matrix to 1x1')
  pooling = file.tensors.get('image_pooling/kernel')
  if layer == 'concat_projection' and pooling is not None:
    return Found(
      (name,),
      lambda k: np.roll(k, -pooling.shape[-1], axis=2),
      'inputs of image pooling last instead of first',
    )
  return Found((name,), np.asarray)


def _layers(module: str, file: File) -> tuple[str | None, str | None]:
  """Keras' convolution and batch norm of a module of ours, None for none."""
  if module == 'logits':
    for name in ('logits_semantic', 'custom_logits_semantic'):
      if f'{name}/kernel' in file.tensors:
        return name, None
    parts = {path.split('/')[1] for path in file.ours}
    classifies = parts == {'encoder', 'logits'}
    return ('predictions' if classifies else None), None
  if match := re.fullmatch(r'encoder/block(\d)/conv(\d)', module):
    return f'block{match[1]}_conv{match[2]}', None
  if match := re.fullmatch(r'encoder/stage1/(?:conv|bn)1', module):
    return 'conv1_conv', 'conv1_bn'
  unit = r'encoder/stage(\d)/unit(\d+)'
  if match := re.fullmatch(rf'{unit}/(?:conv|bn)(\d)', module):
    name = f'conv{match[1]}_block{match[2]}_{match[3]}'
    return f'{name}_conv', f'{name}_bn'
  if match := re.fullmatch(rf'{unit}/shortcut/(?:conv|bn)', module):
    name = f'conv{match[1]}_block{match[2]}_0'
    return f'{name}_conv', f'{name}_bn'
  module = re.sub(r'/(conv|bn)$', '', module)
  if match := re.fullmatch(rf'{unit}/(\w+)', module):
    return _mobilenet(match, file)
  if module == 'encoder/stage1/root':
    port = 'Conv/kernel' in file.tensors
    return ('Conv', 'Conv_BN') if port else ('Conv1', 'bn_Conv1')
  if module == 'encoder/stage5/last':
    return 'Conv_1', 'Conv_1_bn'
  for pattern, name in _PORT:
    if match := re.fullmatch(pattern, module):
      name = name(match) if callable(name) else name
      return name, f'{name}_BN'
  return None, None


def _mobilenet(match: re.Match, file: File) -> tuple[str, str]:
  number = _MOBILENET[int(match[1])] + int(match[2]) - 1
  name = 'expanded_conv'
  if number:
    port = 'expanded_conv_1_expand/kernel' in file.tensors
    name = f'expanded_conv_{number}' if port else f'block_{number}'
  return f'{name}_{match[3]}', f'{name}_{match[3]}_BN'


def _part(text: str | None) -> str:
  return (text or '').replace('/', '_')


_PORT = (
  (r'encoder/root(\d)', lambda m: f'entry_flow_conv1_{m[1]}'),
  (
    r'encoder/(entry|exit)/unit(\d)/conv(\d)(/\w+)',
    lambda m: f'{m[1]}_flow_block{m[2]}_separable_conv{m[3]}{_part(m[4])}',
  ),
  (
    r'encoder/(entry|exit)/unit(\d)/shortcut',
    lambda m: f'{m[1]}_flow_block{m[2]}_shortcut',
  ),
  (
    r'encoder/middle/unit(\d+)/conv(\d)(/\w+)',
    lambda m: f'middle_flow_unit_{m[1]}_separable_conv{m[2]}{_part(m[3])}',
  ),
  (r'head/aspp/branch(\d)(/\w+)?', lambda m: f'aspp{m[1]}{_part(m[2])}'),
  (r'head/aspp/image_pooling', 'image_pooling'),
  (r'head/project', 'concat_projection'),
  (r'decoder/low_level', 'feature_projection0'),
  (
    r'decoder/conv(\d)(/\w+)',
    lambda m: f'decoder_conv{int(m[1]) - 1}{_part(m[2])}',
  ),
)
