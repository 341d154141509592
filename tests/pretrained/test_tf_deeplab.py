"""TensorFlow's checkpoints against the authors' logits.

These are stored, and made by `golden/tf_deeplab.py`; both sides draw the same
weights by name. Checkpoints are real ones, written here.
"""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from deeplax import models, pretrained
from deeplax.errors import WeightsError
from tests.pretrained.checks import apply
from tests.pretrained.tf_weights import draw, picture

GOLDEN = pathlib.Path(__file__).parents[1] / 'golden' / 'tf_deeplab.npz'
TOLERANCE = 1e-4
CLASSES = 5
TF = dict(align_corners=True, input_norm='symmetric')
MOBILENET = dict(
  TF,
  encoder='mobilenet_v2',
  encoder_bn_epsilon=1e-3,
  padding='same',
  atrous_rates=(),
)
XCEPTION = dict(
  TF,
  encoder='xception',
  variant='65',
  encoder_bn_epsilon=1e-3,
  head_separable=True,
  decoder_separable=True,
)
V3 = dict(MOBILENET, variant='1.0', decoder='none')
CASES = {
  'xception_65': (65, 81, XCEPTION),
  'mobilenet_v2': (65, 81, V3),
  'mobilenet_v2_half': (
    65,
    49,
    dict(MOBILENET, variant='0.5', output_stride=8),
  ),
  'resnet_v1_50_beta': (
    65,
    49,
    dict(TF, variant='50_beta', output_stride=8, multi_grid=(1, 2, 4)),
  ),
  'resnet_v1_50': (
    65,
    49,
    dict(
      TF,
      variant='50_slim',
      input_norm='mean',
      image_pooling=False,
      decoder='none',
    ),
  ),
}


def drawn(name: str) -> dict[str, np.ndarray]:
  with np.load(GOLDEN) as arrays:
    shapes = json.loads(str(arrays[f'{name}/shapes']))
  return {n: draw(n, tuple(shape)) for n, shape in shapes.items()}


def write(prefix: pathlib.Path, tensors: dict[str, np.ndarray]) -> None:
  """The files that TensorFlow 1's Saver writes."""
  tf.raw_ops.SaveV2(
    prefix=str(prefix),
    tensor_names=list(tensors),
    shape_and_slices=[''] * len(tensors),
    tensors=[tf.constant(x) for x in tensors.values()],
  )


def convert(path, keys, classes=CLASSES, **more):
  """Model, variables and report."""
  file = pretrained.read('tf_deeplab', path)
  model = models.build(classes, **keys)
  variables, report = pretrained.fill(
    'tf_deeplab', file, models.initialize(model, 0), options=keys, **more
  )
  return model, variables, report


def error(name, model, variables) -> float:
  """Largest difference, as a part of the largest logit expected."""
  height, width, _ = CASES[name]
  found = apply(model, variables, picture(height, width))[0]
  with np.load(GOLDEN) as arrays:
    expected = arrays[name]
  assert found.shape == expected.shape
  return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize('name', CASES)
def test_logits_are_the_authors(name, tmp_path):
  tensors = drawn(name)
  write(tmp_path / 'model.ckpt-30000', tensors)
  path = tmp_path / 'model.ckpt-30000'
  model, variables, report = convert(path, CASES[name][2])
  assert {n for _, names, _ in report.taken for n in names} == {*tensors}
  assert not report.missing and not report.left_out
  assert error(name, model, variables) < TOLERANCE


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """A MobileNetV2 V3 as training leaves it behind."""
  folder = tmp_path_factory.mktemp('trained')
  tensors = drawn('mobilenet_v2')
  tensors['global_step'] = np.array(30000, np.int64)
  conv = tensors['aspp0/weights']
  tensors['aspp0/weights/Momentum'] = conv + 1
  tensors['aspp0/weights/ExponentialMovingAverage'] = conv + 1
  tensors['MobilenetV2/Logits/Conv2d_1c_1x1/biases'] = np.ones(3, np.float32)
  write(folder / 'model.ckpt-30000', tensors)
  return folder


@pytest.mark.parametrize(
  'end',
  ['', 'model.ckpt-30000.index', 'model.ckpt-30000.data-00000-of-00001'],
)
def test_any_of_the_files_and_their_folder(folder, end):
  model, variables, report = convert(folder / end, V3)
  assert len(report.left_out) == 4 and not report.missing
  if not end:
    assert error('mobilenet_v2', model, variables) < TOLERANCE


def test_an_encoder_alone_leaves_the_rest_fresh(tmp_path):
  tensors = {
    n: x for n, x in drawn('mobilenet_v2').items() if n.startswith('Mobile')
  }
  del tensors['MobilenetV2/Conv/BatchNorm/gamma']
  write(tmp_path / 'model.ckpt', tensors)
  _, variables, report = convert(tmp_path, V3)
  root = variables['params']['encoder']['stage1']['root']
  assert np.all(root['bn']['scale'] == 1)
  np.testing.assert_array_equal(
    root['conv']['kernel'], tensors['MobilenetV2/Conv/weights']
  )
  assert {p.split('/')[1] for p, _ in report.missing} == {'head', 'logits'}


def test_another_number_of_classes(folder):
  with pytest.raises(WeightsError, match=r'logits/semantic/.*5 there, 7 here'):
    convert(folder, V3, classes=7)
  _, _, report = convert(folder, V3, classes=7, reinit_logits=True)
  assert {p for p, _ in report.missing} == {
    'params/logits/kernel',
    'params/logits/bias',
  }


@pytest.mark.parametrize(
  'keys, found',
  [
    (dict(V3, variant='0.5'), 'MobilenetV2/'),
    (dict(V3, decoder='v3plus'), None),
    (dict(V3, atrous_rates=(6, 12, 18)), 'concat_projection/weights'),
    (dict(V3, image_pooling=False), 'image_pooling/|concat_projection/'),
    (dict(V3, input_norm='imagenet'), 'input_norm=symmetric'),
    (dict(V3, encoder_bn_epsilon=None), 'encoder_bn_epsilon=0.001'),
    (dict(TF, variant='50_beta'), 'encoder=mobilenet_v2'),
  ],
)
def test_another_architecture(folder, keys, found):
  if found is None:  # a whole part that the file does not have
    assert convert(folder, keys)[2].missing
    return
  with pytest.raises(WeightsError, match=found):
    convert(folder, keys)


def test_strides_of_another_port_are_found_out(tmp_path):
  shape = (7, 7, 3, 64)
  name = 'resnet_v1_50/conv1/weights'
  write(tmp_path / 'model.ckpt', {name: draw(name, shape)})
  with pytest.raises(WeightsError, match='variant=50_slim'):
    convert(tmp_path, dict(TF, variant='50'))


def test_a_tensor_without_a_place(folder, tmp_path):
  tensors = drawn('mobilenet_v2')
  tensors['meta_architecture/weights'] = np.ones(3, np.float32)
  write(tmp_path / 'model.ckpt', tensors)
  with pytest.raises(WeightsError, match='meta_architecture/weights'):
    convert(tmp_path, V3)


def test_no_checkpoint(tmp_path):
  with pytest.raises(WeightsError, match=r'model\.ckpt\.index'):
    pretrained.read('tf_deeplab', tmp_path / 'model.ckpt')
  with pytest.raises(WeightsError, match='has none'):
    pretrained.read('tf_deeplab', tmp_path)
  for name in ('a', 'b'):
    write(tmp_path / name, {'x': np.ones(2, np.float32)})
  with pytest.raises(WeightsError, match='it has a, b'):
    pretrained.read('tf_deeplab', tmp_path)


@pytest.mark.parametrize('end', ['.index', '.data-00000-of-00001'])
def test_cut_short(tmp_path, end):
  write(tmp_path / 'model.ckpt', {'x/weights': np.ones(999, np.float32)})
  path = tmp_path / f'model.ckpt{end}'
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
  with pytest.raises(WeightsError, match='no whole checkpoint'):
    pretrained.read('tf_deeplab', tmp_path / 'model.ckpt')


def test_a_checkpoint_of_one_file(tmp_path):
  tf1 = tf.compat.v1
  path = tmp_path / 'resnet_v1_101.ckpt'
  with tf.Graph().as_default(), tf1.Session() as session:
    expected = np.arange(6, dtype=np.float32).reshape(2, 3)
    tf1.get_variable('a/weights', initializer=expected)
    session.run(tf1.global_variables_initializer())
    saver = tf1.train.Saver(write_version=tf1.train.SaverDef.V1)
    saver.save(session, str(path), write_meta_graph=False)
  file = pretrained.read('tf_deeplab', path)
  np.testing.assert_array_equal(file.tensors['a/weights'], expected)
  path.write_bytes(path.read_bytes()[:40])
  with pytest.raises(WeightsError, match='no whole checkpoint'):
    pretrained.read('tf_deeplab', path)


def test_a_checkpoint_of_tensorflow_2(tmp_path):
  tf.train.Checkpoint(x=tf.Variable([1.0])).write(str(tmp_path / 'ckpt'))
  with pytest.raises(WeightsError, match='of TensorFlow 2'):
    pretrained.read('tf_deeplab', tmp_path / 'ckpt')
