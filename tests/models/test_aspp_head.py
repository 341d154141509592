"""The head's dense branches by matrix products, against convolutions."""

import jax
import numpy as np
import pytest

from deeplax import models, sharding
from deeplax.models.options import Options
from deeplax.ops import aspp
from tests.models.random_weights import random_variables


@pytest.fixture
def products(monkeypatch):
  """Numbers of kernels that products were made with."""
  numbers, plain = [], aspp.products

  def recording(x, kernels, rates):
    numbers.append(len(kernels))
    return plain(x, kernels, rates)

  monkeypatch.setattr(aspp, 'products', recording)
  with jax.enable_x64(True):
    yield numbers


def build(lowering, **keys):
  options = Options(
    19,
    head='aspp',
    head_channels=4,
    aspp_lowering=lowering,
    dropout=0.0,
    dtype='float64',
    **keys,
  )
  return models.find('aspp', 'heads').build(options)


def everything(model, variables, x):
  """Result, statistics and gradients of a training step."""

  def loss(params, x):
    y, updates = model.apply(
      {**variables, 'params': params}, x, train=True, mutable=['batch_stats']
    )
    return (y * np.sin(np.arange(y.size)).reshape(y.shape)).sum(), (y, updates)

  return jax.grad(loss, (0, 1), has_aux=True)(variables['params'], x)


def assert_equal(found, expected):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-10, rtol=1e-10),
    found,
    expected,
  )


@pytest.mark.parametrize(
  'lowering, numbers', [('one_product', [4]), ('branch_products', [1] * 4)]
)
@pytest.mark.parametrize('bias', [False, True])
def test_training_is_the_same(products, lowering, numbers, bias):
  x = np.random.default_rng(0).standard_normal((2, 9, 13, 5))
  plain = build('convolutions', head_bias=bias)
  other = build(lowering, head_bias=bias)
  variables = random_variables(plain, x)
  jax.tree.map(
    lambda a, b: np.testing.assert_array_equal(a, b),
    random_variables(other, x),
    variables,
  )
  expected = jax.jit(lambda v, x: everything(plain, v, x))(variables, x)
  assert not products
  found = jax.jit(lambda v, x: everything(other, v, x))(variables, x)
  assert products == numbers
  assert_equal(found, expected)


@pytest.mark.parametrize(
  'keys', [dict(head_separable=True), dict(atrous_rates=())]
)
def test_heads_without_dense_atrous_branches_have_no_products(products, keys):
  x = np.random.default_rng(0).standard_normal((1, 5, 5, 5))
  model = build('one_product', **keys)
  model.apply(random_variables(model, x), x, train=False)
  assert not products


# Rows on several devices are left to convolutions.
@pytest.mark.parametrize('spatial, numbers', [(1, [4]), (2, [])])
def test_over_devices(products, spatial, numbers):
  x = np.random.default_rng(0).standard_normal((4, 8, 6, 5))
  plain, other = build('convolutions'), build('one_product')
  variables = random_variables(plain, x)
  expected = jax.jit(lambda v, x: everything(plain, v, x))(variables, x)
  mesh = sharding.make_mesh(4, spatial, jax.devices()[: 4 * spatial])
  found = jax.jit(lambda v, x: everything(other, v, x))(
    sharding.put_replicated(variables, mesh),
    sharding.put_batch({'x': x}, mesh)['x'],
  )
  assert products == numbers
  assert_equal(found, expected)


def test_unknown_lowering_is_named():
  with pytest.raises(ValueError, match=r'aspp_lowering.*fast.*one_product'):
    models.build(2, aspp_lowering='fast')
