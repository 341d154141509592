"""Gradients against finite differences, in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deeplax.crf import dense_crf, lattice
from tests.crf import reference

SIZE, CLASSES = (6, 7), 3
IMAGE = reference.picture(*SIZE)
STEP = 1e-6


@pytest.fixture(autouse=True)
def double():
  with jax.enable_x64(True):
    yield


def loss(parameters, image, method='lattice', normalization='symmetric'):
  """Something that depends on every Q in its own way."""
  q = dense_crf(
    image,
    unary=parameters['unary'],
    num_iterations=3,
    spatial=(2.0, parameters['spatial']),
    bilateral=((4.0, 5.0), 20.0, parameters['bilateral']),
    compatibility=parameters['compatibility'],
    method=method,
    normalization=normalization,
  )
  factors = np.random.default_rng(5).normal(size=q.shape)
  return jnp.sum(factors * q**2)


def parameters():
  rng = np.random.default_rng(3)
  potts = 1 - np.eye(CLASSES) + rng.normal(0, 0.3, (CLASSES, CLASSES))
  return {
    'unary': jnp.asarray(reference.energies(*SIZE, CLASSES), jnp.float64),
    'spatial': jnp.asarray(1.5),
    'bilateral': jnp.asarray(2.0),
    'compatibility': jnp.asarray(potts),
  }


def check(function, at, gradient):
  """In ten directions of every parameter."""
  rng = np.random.default_rng(0)
  assert set(gradient) == set(at)
  for name, value in at.items():
    for _ in range(10 if value.size > 1 else 1):
      direction = rng.normal(size=value.shape)
      ends = [
        function(at | {name: value + sign * STEP * direction})
        for sign in (1, -1)
      ]
      numeric = float(ends[0] - ends[1]) / (2 * STEP)
      exact = float(jnp.sum(gradient[name] * direction))
      assert exact == pytest.approx(numeric, rel=1e-6, abs=1e-8), name
    assert np.abs(gradient[name]).max() > 1e-3, name


@pytest.mark.parametrize('method', ('lattice', 'grid'))
@pytest.mark.parametrize(
  'normalization', ('symmetric', 'before', 'after', 'none')
)
def test_gradients_of_a_known_image(method, normalization):
  # Finite differences go the way of the host, gradients that of the device.
  value = functools.partial(
    loss, image=IMAGE, method=method, normalization=normalization
  )
  check(value, parameters(), jax.grad(value)(parameters()))


def test_gradients_under_jit():
  value = jax.jit(loss)
  gradient = jax.jit(jax.grad(loss))(parameters(), IMAGE)
  check(lambda p: value(p, IMAGE), parameters(), gradient)


def test_gradients_of_a_batch():
  images = np.stack([IMAGE, reference.picture(*SIZE, seed=4)])
  batch = parameters()
  batch['unary'] = jnp.stack([batch['unary'], 2 - batch['unary']])
  gradient = jax.jit(jax.grad(loss))(batch, images)
  check(lambda p: loss(p, images), batch, gradient)


def test_gradients_through_probabilities():
  def value(probs):
    q = dense_crf(
      IMAGE, probs, num_iterations=2, bilateral=(4, 20, 2), spatial=(2, 1)
    )
    return jnp.sum(q[..., 0] ** 2)

  probs = jnp.asarray(reference.softmax(-np.asarray(parameters()['unary'])))
  gradient = jax.grad(value)(probs)
  check(lambda p: value(p['probs']), {'probs': probs}, {'probs': gradient})
  # 0 has a gradient that is a number.
  certain = jnp.eye(CLASSES)[jnp.argmax(probs, -1)]
  assert np.isfinite(jax.grad(value)(certain)).all()


def test_image_gets_no_gradient():
  # Silence would pass for a flat loss; documented, and 0 throughout.
  image = jnp.asarray(IMAGE, jnp.float64)
  gradient = jax.grad(loss, argnums=1)(parameters(), image)
  np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize('d', (2, 5))
def test_filter_and_transpose(d):
  rng = np.random.default_rng(0)
  built = lattice.build(jnp.asarray(rng.normal(0, 2, (50, d)), jnp.float32))
  filter_ = functools.partial(lattice.filter_, built)
  x, y = rng.normal(size=(2, 50, 3))
  result, pull = jax.vjp(filter_, jnp.asarray(x))
  (back,) = pull(jnp.asarray(y))
  np.testing.assert_allclose(np.sum(y * result), np.sum(back * x), rtol=1e-12)
  np.testing.assert_allclose(back, lattice.filter_(built, y, True), rtol=1e-12)
  # And the gradient of the gradient.
  _, pull = jax.vjp(lambda v: jax.vjp(filter_, jnp.asarray(x))[1](v)[0], y)
  np.testing.assert_allclose(pull(jnp.asarray(x))[0], result, rtol=1e-12)
