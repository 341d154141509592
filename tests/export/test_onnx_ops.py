"""Each operation as ONNX, computed by onnxruntime and by JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')

from jax import lax

from deeplax.data.info import IGNORE_LABEL
from deeplax.errors import UserError
from deeplax.export.onnx import convert
from deeplax.ops.resize import resize
from tests.export.onnx_cases import both, run

SHAPE = (2, 6, 7, 4)
KERNEL = np.random.default_rng(1).normal(size=(3, 3, 2, 6)).astype(np.float32)
MATRIX = np.random.default_rng(2).normal(size=(4, 3)).astype(np.float32)
UP = np.random.default_rng(3).normal(size=(2, 2, 4, 3)).astype(np.float32)
CHANNELS = np.array([1, -2, 0.5, 3], np.float32)


def picture(seed=0):
  rng = np.random.default_rng(seed)
  return rng.normal(size=SHAPE).astype(np.float32)


def convolve(x, padding, kernel=KERNEL, **options):
  options = {'window_strides': (1, 1), 'feature_group_count': 2, **options}
  numbers = ('NHWC', 'HWIO', 'NHWC')
  return lax.conv_general_dilated(
    x, kernel, padding=padding, dimension_numbers=numbers, **options
  )


def pooled(x, kind, window, strides, padding, **options):
  fill, op = {'max': (-jnp.inf, lax.max), 'sum': (0.0, lax.add)}[kind]
  window, strides = (1, *window, 1), (1, *strides, 1)
  padding = ((0, 0), *padding, (0, 0))
  return lax.reduce_window(x, fill, op, window, strides, padding, **options)


def last_conv(x):
  """As what a network gives: stored as NCHW."""
  return convolve(x, 'SAME', np.ones((1, 1, 2, 4), np.float32))


CASES = {
  'affine': lambda x: (x - CHANNELS) / 2 * CHANNELS + 1,
  'functions': lambda x: jnp.exp(jnp.tanh(x)) + jnp.sin(x) * jnp.cos(x),
  'roots': lambda x: lax.rsqrt(jnp.abs(x) + 1) + jnp.sqrt(jnp.log(x * x + 1)),
  'powers': lambda x: x**2 + x**3 + (x + 9) ** -1 + (x * x) ** 1.5,
  'sigmoid': lambda x: jax.nn.sigmoid(x) + lax.erf(x) + jnp.sign(x),
  'rounded': lambda x: jnp.round(3 * x) + jnp.floor(x) + 2 * jnp.ceil(x),
  'clip': lambda x: jnp.clip(x, -0.5, 0.5) + lax.clamp(0.0, x, 1.0),
  'relu': lambda x: jax.nn.relu(x) + jax.nn.relu6(4 * x),
  'relu_of_a_sum': lambda x: jnp.maximum(0, x[..., :1] + jnp.zeros(SHAPE)),
  'where': lambda x: jnp.where((x > 0.5) | ~(x >= -0.5), x, -x),
  'compared': lambda x: (x == x[..., ::-1]) & (x != 0) & jnp.isfinite(x),
  'rest': lambda x: jnp.fmod(x, 0.75),
  'types': lambda x: (x * 9).astype(jnp.int8) * jnp.int8(3) + jnp.int8(100),
  'bytes': lambda x: jnp.maximum(jnp.abs(x * 9).astype(jnp.uint8), 3),
  'whole_numbers': lambda x: (x * 99).astype(jnp.int32) // 7,
  'softmax': lambda x: jax.nn.softmax(x),
  'sums': lambda x: x.sum((1, 2)) + x.mean((1, 2)) * x.max((1, 2)),
  'products': lambda x: x.prod(1) + x.min(1),
  'all_any': lambda x: (x > 0).all(3) | (x > 2).any(3),
  'argmax': lambda x: jnp.argmax(x, 3) + 10 * jnp.argmin(x, 3),
  'shapes': lambda x: x.reshape(2, 42, 4).transpose(2, 0, 1)[:, None],
  'squeezed': lambda x: x[:, :1].squeeze(1) + x[0, 0, 0],
  'slices': lambda x: x[:, 1:6:2, -3:, ::-1],
  'joined': lambda x: jnp.concatenate([x, 2 * x, jnp.ones(SHAPE)], 2),
  'split': lambda x: jnp.add(*jnp.split(x, 2, axis=1)),
  'padded': lambda x: jnp.pad(
    x, ((0, 0), (1, 2), (0, 0), (3, 0)), constant_values=7
  ),
  'cut_and_padded': lambda x: lax.pad(
    x, jnp.float32(0), ((0, 0, 0), (-2, 2, 0), (1, -3, 0), (0, 0, 0))
  ),
  'taken': lambda x: x.take(jnp.array([3, 0, 9, 1]), axis=1, mode='clip'),
  'dynamic': lambda x: lax.dynamic_update_slice(
    x, lax.dynamic_slice(x, (0, 9, 1, 0), (2, 2, 3, 4)), (0, 1, 2, 0)
  ),
  'einsum': lambda x: jnp.einsum('bijc,bikc->bijk', x, x),
  'matrix': lambda x: x @ MATRIX,
  'up': lambda x: jnp.einsum('bijc,uvco->biujvo', x, UP).reshape(2, 12, 14, 3),
  'conv': lambda x: convolve(x, ((1, 1), (0, 2))),
  'conv_cut': lambda x: convolve(x, ((-1, 2), (3, -2))),
  'conv_strided': lambda x: convolve(
    x, ((2, 2), (2, 1)), window_strides=(2, 1), rhs_dilation=(1, 2)
  ),
  'conv_channels_first': lambda x: lax.conv(
    x,
    np.moveaxis(np.tile(KERNEL, (1, 1, 3, 1)), (2, 3), (1, 0)),
    (1, 1),
    'SAME',
  ),
  'max_pool': lambda x: pooled(x, 'max', (3, 2), (2, 1), ((1, 1), (0, 1))),
  'max_pool_wide': lambda x: pooled(x, 'max', (2, 2), (1, 1), ((2, 3), (0, 0))),
  'max_pool_atrous': lambda x: pooled(
    x, 'max', (2, 2), (1, 1), ((0, 0), (0, 0)), window_dilation=(1, 3, 2, 1)
  ),
  'sum_pool': lambda x: pooled(x, 'sum', (3, 1), (1, 1), ((1, 1), (0, 0))),
  'resize': lambda x: resize(x, (12, 21)),
  'resize_smaller': lambda x: resize(x, (3, 5)),
  'resize_corners': lambda x: resize(x, (11, 5), align_corners=True),
  'resize_old_grid': lambda x: resize(x, (24, 7), half_pixel_centers=False),
  'resize_nearest': lambda x: resize(x, (18, 14), method='nearest_floor'),
  'resize_from_one': lambda x: resize(x[:, :1, :1], (3, 5)),
  'loop': lambda x: lax.scan(
    lambda total, row: (total + row, total * 2), x[:, 0], x.swapaxes(0, 1)
  ),
  'loop_back': lambda x: lax.scan(
    lambda total, n: (total * n, total[0, 0]), x, jnp.arange(3.0), reverse=True
  ),
  'recomputed': lambda x: jax.checkpoint(lambda x: jnp.sin(x) * x)(x),
  'branch': lambda x: lax.cond(jnp.array(True), lambda: x + 1, lambda: x),
  'constants': lambda x: (
    jnp.zeros((2, 3)) + jnp.arange(3.0) + 0 * x[0, 0, 0, 0]
  ),
}


@pytest.mark.parametrize('stored', ['as it is', 'as NCHW'])
@pytest.mark.parametrize('name', CASES)
def test_operation(name, stored):
  def function(x):
    x = last_conv(x) if stored == 'as NCHW' else x
    return dict(enumerate(jax.tree.leaves(CASES[name](x))))

  _, found, expected = both(function, picture())
  assert len(found) == len(expected)
  for got, wanted in zip(found.values(), expected.values()):
    assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype)
    np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
  'name', ['slices', 'up', 'resize', 'softmax', 'joined_itself', 'cut_back']
)
def test_operation_on_any_number_of_pictures(name):
  more = {
    'joined_itself': lambda x: jnp.concatenate([x, -x], 3),
    'cut_back': lambda x: jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))[
      :, :5, :6
    ],
    'up': lambda x: jnp.einsum('bijc,uvco->biujvo', x, UP).reshape(
      -1, 12, 14, 3
    ),
  }
  case = {**CASES, **more}[name]

  def function(x):
    return {'y': case(last_conv(x))}

  model = convert(function, picture(), dynamic_batch=True)
  for count in (1, 5):
    x = np.tile(picture(), (3, 1, 1, 1))[:count]
    expected = jax.device_get(function(x))['y']
    np.testing.assert_allclose(run(model, x)['y'], expected, atol=2e-5)


def test_void_and_probabilities():
  def function(image):
    x = last_conv(jnp.round(image.astype(jnp.float32) / 3) / 85)
    labels = jnp.argmax(x, axis=-1).astype(jnp.uint8)
    labels = jnp.where(labels < 2, labels, jnp.uint8(IGNORE_LABEL))
    return {'labels': labels, 'probs': jax.nn.softmax(x), 'same': image}

  rng = np.random.default_rng(0)
  image = rng.integers(0, 256, SHAPE).astype(np.uint8)
  _, found, expected = both(function, image)
  np.testing.assert_array_equal(found['labels'], expected['labels'])
  assert IGNORE_LABEL in found['labels']
  np.testing.assert_allclose(found['probs'], expected['probs'], atol=1e-6)
  np.testing.assert_array_equal(found['same'], image)


def named(function):
  return lambda x: {'y': function(x)}


@pytest.mark.parametrize(
  'function, words',
  [
    (lambda x: jnp.sort(x), ("'sort'", 'test_onnx_ops.py, line', 'no rule')),
    (lambda x: x.astype(jnp.bfloat16), ('bfloat16',)),
    (
      lambda x: lax.fori_loop(0, 99, lambda _, y: y + 1, x),
      ("'scan'", '99 rounds', 'at most 64'),
    ),
    (
      lambda x: lax.cond(x[0, 0, 0, 0] > 0, lambda: x, lambda: -x),
      ("'cond'", 'depends on the input'),
    ),
    (
      lambda x: lax.dynamic_index_in_dim(x, x[0, 0, 0, 0].astype(int)),
      ("'dynamic_slice'", 'depends on the input'),
    ),
    (
      lambda x: lax.conv_transpose(x, UP, (2, 2), 'SAME'),
      ("'conv_general_dilated'", 'transposed'),
    ),
    (
      lambda x: lax.pad(x, 0.0, ((0, 0, 1),) * 4),
      ("'pad'", 'between the elements'),
    ),
    (
      lambda x: lax.reduce_window(
        x, 1.0, lax.mul, (1, 2, 2, 1), (1, 1, 1, 1), 'VALID'
      ),
      ("'reduce_window'",),
    ),
  ],
)
def test_what_onnx_lacks_is_named(function, words):
  with pytest.raises(UserError) as error:
    convert(named(function), picture())
  for word in words:
    assert word in str(error.value)


def test_what_no_output_needs_may_be_anything():
  def function(x):
    jnp.sort(x)
    return {'y': x + 1}

  _, found, expected = both(function, picture())
  np.testing.assert_array_equal(found['y'], expected['y'])


@pytest.mark.parametrize(
  'function',
  [
    lambda x: (
      x + jnp.ones(x.shape[0])[:, None, None, None] if x.shape[0] > 1 else x
    ),
    lambda x: x - jnp.ones(x.shape).at[0].set(0),
    lambda x: x * x.shape[0],
    lambda x: lax.dynamic_slice_in_dim(x, 1, 1),
    lambda x: jnp.concatenate([x, jnp.ones(x.shape)], axis=3),
  ],
)
def test_a_number_of_pictures_that_matters_is_refused(function):
  with pytest.raises(UserError):
    convert(named(function), picture(), dynamic_batch=True)
  convert(named(function), picture())


@pytest.mark.parametrize('result', [lambda x: x, lambda x: {'a': (x, x)}])
def test_outputs_need_names(result):
  with pytest.raises(UserError, match='by the names of the outputs'):
    convert(result, picture())
