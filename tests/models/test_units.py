"""Stages in space-to-batch layout against the same stages without."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deeplax import models, sharding
from deeplax.models.encoders import resnet, xception
from deeplax.models.options import Options
from deeplax.ops.layout import Layout
from deeplax.ops.lowerings import choice
from tests.models.random_weights import random_variables
from tests.models.test_consistency import thin


@pytest.fixture
def entered(monkeypatch):
  """Short variants of every style, and the rates of layouts entered."""
  for style in resnet.STYLES:
    for bottleneck in (False, True):
      variant = resnet.Variant(bottleneck, (2, 1, 2, 2), style)
      monkeypatch.setitem(
        resnet.VARIANTS, f'{"deep" if bottleneck else "flat"}_{style}', variant
      )
  short = dataclasses.replace(xception.VARIANTS['41'], middle=1)
  monkeypatch.setitem(xception.VARIANTS, 'short', short)
  rates, enter = [], Layout.enter

  def recording(self, x):
    rates.append(self.rate)
    return enter(self, x)

  monkeypatch.setattr(Layout, 'enter', recording)
  jax.config.update('jax_disable_most_optimizations', True)
  with jax.enable_x64(True):
    yield rates
  jax.config.update('jax_disable_most_optimizations', False)


def build(encoder, variant, **keys):
  options = Options(
    19, encoder=encoder, variant=variant, dtype='float64', **keys
  )
  return thin(models.find(encoder, 'encoders').build(options))


def everything(model, variables, x):
  """Endpoints, batch statistics and gradients of a training step."""

  def loss(params, x):
    endpoints, updates = model.apply(
      {**variables, 'params': params}, x, train=True, mutable=['batch_stats']
    )
    # Weights that differ from pixel to pixel, so that none may be mistaken.
    weighted = (
      (y * jnp.sin(jnp.arange(y.size)).reshape(y.shape)).mean()
      for y in endpoints.values()
    )
    return sum(weighted), (endpoints, updates)

  gradients, found = jax.grad(loss, (0, 1), has_aux=True)(
    variables['params'], x
  )
  return gradients, found


def assert_equal(found, expected, tolerance=1e-11):
  def compare(path, a, b):
    a, b = np.asarray(a), np.asarray(b)
    scale = max(np.abs(b).max(), 1e-3)
    np.testing.assert_allclose(
      a / scale, b / scale, atol=tolerance, err_msg=str(path)
    )

  jax.tree_util.tree_map_with_path(compare, found, expected)


CASES = [
  # encoder, variant, further keys, rates of the layouts.
  ('resnet', 'flat_', dict(output_stride=16), [2]),
  ('resnet', 'flat_', dict(output_stride=8), [2, 2]),
  ('resnet', 'flat_course', dict(output_stride=8), [2, 4]),
  ('resnet', 'flat_beta', dict(output_stride=8), [2, 4]),
  ('resnet', 'deep_', dict(output_stride=16, bn_unbiased=True), [2]),
  ('resnet', 'deep_v1c', dict(output_stride=8, remat=True), [2, 2]),
  ('resnet', 'deep_caffe', dict(output_stride=8), [2, 4]),
  ('resnet', 'deep_slim', dict(output_stride=8, multi_grid=(1, 2)), [2, 4]),
  ('resnet', 'deep_slim', dict(output_stride=16, multi_grid=(3, 3)), [6]),
  ('xception', 'short', dict(output_stride=16), [2]),
  ('xception', 'short', dict(output_stride=8, multi_grid=(1, 2, 4)), [2, 2]),
  ('mobilenet_v2', '0.25', dict(output_stride=16), [2]),
  ('mobilenet_v2', '0.25_1280', dict(output_stride=8, remat=True), [2, 2]),
  ('mobilenet_v2', '1.0_smp', dict(output_stride=8), [2, 4]),
]


# The features have odd sizes: the parts are filled up.
@pytest.mark.parametrize('encoder, variant, keys, rates', CASES)
def test_training_is_the_same(entered, encoder, variant, keys, rates):
  assert_training_is_the_same(entered, (70, 50), encoder, variant, keys, rates)


def test_training_is_the_same_where_nothing_is_filled_up(entered):
  keys = dict(output_stride=16)
  assert_training_is_the_same(
    entered, (64, 32), 'resnet', 'deep_slim', keys, [2]
  )


def assert_training_is_the_same(entered, size, encoder, variant, keys, rates):
  x = np.random.default_rng(0).standard_normal((2, *size, 3))
  plain = build(encoder, variant, space_to_batch='off', **keys)
  other = build(encoder, variant, space_to_batch='on', **keys)
  variables = random_variables(plain, x)
  expected = jax.jit(lambda v, x: everything(plain, v, x))(variables, x)
  assert not entered
  found = jax.jit(lambda v, x: everything(other, v, x))(variables, x)
  assert entered[: len(rates)] == rates
  assert_equal(found, expected)


@pytest.mark.parametrize('encoder, variant', [('resnet', 'deep_caffe')])
def test_predictions_are_the_same(entered, encoder, variant):
  x = np.random.default_rng(0).standard_normal((1, 75, 33, 3))
  plain = build(encoder, variant, output_stride=8, space_to_batch='off')
  other = build(encoder, variant, output_stride=8, space_to_batch='on')
  variables = random_variables(plain, x)
  found, expected = (
    jax.jit(lambda v, x, m=m: m.apply(v, x, train=False))(variables, x)
    for m in (other, plain)
  )
  assert entered == [2, 4]
  assert_equal(found, expected)


# Rows on several devices stay in the ordinary layout.
@pytest.mark.parametrize('spatial, rates', [(1, [2]), (2, [])])
def test_over_devices(entered, spatial, rates):
  keys = dict(output_stride=16)
  x = np.random.default_rng(0).standard_normal((4, 96, 48, 3))
  plain = build('resnet', 'flat_slim', space_to_batch='off', **keys)
  other = build('resnet', 'flat_slim', space_to_batch='on', **keys)
  variables = random_variables(plain, x)
  expected = jax.jit(lambda v, x: everything(plain, v, x))(variables, x)
  mesh = sharding.make_mesh(4, spatial, jax.devices()[: 4 * spatial])
  found = jax.jit(lambda v, x: everything(other, v, x))(
    sharding.put_replicated(variables, mesh),
    sharding.put_batch({'x': x}, mesh)['x'],
  )
  assert entered[: len(rates)] == rates and bool(entered) == bool(rates)
  assert_equal(found, expected)


def test_auto_follows_the_table(entered, monkeypatch):
  seen, answers = [], []

  def chosen(*shape, train, depthwise):
    seen.append((*shape, train, depthwise))
    return answers[-1]

  monkeypatch.setattr(choice, 'choose_stage', chosen)
  model = build('resnet', 'flat_slim', output_stride=16)
  x = jax.ShapeDtypeStruct((1, 64, 32, 3), np.float64)
  variables = jax.eval_shape(
    lambda x: model.init(jax.random.key(0), x, train=False), x
  )
  for answer, rates in (('off', []), ('on', [2])):
    answers.append(answer)
    entered.clear()
    jax.eval_shape(lambda v, x: model.apply(v, x, train=False), variables, x)
    assert entered == rates
  # Rate, height, width and channels of the last stage's input.
  assert set(seen) == {(2, 4, 2, 16, False, False)}


def test_initialisation_and_tables_have_ordinary_sizes(entered):
  model = build('resnet', 'flat_slim', output_stride=16, space_to_batch='on')
  jax.eval_shape(
    lambda x: model.init(jax.random.key(0), x, train=False),
    jax.ShapeDtypeStruct((1, 64, 32, 3), np.float64),
  )
  assert not entered


def test_unknown_switch_is_named():
  with pytest.raises(ValueError, match=r'space_to_batch.*maybe.*auto.*on.*off'):
    models.build(2, space_to_batch='maybe')
