"""Names and order of the DeepLab authors' weights; ports to Keras kept them."""

import re

import numpy as np

from deeplax.errors import WeightsError
from deeplax.models.options import Options
from deeplax.pretrained import differences
from deeplax.pretrained.filling import File, Found

# Units before each stage of MobileNetV2.
MOBILENET = {1: 0, 2: 1, 3: 3, 4: 6, 5: 13}


def compare(
  file: File, what: str, wanted: dict[str, object], options: Options
) -> None:
  """Compares what no tensor tells of with the config.

  Raises:
    WeightsError: The network would take the weights, but give other results.
  """
  differing = differences.differing(options, wanted)
  if differing:
    raise WeightsError(
      f'{file.name} holds {what}, another network than config.model: '
      f'{differences.words(options, differing)}'
    )


def depthwise_kernel(name: str) -> Found:
  """Theirs has a channel's multiplier last."""
  return Found((name,), lambda k: k.transpose(0, 1, 3, 2), 'HWC1 to HW1C')


def kernel(module: str, name: str, pooling: np.ndarray | None) -> Found:
  """The kernel of any other convolution.

  Args:
    module: Path of the layer of ours.
    name: Of the tensor.
    pooling: The file's kernel of image pooling, whose result comes first in
      what the authors project, and last in ours.
  """
  if module != 'head/project/conv' or pooling is None:
    return Found((name,), np.asarray)
  return Found(
    (name,),
    lambda kernel: np.roll(kernel, -pooling.shape[-1], axis=2),
    'inputs of image pooling last instead of first',
  )


def scope(module: str, encoder: str | None, *, beta: bool) -> str | None:
  """The authors' scope of a layer of ours.

  Args:
    module: Path, less `/conv` or `/bn` at its end.
    encoder: Their scope of the encoder, such as `xception_65`, if any.
    beta: Whether a ResNet's root is three convolutions.
  """
  top, _, rest = module.partition('/')
  if top == 'encoder':
    if encoder is None:
      return None
    if encoder == 'MobilenetV2':
      inside = _mobilenet(rest)
    elif encoder.startswith('xception'):
      inside = _xception(rest)
    else:
      inside = _resnet(rest, beta)
    return inside and f'{encoder}/{inside}'
  for pattern, name in _HEADS:
    match = re.fullmatch(pattern, module)
    if match:
      return name(match) if callable(name) else name
  return None


def _decoder(match: re.Match) -> str:
  number, part = int(match[1]) - 1, match[2]
  if part:
    return f'decoder/decoder_conv{number}{part.replace("/", "_")}'
  return f'decoder/decoder_conv0/decoder_conv0_{number + 1}'


_HEADS = (
  (
    r'head/aspp/branch(\d)(/depthwise|/pointwise)?',
    lambda m: f'aspp{m[1]}{(m[2] or "").replace("/", "_")}',
  ),
  (r'head/aspp/image_pooling', 'image_pooling'),
  (r'head/project', 'concat_projection'),
  (r'decoder/low_level', 'decoder/feature_projection0'),
  (r'decoder/conv(\d)(/depthwise|/pointwise)?', _decoder),
  (r'logits', 'logits/semantic'),
  (r'head/logits1', 'logits/semantic'),
  (
    r'head/logits(\d+)',
    lambda m: f'logits/semantic_{int(m[1]) - 1}',
  ),
)


def _resnet(module: str, beta: bool) -> str | None:
  match = re.fullmatch(r'stage1/(?:conv|bn)(\d)', module)
  if match:
    return f'conv1_{match[1]}' if beta or match[1] != '1' else 'conv1'
  match = re.fullmatch(
    r'stage(\d)/unit(\d+)/(?:(?:conv|bn)(\d)|shortcut)', module
  )
  if not match:
    return None
  part = f'conv{match[3]}' if match[3] else 'shortcut'
  return f'block{int(match[1]) - 1}/unit_{match[2]}/bottleneck_v1/{part}'


def _xception(module: str) -> str | None:
  match = re.fullmatch(r'root(\d)', module)
  if match:
    return f'entry_flow/conv1_{match[1]}'
  match = re.fullmatch(r'(entry|middle|exit)/unit(\d+)/(.+)', module)
  if not match:
    return None
  flow, unit, part = match.groups()
  block, unit = (1, unit) if flow == 'middle' else (unit, 1)
  part = re.sub(r'conv(\d)/(\w+)', r'separable_conv\1_\2', part)
  return f'{flow}_flow/block{block}/unit_{unit}/xception_module/{part}'


def _mobilenet(module: str) -> str | None:
  if module in ('stage1/root', 'stage5/last'):
    return 'Conv' if module == 'stage1/root' else 'Conv_1'
  match = re.fullmatch(r'stage(\d)/unit(\d+)/(\w+)', module)
  if not match:
    return None
  number = MOBILENET[int(match[1])] + int(match[2]) - 1
  return f'expanded_conv{f"_{number}" if number else ""}/{match[3]}'
