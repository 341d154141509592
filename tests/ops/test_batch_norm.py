"""Batch normalisation against numpy in float64."""

import math

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest

from deeplax.ops import batch_norm
from tests.ops import reference


def draw(*shape, seed=0):
  return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize('offset', [0.0, 1000.0])
def test_statistics_are_accurate_in_float32(offset):
  x = (offset + draw(4, 17, 19, 6)).astype(np.float32)
  scale, bias = draw(6, seed=1), draw(6, seed=2)
  y, mean, var = batch_norm.batch_norm(x, scale, bias, 1e-5)
  exact = x.astype(np.float64)
  np.testing.assert_allclose(mean, exact.mean((0, 1, 2)), rtol=1e-6, atol=1e-6)
  np.testing.assert_allclose(var, exact.var((0, 1, 2)), rtol=1e-4)
  np.testing.assert_allclose(
    y, reference.batch_norm(x, scale, bias), atol=1e-3 if offset else 1e-5
  )


@pytest.mark.parametrize('ceiling', [math.inf, 0.7])
def test_relu_follows_in_the_same_pass(ceiling):
  x, scale, bias = draw(2, 5, 6, 4), draw(4, seed=1), draw(4, seed=2)
  plain, *statistics = batch_norm.batch_norm(x, scale, bias, 1e-5)
  y, *same = batch_norm.batch_norm(x, scale, bias, 1e-5, ceiling=ceiling)
  np.testing.assert_array_equal(y, np.clip(plain, 0, ceiling))
  np.testing.assert_array_equal(same, statistics)


def test_statistics_of_bfloat16_are_float32():
  x = jnp.asarray(10 + draw(4, 32, 32, 3), jnp.bfloat16)
  y, mean, var = batch_norm.batch_norm(x, jnp.ones(3), jnp.zeros(3), 1e-5)
  assert (y.dtype, mean.dtype, var.dtype) == (
    jnp.bfloat16,
    'float32',
    'float32',
  )
  exact = np.asarray(x, np.float64)
  np.testing.assert_allclose(mean, exact.mean((0, 1, 2)), rtol=1e-6)
  np.testing.assert_allclose(var, exact.var((0, 1, 2)), rtol=1e-5)


@pytest.mark.parametrize('ceiling', [None, math.inf, 0.7])
def test_gradient_equals_differences(ceiling):
  with jax.enable_x64(True):
    arrays = (draw(2, 3, 4, 5), draw(5, seed=1), draw(5, seed=2))
    jax.test_util.check_grads(
      lambda *a: batch_norm.batch_norm(*a, 1e-5, ceiling=ceiling)[0],
      tuple(jnp.asarray(a, jnp.float64) for a in arrays),
      order=1,
      modes=['rev'],
      atol=1e-6,
      rtol=1e-6,
    )
