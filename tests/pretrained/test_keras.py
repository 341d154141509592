"""keras.applications live; the port of DeepLabV3+ by its names.

Networks are small pictures through real files; nothing is downloaded.
"""

import os

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

import jax
import numpy as np
import pytest

from deeplax import models, pretrained
from deeplax.errors import WeightsError

keras = pytest.importorskip('keras')

VGG = dict(encoder='vgg', variant='16', output_stride=32, input_norm='vgg')
RESNET = dict(
  encoder='resnet',
  variant='50_caffe',
  output_stride=32,
  input_norm='vgg',
  encoder_bn_epsilon=1.001e-5,
)
MOBILENET = dict(
  encoder='mobilenet_v2',
  variant='0.35_1280',
  output_stride=32,
  padding='same',
  input_norm='symmetric',
  encoder_bn_epsilon=1e-3,
)
CLASSIFIER = dict(head='global_pool', decoder='none')
# Name in keras.applications, its keys, our keys, picture, file.
CASES = [
  ('VGG16', {}, VGG, (33, 47), '.weights.h5'),
  ('ResNet50', {}, RESNET, (48, 65), '.keras'),
  ('MobileNetV2', dict(alpha=0.35), MOBILENET, (64, 47), '.h5'),
  ('MobileNetV2', dict(alpha=0.35), MOBILENET, (65, 48), '.weights.h5'),
]


def randomized(network, seed=0):
  """Weights of which none is what a fresh network has."""
  rng = np.random.default_rng(seed)
  for layer in network.layers:
    drawn = []
    for weight in layer.weights:
      noise = rng.standard_normal(weight.shape)
      if 'kernel' in weight.name:
        noise *= np.sqrt(2 / np.prod(weight.shape[:-1]))
        if 'depthwise' in layer.name:
          noise *= np.sqrt(weight.shape[-2])
      elif 'variance' in weight.name:
        noise = np.exp(0.3 * noise)
      else:
        noise = 0.2 * noise + (weight.name == 'gamma')
      drawn.append(noise)
    if drawn:
      layer.set_weights(drawn)
  return network


def saved(network, folder, kind):
  path = folder / f'some{kind}'
  if kind == '.weights.h5':
    network.save_weights(path)
  else:
    network.save(path)
  return path


def converted(path, classes, keys):
  model = models.build(classes, **keys)
  file = pretrained.read('keras', path)
  return model, *pretrained.fill(
    'keras', file, models.initialize(model, 0), options=keys
  )


def picture(height, width, batch=2):
  rng = np.random.default_rng(height)
  return rng.integers(0, 256, (batch, height, width, 3)).astype(np.uint8)


def close(found, expected):
  assert found.shape == expected.shape
  scale = np.abs(expected).max()
  assert np.isfinite(scale) and scale > 0
  np.testing.assert_allclose(found / scale, expected / scale, atol=1e-4)


@pytest.mark.parametrize('name, theirs, keys, size, kind', CASES)
def test_features_of_applications(name, theirs, keys, size, kind, tmp_path):
  network = randomized(
    getattr(keras.applications, name)(
      weights=None, include_top=False, input_shape=(*size, 3), **theirs
    )
  )
  path = saved(network, tmp_path, kind)
  model, variables, report = converted(path, 5, keys)
  prepare = {
    'VGG16': keras.applications.vgg16,
    'ResNet50': keras.applications.resnet,
    'MobileNetV2': keras.applications.mobilenet_v2,
  }[name].preprocess_input
  image = picture(*size)
  expected = network(prepare(image.astype(np.float32)), training=False)
  endpoints = model.apply(variables, image, train=False)[1]
  close(np.asarray(endpoints['stage5']), np.asarray(expected))
  assert not report.left_out
  assert {path.split('/')[1] for path, _ in report.missing} == {
    'head',
    'decoder',
    'logits',
  }


def test_the_classifier_itself(tmp_path):
  network = randomized(
    keras.applications.MobileNetV2(
      weights=None,
      alpha=0.35,
      classes=7,
      classifier_activation=None,
      input_shape=(64, 64, 3),
    )
  )
  path = saved(network, tmp_path, '.keras')
  model, variables, _ = converted(path, 7, {**MOBILENET, **CLASSIFIER})
  image = picture(64, 64)
  expected = network(image / 127.5 - 1, training=False)
  logits = model.apply(variables, image, train=False)[0]
  close(np.asarray(logits)[:, 0, 0], np.asarray(expected))
  # Into a network that ends before the last 1x1: that is left out, and said.
  other = {**MOBILENET, 'variant': '1.0', **CLASSIFIER}
  with pytest.raises(WeightsError, match='another architecture or width'):
    converted(path, 7, other)
  *_, report = converted(path, 5, MOBILENET)
  assert {name for name, _ in report.left_out} == {
    'predictions/kernel',
    'predictions/bias',
  }
  with pytest.raises(WeightsError, match='7 there, 5 here'):
    converted(path, 5, {**MOBILENET, **CLASSIFIER})


PORT = dict(
  encoder='xception',
  variant='41',
  head_separable=True,
  decoder_separable=True,
  head_channels=4,
  decoder_channels=4,
  low_level_channels=4,
  encoder_bn_epsilon=1e-3,
)


def write_port(path, model):
  """An old .h5 of weights: each layer a group, names in attributes."""
  import h5py

  from deeplax.pretrained import filling
  from deeplax.pretrained import keras as source

  leaves = {
    jax.tree_util.keystr(p, simple=True, separator='/'): leaf
    for p, leaf in jax.tree_util.tree_leaves_with_path(
      models.abstract_variables(model)
    )
  }

  class Names(dict):
    """Of a file with all that convolutions and batch norm have."""

    def __contains__(self, name):
      layer, _, leaf = name.rpartition('/')
      if leaf in ('bias', 'depthwise_kernel'):
        return False
      return not layer.startswith(('block_', 'custom'))

  pooling = {'image_pooling/kernel': np.zeros((1, 1, 2048, 4))}
  empty = filling.File('none', Names(pooling), ours=frozenset(leaves))
  layers = {}
  for path_of_ours, leaf in leaves.items():
    (name,) = source.find(path_of_ours, empty).names
    layer, _, kind = name.rpartition('/')
    shape = leaf.shape
    if kind == 'kernel' and layer.endswith('depthwise'):
      kind, shape = 'depthwise_kernel', (*shape[:2], shape[3], 1)
    layers.setdefault(layer, {})[kind] = shape
  rng = np.random.default_rng(0)
  written = {}
  with h5py.File(path, 'w') as file:
    file.attrs['layer_names'] = [name.encode() for name in layers]
    for layer, shapes in layers.items():
      group = file.create_group(layer)
      names = [f'{layer}/{kind}:0' for kind in shapes]
      group.attrs['weight_names'] = [name.encode() for name in names]
      for name, shape in zip(names, shapes.values()):
        written[name] = rng.standard_normal(shape).astype(np.float32)
        group.create_dataset(name, data=written[name])
  return written


def test_the_port_of_v3plus(tmp_path):
  model = models.build(21, **PORT)
  path = tmp_path / 'deeplabv3_xception.h5'
  written = write_port(path, model)
  # Names as the port's own file has them.
  for name in (
    'entry_flow_conv1_1/kernel:0',
    'entry_flow_block2_separable_conv3_pointwise_BN/gamma:0',
    'entry_flow_block1_shortcut_BN/beta:0',
    'middle_flow_unit_8_separable_conv1_depthwise/depthwise_kernel:0',
    'exit_flow_block2_separable_conv3_pointwise/kernel:0',
    'aspp0_BN/moving_mean:0',
    'aspp3_depthwise_BN/moving_variance:0',
    'image_pooling_BN/beta:0',
    'concat_projection/kernel:0',
    'feature_projection0/kernel:0',
    'decoder_conv1_depthwise/depthwise_kernel:0',
    'logits_semantic/bias:0',
  ):
    assert name in written
  _, variables, report = converted(path, 21, PORT)
  assert not report.missing and not report.left_out
  params = variables['params']
  # Image pooling is concatenated first there, last here.
  there = written['concat_projection/kernel:0']
  here = params['head']['project']['conv']['kernel']
  np.testing.assert_array_equal(here[:, :, -4:], there[:, :, :4])
  np.testing.assert_array_equal(here[:, :, :-4], there[:, :, 4:])
  depthwise = params['encoder']['middle']['unit3']['conv2']['depthwise']
  np.testing.assert_array_equal(
    depthwise['conv']['kernel'][:, :, 0],
    written['middle_flow_unit_3_separable_conv2_depthwise/depthwise_kernel:0'][
      ..., 0
    ],
  )
  with pytest.raises(WeightsError, match=r'21 there, 5 here.*--reinit_logits'):
    converted(path, 5, PORT)


def test_files_that_are_none(tmp_path):
  path = tmp_path / 'weights.h5'
  with pytest.raises(WeightsError, match='no file'):
    pretrained.read('keras', path)
  path.write_bytes(b'no HDF5')
  with pytest.raises(WeightsError, match='no whole file of Keras'):
    pretrained.read('keras', path)
  write_port(path, models.build(21, **PORT))
  path.write_bytes(path.read_bytes()[:200_000])
  with pytest.raises(WeightsError, match='no whole file of Keras'):
    pretrained.read('keras', path)
