"""Running statistics, frozen batch norm, dtypes and paths of the layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deeplax.models import layers
from deeplax.models.options import Options
from tests.ops import reference


def style(**keys):
  return Options(19, **keys).style


def draw(*shape, seed=0, mean=3.0):
  rng = np.random.default_rng(seed)
  return (mean + 2 * rng.standard_normal(shape)).astype(np.float32)


def norm(x, train, **keys):
  """Result and new statistics of a batch norm with statistics of its own."""
  variables = {
    'params': {'scale': draw(3, seed=1), 'bias': draw(3, seed=2)},
    'batch_stats': {'mean': draw(3, seed=3), 'var': draw(3, seed=4) ** 2},
  }
  y, updates = layers.BatchNorm(style(**keys)).apply(
    variables, x, train=train, mutable=['batch_stats']
  )
  return y, variables, updates['batch_stats']


def test_training_uses_and_tracks_the_batch():
  x = draw(4, 5, 6, 3)
  y, variables, stats = norm(x, True, bn_decay=0.8)
  params, old = variables['params'], variables['batch_stats']
  np.testing.assert_allclose(
    y, reference.batch_norm(x, params['scale'], params['bias']), atol=1e-5
  )
  exact = x.astype(np.float64)
  for name, value in (
    ('mean', exact.mean((0, 1, 2))),
    ('var', exact.var((0, 1, 2))),  # divided by n
  ):
    np.testing.assert_allclose(
      stats[name], 0.8 * old[name] + 0.2 * value, rtol=1e-5
    )


@pytest.mark.parametrize(
  'shape, train, keys',
  [
    ((2, 4, 4, 3), False, {}),
    ((2, 4, 4, 3), True, dict(freeze_bn=True)),
    ((1, 1, 1, 3), True, {}),  # one value has no variance
  ],
)
def test_running_statistics_are_used_and_kept(shape, train, keys):
  x = draw(*shape)
  y, variables, stats = norm(x, train, **keys)
  params, old = variables['params'], variables['batch_stats']
  expected = reference.batch_norm(
    x, params['scale'], params['bias'], old['mean'], old['var']
  )
  np.testing.assert_allclose(y, expected, atol=1e-5)
  jax.tree.map(np.testing.assert_array_equal, stats, old)


def test_frozen_batch_norm_still_trains_scale_and_bias():
  x = draw(2, 4, 4, 3)
  module = layers.BatchNorm(style(freeze_bn=True))
  variables = module.init(jax.random.key(0), x, train=False)

  def loss(params):
    return module.apply({**variables, 'params': params}, x, train=True).sum()

  gradient = jax.grad(loss)(variables['params'])
  assert all(np.abs(g).min() > 0 for g in jax.tree.leaves(gradient))


def test_bfloat16_keeps_parameters_and_statistics_in_float32():
  module = layers.ConvBn(4, style(dtype='bfloat16'), size=3, use_bias=True)
  x = jnp.asarray(draw(2, 8, 8, 3), jnp.bfloat16)
  variables = module.init(jax.random.key(0), x, train=False)
  assert {a.dtype.name for a in jax.tree.leaves(variables)} == {'float32'}
  y, updates = module.apply(variables, x, train=True, mutable=['batch_stats'])
  assert y.dtype == jnp.bfloat16
  assert {a.dtype.name for a in jax.tree.leaves(updates)} == {'float32'}


def test_separable_has_batch_norm_and_relu_twice():
  module = layers.SeparableConvBn(5, style(), rate=2)
  x = draw(1, 6, 6, 3)
  variables = module.init(jax.random.key(0), x, train=False)
  shapes = jax.tree.map(jnp.shape, variables['params'])
  assert shapes['depthwise']['conv'] == {'kernel': (3, 3, 1, 3)}
  assert shapes['pointwise']['conv'] == {'kernel': (1, 1, 3, 5)}
  params = variables['params']
  inner = reference.conv(
    x, params['depthwise']['conv']['kernel'], rate=2, groups=3
  )
  inner = np.maximum(inner / np.sqrt(1 + 1e-5), 0)
  outer = reference.conv(inner, params['pointwise']['conv']['kernel'])
  np.testing.assert_allclose(
    module.apply(variables, x, train=False),
    np.maximum(outer / np.sqrt(1 + 1e-5), 0),
    atol=1e-4,
  )
