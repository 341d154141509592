"""Schedules against their formulas, optimisers against PyTorch's rules."""

import jax
import numpy as np
import optax
import pytest

from deeplax import optimizers


def rate(step, **options):
  defaults = {'peak': 0.1, 'total_steps': 100}
  return float(optimizers.make_schedule(**{**defaults, **options})(step))


def test_poly():
  assert rate(0, name='poly') == pytest.approx(0.1)
  assert rate(25, name='poly') == pytest.approx(0.1 * 0.75**0.9)
  assert rate(100, name='poly', end=1e-4) == pytest.approx(1e-4)


def test_cosine():
  assert rate(50, name='cosine', end=0.02) == pytest.approx(0.06)
  assert rate(100, name='cosine', end=0.02) == pytest.approx(0.02)


def test_step():
  options = dict(name='step', boundaries=(0.5, 0.75), factor=0.1)
  values = [rate(s, **options) for s in (0, 49, 50, 75)]
  assert values == pytest.approx([0.1, 0.1, 0.01, 0.001])
  assert rate(50, warmup_steps=10, **options) == pytest.approx(0.01)


def test_warmup_then_the_whole_schedule():
  options = dict(name='poly', warmup_steps=9)
  assert rate(0, **options) == pytest.approx(0.01)
  assert rate(8, **options) == pytest.approx(0.09)
  assert rate(9, **options) == pytest.approx(0.1)
  assert rate(100, **options) == pytest.approx(0.0)


@pytest.mark.parametrize(
  'options', [dict(name='polly'), dict(name='poly', warmup_steps=100)]
)
def test_bad_schedule_is_named(options):
  with pytest.raises(ValueError, match='schedule'):
    rate(0, **options)


def torch_like(name, params, grads, steps, lr, wd, decays, mult):
  """PyTorch's documented update rules, written out."""
  params = {k: v.copy() for k, v in params.items()}
  m = {k: np.zeros_like(v) for k, v in params.items()}
  v2 = {k: np.zeros_like(v) for k, v in params.items()}
  for t in range(1, steps + 1):
    for k, p in params.items():
      g = grads[k].copy()
      decay = wd if decays(k) else 0.0
      if name == 'adamw':
        p -= lr * mult.get(k, 1.0) * decay * p
      else:
        g = g + decay * p
      if name.startswith('sgd'):
        m[k] = 0.9 * m[k] + g
        update = g + 0.9 * m[k] if name == 'sgd_nesterov' else m[k]
      else:
        m[k] = 0.9 * m[k] + 0.1 * g
        v2[k] = 0.999 * v2[k] + 0.001 * g * g
        m_hat, v_hat = m[k] / (1 - 0.9**t), v2[k] / (1 - 0.999**t)
        update = m_hat / (np.sqrt(v_hat) + 1e-8)
      p -= lr * mult.get(k, 1.0) * update
  return params


@pytest.mark.parametrize('name', ['sgd', 'sgd_nesterov', 'adam', 'adamw'])
@pytest.mark.parametrize('mask', ['all', 'kernels'])
def test_updates_follow_pytorch(name, mask):
  rng = np.random.default_rng(0)
  params = {
    'encoder': rng.normal(size=(3, 2)).astype(np.float32),
    'head': rng.normal(size=4).astype(np.float32),
  }
  grads = {
    k: rng.normal(size=v.shape).astype(np.float32) for k, v in params.items()
  }
  tx = optimizers.make_optimizer(
    lambda _: 0.01,
    name=name.removesuffix('_nesterov'),
    nesterov=name.endswith('_nesterov'),
    weight_decay=0.1,
    decay_mask=mask,
    encoder_lr_mult=0.5,
  )
  state, ours = tx.init(params), params
  for _ in range(4):
    updates, state = tx.update(grads, state, ours)
    ours = optax.apply_updates(ours, updates)
  theirs = torch_like(
    name,
    params,
    grads,
    4,
    0.01,
    0.1,
    lambda k: mask == 'all' or params[k].ndim > 1,
    {'encoder': 0.5},
  )
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6),
    dict(ours),
    theirs,
  )


def test_clipping_is_global():
  tx = optimizers.make_optimizer(
    lambda _: 1.0, name='sgd', momentum=0.0, clip_norm=1.0
  )
  params = {'a': np.zeros(1, np.float32), 'b': np.zeros(1, np.float32)}
  grads = {'a': np.float32([3.0]), 'b': np.float32([4.0])}
  updates, _ = tx.update(grads, tx.init(params), params)
  np.testing.assert_allclose(
    [updates['a'][0], updates['b'][0]], [-0.6, -0.8], rtol=1e-6
  )


def test_unknown_optimizer_is_named():
  with pytest.raises(ValueError, match=r"optimizer.name \(='lion'\)"):
    optimizers.make_optimizer(lambda _: 1.0, name='lion')


def test_the_schedule_of_deeplab_v1():
  options = dict(
    name='step',
    peak=1e-3,
    total_steps=6_000,
    boundaries=(1 / 3, 2 / 3),
    factor=0.1,
  )
  steps = (0, 1_999, 2_000, 3_999, 4_000, 5_999)
  values = [rate(step, **options) for step in steps]
  assert values == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5])


def rates_of(**options):
  """Learning rate of every array, by path: a step of gradient 1 at rate 1."""

  def layer(*names):
    return {name: np.zeros(2, np.float32) for name in names}

  params = {
    'encoder': {
      'block1': {
        'conv1': layer('kernel', 'bias'),
        'bn1': layer('scale', 'bias'),
      }
    },
    'head': {
      'fc6': layer('kernel', 'bias'),
      'logits1': layer('kernel', 'bias'),
      'project': {'conv': layer('kernel'), 'bn': layer('scale', 'bias')},
    },
    'auxiliary': {'logits': layer('kernel', 'bias')},
    'logits': layer('kernel', 'bias'),
  }
  tx = optimizers.make_optimizer(
    lambda _: 1.0, name='sgd', momentum=0.0, weight_decay=0.0, **options
  )
  gradients = jax.tree.map(np.ones_like, params)
  updates, _ = tx.update(gradients, tx.init(params), params)
  return {
    jax.tree_util.keystr(path, simple=True, separator='/'): -float(leaf[0])
    for path, leaf in jax.tree_util.tree_leaves_with_path(updates)
  }


def changed(rates):
  return {path: value for path, value in rates.items() if value != 1}


def test_without_factors_all_learn_alike():
  rates = rates_of()
  assert len(rates) == 15 and not changed(rates)


def test_factor_of_the_logits():
  assert changed(rates_of(logits_lr_mult=10.0)) == {
    'head/logits1/kernel': 10,
    'head/logits1/bias': 10,
    'auxiliary/logits/kernel': 10,
    'auxiliary/logits/bias': 10,
    'logits/kernel': 10,
    'logits/bias': 10,
  }


def test_factor_of_biases_leaves_batch_norm_alone():
  assert changed(rates_of(bias_lr_mult=2.0)) == {
    'encoder/block1/conv1/bias': 2,
    'head/fc6/bias': 2,
    'head/logits1/bias': 2,
    'auxiliary/logits/bias': 2,
    'logits/bias': 2,
  }


def test_factor_of_batch_norm():
  assert changed(rates_of(bn_lr_mult=0.0, bias_lr_mult=2.0)) == {
    'encoder/block1/conv1/bias': 2,
    'encoder/block1/bn1/scale': 0,
    'encoder/block1/bn1/bias': 0,
    'head/fc6/bias': 2,
    'head/logits1/bias': 2,
    'head/project/bn/scale': 0,
    'head/project/bn/bias': 0,
    'auxiliary/logits/bias': 2,
    'logits/bias': 2,
  }


def test_dense_kernels_decay_alone():
  layer = {
    'depthwise': {'kernel': np.ones((3, 3, 1, 2), np.float32)},
    'pointwise': {'kernel': np.ones((1, 1, 2, 3), np.float32)},
    'bn': {'scale': np.ones(3, np.float32), 'bias': np.ones(3, np.float32)},
  }
  tx = optimizers.make_optimizer(
    lambda _: 1.0,
    name='sgd',
    momentum=0.0,
    weight_decay=0.5,
    decay_mask='dense_kernels',
  )
  updates, _ = tx.update(
    jax.tree.map(np.zeros_like, layer), tx.init(layer), layer
  )
  decayed = {
    jax.tree_util.keystr(path, simple=True, separator='/')
    for path, leaf in jax.tree_util.tree_leaves_with_path(updates)
    if leaf.any()
  }
  assert decayed == {'pointwise/kernel'}


def test_factors_multiply_as_in_deeplab_v1():
  rates = rates_of(encoder_lr_mult=0.5, logits_lr_mult=10.0, bias_lr_mult=2.0)
  assert rates == {
    'encoder/block1/conv1/kernel': 0.5,
    'encoder/block1/conv1/bias': 1,
    'encoder/block1/bn1/scale': 0.5,
    'encoder/block1/bn1/bias': 0.5,
    'head/fc6/kernel': 1,
    'head/fc6/bias': 2,
    'head/logits1/kernel': 10,
    'head/logits1/bias': 20,
    'head/project/conv/kernel': 1,
    'head/project/bn/scale': 1,
    'head/project/bn/bias': 1,
    'auxiliary/logits/kernel': 10,
    'auxiliary/logits/bias': 20,
    'logits/kernel': 10,
    'logits/bias': 20,
  }


def test_factors_come_after_momentum_and_decay():
  params = {'logits': {'kernel': np.full(1, 2.0, np.float32)}}
  gradients = {'logits': {'kernel': np.full(1, 3.0, np.float32)}}
  tx = optimizers.make_optimizer(
    lambda _: 0.1, name='sgd', weight_decay=0.5, logits_lr_mult=10.0
  )
  state = tx.init(params)
  for momentum in (4.0, 0.9 * 4.0 + 4.0):  # gradient and decay: 3 + 0.5 * 2
    updates, state = tx.update(gradients, state, params)
    found = float(updates['logits']['kernel'][0])
    assert found == pytest.approx(-0.1 * 10 * momentum, rel=1e-6)
