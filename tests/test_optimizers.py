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
