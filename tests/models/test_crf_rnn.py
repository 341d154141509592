"""A CRF as the last layer of a network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import v2_r101
from deeplax import crf, models, optimizers
from deeplax.errors import UserError
from deeplax.ops.resize import resize

KEYS = dict(
  encoder='resnet',
  variant='18',
  head='none',
  decoder='none',
  crf_rnn=2,
  crf_rnn_spatial=(2.0, 3.0),
  crf_rnn_bilateral=(8.0, 20.0, 4.0),
)


@pytest.fixture(scope='module')
def case():
  model = models.build(3, **KEYS)
  image = np.random.default_rng(0).integers(0, 256, (2, 17, 24, 3), np.uint8)
  return model, models.initialize(model, 0), image


def test_it_is_the_crf_on_the_network_s_scores(case):
  model, variables, image = case
  apply = jax.jit(lambda v, x: model.apply(v, x, train=False))
  found, endpoints = apply(variables, image)
  plain = models.build(3, **KEYS | {'crf_rnn': 0})
  rest = {k: v for k, v in variables['params'].items() if k != 'crf_rnn'}
  logits, _ = plain.apply({**variables, 'params': rest}, image, train=False)
  np.testing.assert_allclose(endpoints['before_crf'], logits, atol=1e-5)
  probs = jax.nn.softmax(resize(logits, (17, 24)))
  expected = crf.dense_crf(
    image, probs, num_iterations=2, spatial=(2, 3), bilateral=(8, 20, 4)
  )
  np.testing.assert_allclose(np.exp(found), expected, atol=2e-4)
  assert np.abs(expected - probs).max() > 0.05


def test_no_picture_is_too_rough(case):
  # Nothing asks the host, at any size, whether lattice points suffice.
  model, variables, _ = case
  image = jax.ShapeDtypeStruct((1, 321, 321, 3), np.uint8)
  program = jax.make_jaxpr(lambda x: model.apply(variables, x, train=False))
  assert 'callback' not in str(program(image))


def test_all_of_it_is_trained(case):
  model, variables, image = case

  @jax.jit
  def loss(params):
    logits, _ = model.apply({**variables, 'params': params}, image, train=False)
    return -jnp.mean(logits[..., 1])

  gradients = jax.grad(loss)(variables['params'])
  for path, g in jax.tree_util.tree_leaves_with_path(gradients):
    name = jax.tree_util.keystr(path)
    assert np.isfinite(g).all(), name
    assert 'crf_rnn' not in name or np.abs(g).max() > 0, name
  assert np.abs(gradients['logits']['kernel']).max() > 0


@pytest.mark.parametrize('mask', ['all', 'kernels'])
def test_it_does_not_decay(mask, case):
  _, variables, _ = case
  tx = optimizers.make_optimizer(
    lambda _: 1.0, name='sgd', weight_decay=0.1, decay_mask=mask
  )
  params = variables['params']
  zeros = jax.tree.map(jnp.zeros_like, params)
  updates, _ = tx.update(zeros, tx.init(params), params)
  assert not any(np.any(u) for u in jax.tree.leaves(updates['crf_rnn']))
  assert np.any(updates['logits']['kernel'])


def test_bad_keys():
  with pytest.raises(ValueError, match='crf_rnn'):
    models.build(3, **KEYS | {'crf_rnn': -1})
  with pytest.raises(UserError, match='bilateral'):
    models.build(3, **KEYS | {'crf_rnn_bilateral': (0, 1, 1)})


def test_config_goes_on_from_v2():
  config = v2_r101.get_config('crf_rnn')
  assert config.model.crf_rnn == 5 and not config.crf.use
  options = {**config.model.to_dict(), 'variant': '50_caffe'}
  shapes = models.abstract_variables(models.build(19, **options))['params']
  assert shapes['crf_rnn']['compatibility'].shape == (19, 19)
