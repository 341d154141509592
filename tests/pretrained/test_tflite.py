"""Files that TensorFlow's converter writes, against TensorFlow Lite itself."""

import contextlib
import dataclasses
import functools

import jax
import numpy as np
import pytest

from deeplax import models, pretrained
from deeplax.errors import WeightsError
from deeplax.pretrained.tflite import flat
from deeplax.pretrained.tflite.flat import Op, Tensor
from tests.models.torch_weights import picture

tf = pytest.importorskip('tensorflow')

from tests.pretrained import tf_mobilenet, tflite_float  # noqa: E402

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
  # Dense, of other early features, on TensorFlow 1's grid, ReLU6 throughout.
  'legacy': (
    (64, 64),
    V3_PLUS
    | dict(
      variant='0.25_320',
      decoder='v3plus',
      head_separable=False,
      decoder_separable=False,
      half_pixel_centers=False,
      bounded_activation=True,
    ),
  ),
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


@pytest.mark.parametrize('kind', ['v3', 'legacy'])
def test_whole_numbers_give_the_answers_of_what_they_stand_for(
  kind, files, tmp_path
):
  size, options = KINDS[kind]
  content = files(kind, 'int8')
  model, variables, _ = imported(content, options, tmp_path)
  image = picture(*size)
  expected = tflite_float.run(
    flat.read(tmp_path / 'model.tflite'), image.astype(np.float32) / 127.5 - 1
  )
  worst = error(scores(model, variables, image), expected[0])
  print(kind, worst)  # shown by pytest -rP
  assert worst <= 1e-4


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


class Unfolder:
  """Writes layers as older converters do: one operation for each thing."""

  def __init__(self, flat):
    self.flat, self.tensors, self.ops = flat, list(flat.tensors), []

  def constant(self, data):
    none, number = np.zeros(0), len(self.tensors)
    self.tensors.append(
      Tensor(f'new {number}', data.shape, 'FLOAT32', data, none, none, 0)
    )
    return number

  def feature(self, shape):
    none, number = np.zeros(0), len(self.tensors)
    self.tensors.append(
      Tensor(f'new {number}', shape, 'FLOAT32', None, none, none, 0)
    )
    return number

  def add(self, name, inputs, shape=None, output=None, **options):
    output = self.feature(shape) if output is None else output
    self.ops.append(Op(name, tuple(inputs), (output,), options))
    return output

  def run(self):
    for op in self.flat.ops:
      if op.name in ('CONV_2D', 'DEPTHWISE_CONV_2D'):
        self.convolution(op)
      else:
        self.ops.append(op)
    return dataclasses.replace(self.flat, tensors=self.tensors, ops=self.ops)

  def convolution(self, op):
    x, kernel, bias = op.inputs
    shape = self.tensors[op.outputs[0]].shape
    size = self.tensors[x].shape
    data, shift = (self.tensors[n].data for n in (kernel, bias))
    scale = np.linspace(0.5, 2, shift.size, dtype=np.float32)
    by_output = scale if op.name != 'CONV_2D' else scale[:, None, None, None]
    options = dict(op.options)
    rate, stride = options['DilationHFactor'], options['StrideH']
    if rate > 1:
      pads = self.constant(np.full((2, 2), rate))
      block = self.constant(np.full(2, rate))
      x = self.add('SPACE_TO_BATCH_ND', (x, block, pads), size)
      options |= dict(DilationHFactor=1, DilationWFactor=1, Padding=1)
    elif stride == 2:
      pads = [(0, 0)]
      for n, m in zip(size[1:3], shape[1:3]):
        total = 2 * m + 1 - n
        pads.append((total // 2, total - total // 2))
      x = self.add('PAD', (x, self.constant(np.array([*pads, (0, 0)]))), size)
      options['Padding'] = 1
    activation = options.pop('activation')
    divided = self.constant((data / by_output).astype(np.float32))
    y = self.add(op.name, (x, divided, -1), shape, **options)
    if rate > 1:
      y = self.add('BATCH_TO_SPACE_ND', (y, block, pads), shape)
    y = self.add('MUL', (y, self.constant(scale)), shape)
    end = op.outputs[0] if activation == 'NONE' else None
    y = self.add('SUB', (y, self.constant(-shift)), shape, end)
    if activation != 'NONE':
      self.add(activation, (y,), output=op.outputs[0])


@pytest.mark.parametrize('kind', KINDS)
def test_layers_written_in_pieces_are_put_together(
  kind, files, tmp_path, monkeypatch
):
  size, options = KINDS[kind]
  model, whole, _ = imported(files(kind), options, tmp_path)
  read = flat.read
  monkeypatch.setattr(flat, 'read', lambda p: Unfolder(read(p)).run())
  _, pieces, report = imported(files(kind), options, tmp_path)
  assert not report.missing
  scale = pieces['params']['encoder']['stage1']['root']['bn']['scale']
  np.testing.assert_allclose(scale, np.linspace(0.5, 2, scale.size), rtol=1e-6)
  image = picture(*size)
  worst = error(scores(model, pieces, image), scores(model, whole, image))
  assert worst <= 1e-4
  # The kernels of the two differ, so that this compares something.
  kernel = ('params', 'encoder', 'stage1', 'root', 'conv', 'kernel')
  a, b = (functools.reduce(dict.get, kernel, v) for v in (whole, pieces))
  assert np.abs(a - b).max() > 0.1 * np.abs(a).max()


def refusal(content, options, tmp_path, **keys) -> str:
  with pytest.raises(WeightsError) as caught:
    imported(content, options, tmp_path, **keys)
  return str(caught.value)


def test_all_that_differs_is_said_with_its_flags(files, tmp_path):
  other = dict(variant='0.5', head_channels=16)
  words = refusal(
    files('v3plus'), other | {'encoder': 'mobilenet_v2'}, tmp_path
  )
  for flag in (
    'variant=0.25',
    "atrous_rates='(2, 4, 6)'",
    'head_separable=True',
    'decoder_separable=True',
    'decoder_channels=24',
    'low_level_channels=8',
    'padding=same',
  ):
    assert f'--config.model.{flag}' in words, words
  assert 'head_channels' not in words
  options = KINDS['v3plus'][1] | dict(align_corners=True, input_norm='vgg')
  words = refusal(files('v3plus'), options, tmp_path)
  # It is not in the file what the picture was made to before.
  assert words.endswith('Give --config.model.align_corners=False')


def altered(monkeypatch, change):
  """Lets `change(number, op, result's name)` give an operation's settings."""
  read = flat.read

  def alter(path):
    content = read(path)
    ops = [
      dataclasses.replace(
        op,
        options=op.options | change(n, op, content.tensors[op.outputs[0]].name),
      )
      for n, op in enumerate(content.ops)
    ]
    return dataclasses.replace(content, ops=ops)

  monkeypatch.setattr(flat, 'read', alter)


def test_rates_that_no_variant_has_are_refused(files, tmp_path, monkeypatch):
  rate = dict(DilationHFactor=3, DilationWFactor=3)
  altered(
    monkeypatch,
    lambda n, op, _: rate if op.name == 'DEPTHWISE_CONV_2D' and n > 40 else {},
  )
  words = refusal(files('v3'), V3, tmp_path)
  assert 'stride 1, rate 3 and' in words
  assert 'expected stride 1, rate 2 and' in words


@pytest.mark.parametrize('many', [False, True])
def test_a_capped_head_is_said(many, files, tmp_path, monkeypatch, caplog):
  left = [10 if many else 1]

  def cap(n, op, name):
    if op.options.get('activation') != 'RELU' or not left[0]:
      return {}
    left[0] -= 1
    return {'activation': 'RELU6'}

  altered(monkeypatch, cap)
  if many:
    words = refusal(files('v3'), V3, tmp_path)
    assert '--config.model.bounded_activation=True' in words
  else:
    imported(files('v3'), V3, tmp_path)
    assert 'answers differ where something exceeds 6' in caplog.text


def test_another_encoder_is_said(files, tmp_path):
  words = refusal(files('v3'), dict(encoder='resnet', variant='18'), tmp_path)
  assert '--config.model.encoder=mobilenet_v2' in words
  assert '--config.model.variant=0.25' in words


def test_other_classes_need_a_fresh_last_layer(files, tmp_path):
  words = refusal(files('v3'), V3, tmp_path, classes=7)
  assert 'params/logits/' in words and '--reinit_logits' in words
  _, _, report = imported(
    files('v3'), V3, tmp_path, classes=7, reinit_logits=True
  )
  assert len(report.missing) == 2


def test_damaged_files_are_refused(files, tmp_path):
  content = files('v3')
  for length in (0, 3, 8, 40, 1000, len(content) // 2, len(content) - 100):
    words = refusal(content[:length], V3, tmp_path)
    assert 'model.tflite' in words, length
  rng = np.random.default_rng(0)
  for _ in range(15):  # whatever it does, it is no traceback
    noisy = np.frombuffer(content, np.uint8).copy()
    noisy[rng.integers(8, 4000, 20)] = rng.integers(0, 256, 20)
    with contextlib.suppress(WeightsError):
      imported(noisy.tobytes(), V3, tmp_path)


def test_other_files_are_refused(tmp_path):
  assert 'no .tflite file' in refusal(b'PK\3\4' + bytes(100), V3, tmp_path)
  with pytest.raises(WeightsError, match=r'absent\.tflite cannot be read'):
    pretrained.read('tflite', tmp_path / 'absent.tflite')


@pytest.mark.parametrize(
  'function, expected',
  [
    (lambda x: tf.nn.elu(x), 'the operation ELU, which gives'),
    (lambda x: tf.nn.max_pool2d(x, 2, 2, 'SAME'), 'does not hold MobileNetV2'),
    (
      lambda x: tf.nn.conv2d(x, np.ones((3, 3, 3, 8), 'f'), 2, 'SAME'),
      'does not hold MobileNetV2',
    ),
    (lambda x: x * tf.sigmoid(x), 'it joins two feature maps'),
  ],
)
def test_other_networks_are_refused(function, expected, tmp_path):
  content = tf_mobilenet.convert(function, (32, 32))
  assert expected in refusal(content, V3, tmp_path)
