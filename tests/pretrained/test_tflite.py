"""Files that TensorFlow's converter writes, against TensorFlow Lite itself."""

import jax
import numpy as np
import pytest

from deeplax import models, pretrained
from tests.models.torch_weights import picture

tf = pytest.importorskip('tensorflow')

from tests.pretrained import tf_mobilenet  # noqa: E402

SMALL = dict(
  encoder='mobilenet_v2',
  variant='0.25',
  head_channels=16,
  input_norm='symmetric',
  encoder_bn_epsilon=tf_mobilenet.EPSILON,
)
V3 = SMALL | dict(
  output_stride=8, atrous_rates=(), decoder='none', align_corners=True
)
V3_PLUS = SMALL | dict(
  output_stride=16,
  atrous_rates=(2, 4, 6),
  head_separable=True,
  decoder_separable=True,
  decoder_channels=24,
  low_level_channels=8,
  padding='same',
  align_corners=False,
)
KINDS = {
  'v3': ((65, 65), V3),
  'v3plus': ((64, 96), V3_PLUS | {'decoder': 'v3plus'}),
}
CLASSES = 5


def paths(variables):
  return {
    jax.tree_util.keystr(path, simple=True, separator='/'): leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
  }


@pytest.fixture(scope='module')
def files():
  """Files by kind and number format, converted when they are asked for."""
  made = {}

  def file(kind, change='float'):
    if (kind, change) not in made:
      size, options = KINDS[kind]
      model = models.build(CLASSES, **options)
      shapes = paths(models.abstract_variables(model))
      weights = tf_mobilenet.Weights({k: v.shape for k, v in shapes.items()})
      made[kind, change] = tf_mobilenet.convert(
        lambda x: tf_mobilenet.network(
          weights, x, strides=options['output_stride'], options=options
        ),
        size,
        CHANGES[change](size),
      )
      assert weights.used == {*shapes}
    return made[kind, change]

  return file


def samples(size):
  for n in range(3):
    yield [
      picture(*size)[:, :, :: 1 - 2 * (n % 2)].astype(np.float32) / 127.5 - 1
    ]


def _half(converter):
  converter.optimizations = [tf.lite.Optimize.DEFAULT]
  converter.target_spec.supported_types = [tf.float16]


def _dynamic(converter):
  converter.optimizations = [tf.lite.Optimize.DEFAULT]


def _whole(size):
  def change(converter):
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: samples(size)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]

  return change


CHANGES = {
  'float': lambda size: lambda converter: None,
  'half': lambda size: _half,
  'dynamic': lambda size: _dynamic,
  'int8': _whole,
}


def imported(content, options, tmp_path, classes=CLASSES, **keys):
  path = tmp_path / 'model.tflite'
  path.write_bytes(content)
  model = models.build(classes, **options)
  fresh = models.initialize(model, 1)
  variables, report = pretrained.fill(
    'tflite', pretrained.read('tflite', path), fresh, options=options, **keys
  )
  return model, variables, report


def scores(model, variables, image):
  return np.asarray(model.apply(variables, image, train=False)[0])


def error(found, expected):
  assert found.shape == expected.shape
  return np.abs(found - expected).max() / np.abs(expected).max()


# Of the largest score. Half and float files agree to rounding; dynamic ones
# round the features, too, which ours does not.
@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize(
  'change, tolerance', [('float', 1e-4), ('half', 1e-4), ('dynamic', 0.15)]
)
def test_scores_are_those_of_tensorflow_lite(
  kind, change, tolerance, files, tmp_path
):
  size, options = KINDS[kind]
  content = files(kind, change)
  model, variables, report = imported(content, options, tmp_path)
  assert not report.missing
  image = picture(*size)
  expected = tf_mobilenet.run(content, image.astype(np.float32) / 127.5 - 1)
  found = scores(model, variables, image)
  worst = error(found, expected)
  print(kind, change, worst)  # shown by pytest -rP
  assert expected.std((1, 2)).min() > 0.02 * np.abs(expected).max()
  assert worst <= tolerance


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('change', ['dynamic', 'int8'])
def test_whole_numbers_become_the_nearest_weights(
  kind, change, files, tmp_path
):
  _, options = KINDS[kind]
  _, original, _ = imported(files(kind), options, tmp_path)
  _, rounded, _ = imported(files(kind, change), options, tmp_path)
  original, rounded = paths(original), paths(rounded)
  for path, expected in original.items():
    found, axes = rounded[path], (0, 1, 2)
    if not path.endswith('kernel'):
      # Biases have the steps of the features before them.
      np.testing.assert_allclose(found, expected, atol=1e-2, err_msg=path)
      continue
    # A step for every output channel, or for all where the file has one.
    step = np.abs(expected).max(axes if change == 'int8' else None) / 127
    assert np.all(np.abs(found - expected) <= 0.51 * step), path
    assert change == 'dynamic' or (found != expected).any(), path
