"""TensorFlow 1 checkpoints of the DeepLab authors' code and of slim.

| scope in the file | config.model                                          |
|-------------------|-------------------------------------------------------|
| resnet_v1_50 (101,| encoder='resnet', variant='50_slim', input_norm='mean'|
| 152), conv1       |                                                       |
| the same, conv1_1 | variant='50_beta', input_norm='symmetric'             |
| xception_41 (65,  | encoder='xception', variant='41', input_norm=         |
| 71)               | 'symmetric', encoder_bn_epsilon=1e-3                  |
| MobilenetV2       | encoder='mobilenet_v2', variant='1.0', '0.5', ...     |
|                   | ('1.0_1280' with Conv_1, slim's classifier),          |
|                   | padding='same', input_norm='symmetric',               |
|                   | encoder_bn_epsilon=1e-3                               |

All with align_corners=True, bn_epsilon=1e-5 and, to go on training, bn_decay
0.9997. The head: head_separable=True where the file has aspp1_depthwise, or
atrous_rates=() where it has no aspp1; image_pooling=False without
image_pooling; head='aspp_sum' with logits/semantic_1. The decoder:
decoder_separable=True where the file has decoder_conv0_depthwise.

`--weights` is what TensorFlow calls the prefix, `model.ckpt-30000`, or one of
its files, or a folder with one checkpoint, or a single file as slim's of 2016.
Equal results need pictures of 16 k + 1 pixels (513, 769): at even sizes
TensorFlow's max pool of ResNets is shifted by half a pixel.

Not taken: networks with dense prediction cells or NAS, and those trained with
`regularize_depthwise`, which lack batch norm between depthwise and 1x1.
"""

import math
import pathlib
import re

import numpy as np

from deeplax.errors import WeightsError
from deeplax.models.options import Options
from deeplax.pretrained import tf_names
from deeplax.pretrained.filling import File, Found

_LEFT_OUT = (
  (r'global_step', 'the number of training steps'),
  (
    r'.*/(Momentum|Adam(_\d)?|RMSProp(_\d)?)|beta[12]_power',
    'a state of the optimizer',
  ),
  (
    r'.*/ExponentialMovingAverage',
    'a moving average of weights: the weights themselves are taken',
  ),
  (
    r'((resnet_v1_\d+|xception_\d+)/logits|MobilenetV2/Logits|.*AuxLogits)/.*',
    "the classifier of ImageNet's",
  ),
  (r'.*/mean_rgb', 'the mean colour, which input_norm has'),
  (
    r'MobilenetV2/Conv_1/.*',
    "the classifier's last 1x1: the variants with _1280 have it",
  ),
)
_SCOPE = r'(resnet_v1_\d+|xception_\d+|MobilenetV2)/'
_BN = {
  'scale': 'gamma',
  'bias': 'beta',
  'mean': 'moving_mean',
  'var': 'moving_variance',
}


def read(path: pathlib.Path) -> File:
  """Reads a checkpoint by TensorFlow itself.

  Raises:
    WeightsError: There is none, it is damaged or of TensorFlow 2's objects, or
      TensorFlow is not installed.
  """
  prefix = _prefix(path)
  try:
    import tensorflow as tf
  except ImportError as error:
    raise WeightsError(
      f'{path.name} is read by TensorFlow, which is not installed: pip '
      'install tensorflow-cpu.'
    ) from error
  name = None
  try:
    _check_table(prefix)
    reader = tf.train.load_checkpoint(str(prefix))
    shapes = reader.get_variable_to_shape_map()
    names = sorted(shapes)
    _check_sizes(prefix, shapes, reader.get_variable_to_dtype_map())
    tensors = {}
    for name in names:
      tensors[name] = np.asarray(reader.get_tensor(name))
  except (tf.errors.OpError, RuntimeError, ValueError, IndexError) as error:
    reason = ' '.join(str(error).split())[:200]
    at = f' at {name}' if name else ''
    raise WeightsError(
      f'{prefix} is no whole checkpoint{at} ({reason}). Copy its .index and '
      '.data files again.'
    ) from error
  objects = [n for n in names if n.endswith('.ATTRIBUTES/VARIABLE_VALUE')]
  if objects:
    raise WeightsError(
      f'{prefix} is a checkpoint of TensorFlow 2, with {objects[0]}. Expected '
      'names such as xception_65/entry_flow/conv1_1/weights.'
    )
  return File(prefix.name, tensors, _LEFT_OUT)


def _prefix(path: pathlib.Path) -> pathlib.Path:
  """What the files of a checkpoint have in common."""
  if path.is_dir():
    there = sorted(path.glob('*.index'))
    if len(there) != 1:
      names = ', '.join(p.stem for p in there) or 'none'
      raise WeightsError(
        f'{path} must hold one checkpoint; it has {names}. Give the prefix, '
        'such as model.ckpt-30000.'
      )
    path = there[0]
  match = re.fullmatch(r'(.+)\.(index|meta|data-\d+-of-\d+)', path.name)
  prefix = path.with_name(match[1]) if match else path
  if prefix.is_file():  # slim's of 2016, all in one file
    return prefix
  for pattern in (f'{prefix.name}.index', f'{prefix.name}.data-*'):
    if not any(prefix.parent.glob(pattern)):
      raise WeightsError(
        f'There is no {prefix.parent / pattern}. A checkpoint has an .index '
        'and .data files; unpack a .tar.gz first.'
      )
  return prefix


def _check_table(prefix: pathlib.Path) -> None:
  """Raises a ValueError for a table of contents that claims more than there is.

  TensorFlow would take the memory first. The last 48 bytes say where the parts
  are: offset and size, twice, in seven bits a byte.
  """
  path = (
    prefix if prefix.is_file() else prefix.with_name(f'{prefix.name}.index')
  )
  content = path.read_bytes()
  at, numbers = max(len(content) - 48, 0), []
  for _ in range(4):
    number = shift = 0
    while True:
      byte = content[at]
      number |= (byte & 127) << shift
      at, shift = at + 1, shift + 7
      if byte < 128:
        break
    numbers.append(number)
  if max(numbers[0] + numbers[1], numbers[2] + numbers[3]) > len(content):
    raise ValueError(f'{path.name} ends beyond its {len(content)} bytes')


def _check_sizes(prefix: pathlib.Path, shapes: dict, kinds: dict) -> None:
  """Raises a ValueError for tensors that the files have no room for."""
  paths = [p for p in prefix.parent.glob(f'{prefix.name}*') if p.is_file()]
  room = sum(path.stat().st_size for path in paths)
  claimed = sum(math.prod(s) * (kinds[n].size or 1) for n, s in shapes.items())
  if claimed > room:
    raise ValueError(f'tensors of {claimed} bytes in files of {room}')


def adapt(file: File, options: Options) -> File:
  """Compares what no tensor tells of with the config.

  Raises:
    WeightsError: The network would take the weights, but give other results.
  """
  scope = _scope(file)
  if scope is None:
    return file
  wanted = {'encoder': 'resnet', 'input_norm': 'symmetric'}
  epsilon = 1e-3
  if scope.startswith('resnet'):
    epsilon = 1e-5
    depth = scope.rpartition('_')[2]
    wanted['variant'] = f'{depth}_slim'
    if _is_beta(file, scope):
      wanted['variant'] = f'{depth}_beta'
    else:
      wanted['input_norm'] = 'mean'
  elif scope.startswith('xception'):
    wanted |= {'encoder': 'xception', 'variant': scope.rpartition('_')[2]}
  else:
    wanted['encoder'] = 'mobilenet_v2'
  wanted['encoder_bn_epsilon'] = epsilon
  tf_names.compare(file, scope, wanted, options)
  return file


def _is_beta(file: File, scope: str | None) -> bool:
  return f'{scope}/conv1_1/weights' in file.tensors


def _scope(file: File) -> str | None:
  """Of the encoder: `xception_65`; None in a file of anything else."""
  for name in file.tensors:
    match = re.match(_SCOPE, name)
    if match:
      return match[1]
  return None


def find(path: str, file: File) -> Found | None:
  """What of the file becomes our `path`."""
  module, _, leaf = path.partition('/')[2].rpartition('/')
  encoder = _scope(file)
  scope = tf_names.scope(
    re.sub(r'/(conv|bn)$', '', module), encoder, beta=_is_beta(file, encoder)
  )
  if scope is None:
    return None
  if re.fullmatch(r'bn\d?', module.rpartition('/')[2]):
    return _norm(f'{scope}/BatchNorm', leaf, file)
  if leaf == 'bias':
    return Found((f'{scope}/biases',), np.asarray)
  if f'{scope}/depthwise_weights' in file.tensors:
    return tf_names.depthwise_kernel(f'{scope}/depthwise_weights')
  pooling = file.tensors.get('image_pooling/weights')
  return tf_names.kernel(module, f'{scope}/weights', pooling)


def _norm(scope: str, leaf: str, file: File) -> Found:
  if leaf == 'scale' and f'{scope}/gamma' not in file.tensors:
    return Found((f'{scope}/beta',), np.ones_like, 'no gamma, that is 1')
  return Found((f'{scope}/{_BN[leaf]}',), np.asarray)
