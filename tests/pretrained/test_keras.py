"""Keras's files against keras.applications, and the authors' logits."""

import json
import pathlib

import h5py
import jax
import keras
import numpy as np
import pytest

from deeplax import models, pretrained
from deeplax.errors import WeightsError
from tests.pretrained.checks import apply
from tests.pretrained.tf_weights import draw, picture

GOLDEN = pathlib.Path(__file__).parents[1] / 'golden' / 'tf_deeplab.npz'
TOLERANCE = 1e-4
ENCODER = dict(head='none', decoder='none', output_stride=32)
VGG = dict(ENCODER, encoder='vgg', variant='16', input_norm='vgg')
RESNET = dict(
  ENCODER,
  encoder='resnet',
  variant='50_caffe',
  input_norm='vgg',
  encoder_bn_epsilon=1.001e-5,
)
MOBILENET = dict(
  ENCODER,
  encoder='mobilenet_v2',
  variant='0.35_1280',
  input_norm='symmetric',
  encoder_bn_epsilon=1e-3,
  padding='same',
)
BGR_MEAN = (103.939, 116.779, 123.68)


def bgr(image):
  return image[..., ::-1].astype(np.float32) - BGR_MEAN


def symmetric(image):
  return image.astype(np.float32) / 127.5 - 1


NETWORKS = {
  'vgg': (keras.applications.VGG16, {}, bgr, VGG),
  'resnet': (keras.applications.ResNet50, {}, bgr, RESNET),
  'mobilenet': (
    keras.applications.MobileNetV2,
    dict(alpha=0.35),
    symmetric,
    MOBILENET,
  ),
}


def network(name, size, **keys):
  build, more, *_ = NETWORKS[name]
  keys = {'include_top': False, **more, **keys}
  network = build(weights=None, input_shape=(*size, 3), **keys)
  for weight in network.weights:
    layer, leaf = weight.path.split('/')[-2:]
    depthwise = 'depthwise_' if layer.endswith('depthwise') else ''
    leaf = f'{depthwise}weights' if leaf.endswith('kernel') else leaf
    weight.assign(draw(f'{layer}/{leaf}', weight.shape))
  return network


def save(network, path) -> pathlib.Path:
  if path.name.endswith('.weights.h5'):
    network.save_weights(path)
  else:
    network.save(path)
  return path


def convert(path, keys, classes=5, **more):
  file = pretrained.read('keras', path)
  model = models.build(classes, **keys)
  variables, report = pretrained.fill(
    'keras', file, models.initialize(model, 0), options=keys, **more
  )
  return model, variables, report


def error(found, expected) -> float:
  """Largest difference, as a part of the largest value expected."""
  assert found.shape == expected.shape
  return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize(
  'name, size, end',
  [
    ('vgg', (64, 33), '.weights.h5'),
    ('resnet', (64, 49), '.keras'),
    ('mobilenet', (64, 49), '.h5'),
    ('mobilenet', (64, 49), '.keras'),
    ('mobilenet', (33, 64), '.weights.h5'),
  ],
)
@pytest.mark.filterwarnings('ignore')
def test_features_are_those_of_keras(name, size, end, tmp_path):
  theirs = network(name, size)
  path = save(theirs, tmp_path / f'network{end}')
  *_, norm, keys = NETWORKS[name]
  model, variables, report = convert(path, keys)
  assert {p.split('/')[1] for p, _ in report.missing} == {'logits'}
  image = picture(*size)
  endpoints = apply(model, variables, image)[1]
  expected = np.asarray(theirs(norm(image), training=False))
  assert error(endpoints['stage5'], expected) < TOLERANCE


def test_the_classifier(tmp_path):
  theirs = network(
    'mobilenet',
    (64, 64),
    include_top=True,
    classes=7,
    classifier_activation=None,
  )
  path = save(theirs, tmp_path / 'all.weights.h5')
  keys = dict(MOBILENET, head='global_pool')
  model, variables, report = convert(path, keys, classes=7)
  assert not report.missing and not report.left_out
  image = picture(64, 64)
  logits = apply(model, variables, image)[0]
  expected = np.asarray(theirs(symmetric(image), training=False))
  assert error(logits[:, 0, 0], expected) < TOLERANCE
  with pytest.raises(WeightsError, match=r'predictions.*7 there, 9 here'):
    convert(path, keys, classes=9)
  # As the encoder of a network with a head of its own it is left out.
  _, _, report = convert(path, dict(MOBILENET, head='aspp'))
  assert {n for n, _ in report.left_out} == {
    'predictions/kernel',
    'predictions/bias',
  }


def port_name(name: str) -> tuple[str, str]:
  """Layer and array of the Keras port, of the authors' name."""
  for old, new in (
    ('xception_65/', ''),
    ('MobilenetV2/', ''),
    ('decoder/', ''),
    ('middle_flow/block1/unit_', 'middle_flow/unit_'),
    ('/unit_1/xception_module', '' if 'middle' not in name else '/unit_1'),
    ('/xception_module', ''),
    ('/BatchNorm', '_BN'),
  ):
    name = name.replace(old, new)
  layer, _, leaf = name.rpartition('/')
  leaf = leaf.replace('weights', 'kernel').replace('biases', 'bias')
  return layer.replace('/', '_'), leaf


def write_port(path, name, logits='logits_semantic') -> int:
  """The port's file, as Keras 2 wrote it; returns the number of arrays."""
  with np.load(GOLDEN) as arrays:
    shapes = json.loads(str(arrays[f'{name}/shapes']))
  with h5py.File(path, 'w') as h5:
    for old, shape in shapes.items():
      layer, leaf = port_name(old)
      layer = logits if layer == 'logits_semantic' else layer
      h5[f'{layer}/{layer}/{leaf}:0'] = draw(old, tuple(shape))
  return len(shapes)


@pytest.mark.parametrize(
  'name, size, keys',
  [
    (
      'xception_65',
      (65, 81),
      dict(
        encoder='xception',
        variant='65',
        head_separable=True,
        decoder_separable=True,
      ),
    ),
    (
      'mobilenet_v2',
      (65, 81),
      dict(
        encoder='mobilenet_v2',
        variant='1.0',
        padding='same',
        atrous_rates=(),
        decoder='none',
      ),
    ),
  ],
)
def test_the_port_of_deeplab(name, size, keys, tmp_path):
  path = tmp_path / 'port.h5'
  custom = name == 'mobilenet_v2'
  count = write_port(path, name, f'{"custom_" * custom}logits_semantic')
  keys = dict(
    keys, align_corners=True, input_norm='symmetric', encoder_bn_epsilon=1e-3
  )
  model, variables, report = convert(path, keys)
  assert len(report.taken) == count == len(jax.tree.leaves(variables))
  logits = apply(model, variables, picture(*size))[0]
  with np.load(GOLDEN) as arrays:
    assert error(logits, arrays[name]) < TOLERANCE
  with pytest.raises(WeightsError, match=r'logits_semantic/.*5 there, 7 here'):
    convert(path, keys, classes=7)


@pytest.fixture(scope='module')
def path(tmp_path_factory):
  folder = tmp_path_factory.mktemp('keras')
  return save(network('mobilenet', (32, 32)), folder / 'mobilenet.weights.h5')


@pytest.mark.parametrize(
  'keys, found',
  [
    (dict(MOBILENET, variant='0.5_1280'), 'architecture or width'),
    (dict(MOBILENET, padding='symmetric'), 'padding=same'),
    (dict(MOBILENET, encoder_bn_epsilon=None), 'encoder_bn_epsilon=0.001'),
    (VGG, 'encoder=mobilenet_v2'),
  ],
)
def test_another_architecture(path, keys, found):
  with pytest.raises(WeightsError, match=found):
    convert(path, keys)


@pytest.mark.parametrize('end', ['.weights.h5', '.keras'])
def test_cut_short_or_missing(path, tmp_path, end):
  short = tmp_path / f'short{end}'
  with pytest.raises(WeightsError, match='no whole file of Keras'):
    pretrained.read('keras', short)
  short.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
  with pytest.raises(WeightsError, match='no whole file of Keras'):
    pretrained.read('keras', short)


def test_a_lost_or_strange_tensor(tmp_path, path):
  lost = tmp_path / 'lost.weights.h5'
  lost.write_bytes(path.read_bytes())
  with h5py.File(lost, 'r+') as h5:
    del h5['layers/conv2d/vars/0']
  with pytest.raises(WeightsError):
    convert(lost, MOBILENET)
  strange = tmp_path / 'strange.h5'
  write_port(strange, 'mobilenet_v2')
  with h5py.File(strange, 'r+') as h5:
    h5['extra/extra/kernel:0'] = np.ones(3, np.float32)
  keys = dict(
    MOBILENET,
    head='aspp',
    variant='1.0',
    atrous_rates=(),
    output_stride=16,
  )
  with pytest.raises(WeightsError, match='extra/kernel'):
    convert(strange, keys)


def test_a_file_of_another_program(tmp_path):
  other = tmp_path / 'other.h5'
  with h5py.File(other, 'w') as h5:
    h5['a'] = np.ones(3)
  with pytest.raises(WeightsError):
    convert(other, MOBILENET)
