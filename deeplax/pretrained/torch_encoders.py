"""Which encoder a file of PyTorch's holds, and what no tensor tells of it.

Strides, rates, epsilons and the normalisation of pictures have no tensors: a
network with others takes the weights and gives other results.
"""

import dataclasses
import logging
import re
from collections.abc import Mapping
from typing import Any

from deeplax.errors import WeightsError
from deeplax.models.encoders import mobilenet_v2, resnet, xception
from deeplax.models.options import Options
from deeplax.pretrained import differences
from deeplax.pretrained.filling import File

log = logging.getLogger('deeplax')


@dataclasses.dataclass(frozen=True)
class Encoder:
  """An encoder as its project builds it.

  Attributes:
    encoder: Key of `config.model`.
    variant: The same.
    at_32: Variants that are the same network at output stride 32.
    near: Variants that are made to start from its weights.
    moved: Variants with the same tensors, but strides in other layers.
    epsilon: Of its batch norm; None without any.
    input_norm: What the published weights were trained with.
  """

  encoder: str
  variant: str
  at_32: tuple[str, ...] = ()
  near: tuple[str, ...] = ()
  moved: tuple[str, ...] = ()
  epsilon: float | None = 1e-5
  input_norm: str = 'imagenet'


def recognise(file: File, prefix: str = '') -> Encoder | None:
  """The encoder whose names begin with `prefix`; None if it is none of ours."""
  shapes = {
    name.removeprefix(prefix): x.shape
    for name, x in file.tensors.items()
    if name.startswith(prefix)
  }
  for kind in (_resnet, _xception, _mobilenet_v2, _vgg):
    encoder = kind(shapes)
    if encoder:
      return encoder
  return None


def dilated(encoder: Encoder) -> Encoder:
  """As segmentation_models_pytorch changes it for DeepLab.

  Every convolution of a stage that lost its stride has the new rate.
  """
  styles = {'resnet': 'course', 'mobilenet_v2': 'smp'}
  if encoder.encoder not in styles:
    return encoder
  name = encoder.variant.partition('_')[0]
  variant = f'{name}_{styles[encoder.encoder]}'
  return dataclasses.replace(encoder, variant=variant, at_32=())


def check(
  file: File,
  options: Options,
  encoder: Encoder,
  network: Mapping[str, Any] | None,
  publisher: str,
) -> None:
  """Compares what no tensor tells of with the config; warns, or raises.

  Args:
    file: Of which `encoder` is.
    options: What ours is built with.
    encoder: Of the file.
    network: Keys of `config.model`, and their values, that the rest of the
      file's network is; None where the encoder alone is taken.
    publisher: Whose published weights have `encoder.input_norm`, for words.

  Raises:
    WeightsError: The whole network is taken, and would give other results.
  """
  whole = network is not None
  theirs = _encoder_keys(options, encoder, whole)
  if whole:
    theirs |= {'multi_grid': (), 'input_scales': (), **network}
    for key, one in (('multi_grid', 1), ('input_scales', 1.0)):
      if {*getattr(options, key)} == {one}:  # the same as ()
        del theirs[key]
  elif not _has_place(options, encoder):
    return  # which the shapes will show
  differing = differences.differing(options, theirs)
  if differing:
    words = differences.words(options, differing)
    if whole:
      raise WeightsError(
        f'{file.name} holds another network than config.model: {words}'
      )
    log.warning(
      '%s: %s, or train on from features that are not the original ones',
      file.name, words,
    )  # fmt: skip
  if options.input_norm != encoder.input_norm:
    log.warning(
      '%s: the weights that %s publishes were trained with input_norm=%s; this '
      'config has %s, which is right only if these were trained so. Otherwise '
      'give --config.model.input_norm=%s',
      file.name, publisher, encoder.input_norm, options.input_norm,
      encoder.input_norm,
    )  # fmt: skip


def _encoder_keys(
  options: Options, encoder: Encoder, whole: bool
) -> dict[str, Any]:
  fitting = {encoder.variant}
  if not whole or options.output_stride == 32:
    fitting |= {*encoder.at_32}
  if not whole:
    fitting |= {*encoder.near}
  ours = options.encoder == encoder.encoder and options.variant in fitting
  theirs = {
    'encoder': encoder.encoder,
    'variant': options.variant if ours else encoder.variant,
    'padding': 'symmetric',
  }
  if encoder.epsilon is not None:
    theirs['encoder_bn_epsilon'] = encoder.epsilon
  return theirs


def _has_place(options: Options, encoder: Encoder) -> bool:
  """Whether the config's encoder has the same tensors."""
  variants = (encoder.variant, *encoder.at_32, *encoder.near, *encoder.moved)
  return options.encoder == encoder.encoder and options.variant in variants


Shapes = dict[str, tuple[int, ...]]


def _resnet(shapes: Shapes) -> Encoder | None:
  if shapes.get('layer1.0.conv1.weight', ())[:1] != (64,):
    return None  # or wider, or with groups
  if any(s.startswith('layer1.0.se') for s in shapes):
    return None  # squeezes and excites
  units = tuple(
    sum(bool(re.fullmatch(rf'layer{n}\.\d+\.conv1\.weight', s)) for s in shapes)
    for n in (1, 2, 3, 4)
  )
  row = ('layer1.0.conv3.weight' in shapes, units)
  depth = next((d for d, r in resnet.DEPTHS.items() if r == row), None)
  if depth is None:
    return None
  if 'conv1.0.weight' in shapes:
    return Encoder('resnet', f'{depth}_v1c')
  return Encoder(
    'resnet',
    depth,
    at_32=(f'{depth}_course',),
    moved=(f'{depth}_caffe', f'{depth}_slim'),
  )


def _xception(shapes: Shapes) -> Encoder | None:
  if 'blocks.0.stack.conv1.conv_dw.weight' not in shapes:
    return None
  blocks = {s.split('.')[1] for s in shapes if s.startswith('blocks.')}
  for name, variant in xception.VARIANTS.items():
    if len(blocks) == sum(len(units) for units in variant.units.values()):
      return Encoder('xception', name, epsilon=1e-3, input_norm='symmetric')
  return None


def _mobilenet_v2(shapes: Shapes) -> Encoder | None:
  last = shapes.get('features.17.conv.2.weight', ())[:1]
  for width in mobilenet_v2.WIDTHS:
    name = f'{width}_1280'
    if last == (mobilenet_v2.VARIANTS[name].channels(320),):
      return Encoder('mobilenet_v2', name, at_32=(f'{width}_smp',))
  return None


def _vgg(shapes: Shapes) -> Encoder | None:
  matches = [re.fullmatch(r'features\.(\d+)\.bias', s) for s in shapes]
  last = max((int(match[1]) for match in matches if match), default=None)
  if last == 28:
    return Encoder('vgg', '16', near=('16_large_fov',), epsilon=None)
  return Encoder('vgg', '16_bn') if last == 41 else None
