"""--check=lr: the sweep, where it ends, and what it proposes."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from deeplax import checks, optimizers
from deeplax.checks import learning_rate
from tests.checks import small_network as small


def swept(curvature, noise=0.0, **options):
  """Losses of a sweep on the mean of h x^2 / 2, from x = 1."""
  tx = optimizers.make_optimizer(learning_rate.sweep, **options)
  shape = {'a': {'kernel': jnp.ones((4, 4))}}
  rng = np.random.default_rng(0)
  explosion, losses = learning_rate.Explosion(), []

  @jax.jit
  def step(params, state):
    def loss(params):
      return 0.5 * curvature * jnp.mean(params['a']['kernel'] ** 2)

    value, grads = jax.value_and_grad(loss)(params)
    # As if each of the 16 had the loss for itself.
    grads = jax.tree.map(lambda g: 16 * g, grads)
    updates, state = tx.update(grads, state, params)
    return optax.apply_updates(params, updates), state, value

  params, state = shape, tx.init(shape)
  for _ in range(learning_rate.STEPS):
    params, state, value = step(params, state)
    # A floor, as that of a data set that can't be fitted.
    loss = float(value) + 0.1 * curvature * (1 + noise * rng.standard_normal())
    if not np.isfinite(loss):
      break
    losses.append(loss)
    if explosion(loss):
      break
  return losses


@pytest.mark.parametrize('curvature', [10.0, 100.0, 1000.0])
@pytest.mark.parametrize('noise', [0.0, 0.3])
def test_a_quadratic(curvature, noise):
  losses = swept(curvature, noise, name='sgd', momentum=0.0)
  assert len(losses) < learning_rate.STEPS  # it diverges, and that is seen
  found = learning_rate.suggest(learning_rate.rates_of(len(losses)), losses)
  # 1 / h goes to the minimum in one step, and 2 / h diverges: within a decade.
  assert 0.1 / curvature <= found < 1 / curvature


def test_momentum_and_adam_have_rates_of_their_own():
  def peak(**options):
    losses = swept(10.0, **options)
    return learning_rate.suggest(learning_rate.rates_of(len(losses)), losses)

  # With momentum m, (1 - sqrt(m))^2 / h is damped critically.
  critical = (1 - 0.9**0.5) ** 2 / 10
  assert critical / 10 < peak(name='sgd', momentum=0.9) < critical * 10
  # Adam's steps have the size of the rate: 1 is the way to go.
  assert 0.01 < peak(name='adam') < 1


def test_the_sweep():
  rates = learning_rate.rates_of(learning_rate.STEPS)
  assert rates[[0, -1]] == pytest.approx([1e-6, 10.0])
  assert np.ptp(np.diff(np.log(rates))) < 1e-9
  assert [float(learning_rate.sweep(i)) for i in (0, 50, 70)] == pytest.approx(
    rates[[0, 50, 70]], rel=1e-4
  )


def test_smoothing_does_not_shift():
  losses = np.abs(np.arange(60) - 30.0)
  assert learning_rate.smooth(losses).argmin() == 30
  assert learning_rate.smooth(np.full(9, 2.0)) == pytest.approx(2.0)


@pytest.mark.parametrize(
  'losses',
  [
    np.full(71, 2.0),
    2 + 0.1 * np.random.default_rng(0).standard_normal(71),
    np.geomspace(2, 20, 60),
    [2.0, 1.0],
    [],
  ],
)
def test_nothing_is_proposed_where_nothing_falls(losses):
  rates = learning_rate.rates_of(len(losses))
  assert learning_rate.suggest(rates, losses) is None
  report = learning_rate.report(rates, losses, None, 0.1)
  assert 'NO learning rate' in report[-1] and 'overfit' in report[-1]


@pytest.mark.parametrize(
  'given, words',
  [
    (0.02, 'agrees'),
    (0.1, '5.0 times as high: both may do'),
    (0.004, '5.0 times as low: both may do'),
    (1.0, '50.0 times as high: FAR OFF. Give --config.schedule.peak=0.02'),
    (1e-5, '2000.0 times as low: FAR OFF'),
  ],
)
def test_what_the_config_has_is_said_beside_it(given, words):
  losses = np.geomspace(2, 0.2, 70)
  rates = learning_rate.rates_of(70)
  assert words in '\n'.join(learning_rate.report(rates, losses, 0.02, given))


def test_a_network(tmp_path, monkeypatch):
  small.use(monkeypatch)
  root = small.write(tmp_path / 'mine')
  workdir = tmp_path / 'run'
  told = []
  config = small.config(
    root,
    **{'schedule.peak': 1e-6, 'optimizer.momentum': 0.0},
  )
  code = checks.run('lr', config, workdir, told.append)
  assert code == 0 and told[0].passed
  figures = json.loads((workdir / 'checks' / 'lr.json').read_text())
  assert figures['config_peak'] == 1e-6
  assert 'FAR OFF' in str(told[0])
  assert len(figures['losses']) == len(figures['learning_rates'])
  assert (workdir / 'checks' / 'lr.png').read_bytes()[:4] == b'\x89PNG'
  assert sorted(p.name for p in workdir.iterdir()) == ['checks']
  # And the rate that is proposed learns.
  changes = {'schedule.peak': figures['suggested_peak'], 'total_steps': 60}
  config.update_from_flattened_dict(changes)
  assert checks.run('overfit', config, workdir, told.append) == 0
