"""Pooling against definitions and `lax.reduce_window`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from deeplax.ops import pool
from tests.ops import reference


def draw(*shape, seed=0):
  return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def reduce_window(x, window, stride):
  edge = (window // 2, window // 2)
  return lax.reduce_window(
    x,
    -jnp.inf,
    lax.max,
    (1, window, window, 1),
    (1, stride, stride, 1),
    ((0, 0), edge, edge, (0, 0)),
  )


@pytest.mark.parametrize(
  'window, stride, height, width',
  [(3, 2, 8, 7), (3, 1, 5, 4), (5, 2, 2, 5), (3, 2, 1, 1)],
)
def test_max_pool(window, stride, height, width):
  x = draw(2, height, width, 3) - 5  # padding with zeros would show
  np.testing.assert_array_equal(
    pool.max_pool(x, window=window, stride=stride),
    reference.max_pool(x, window, stride),
  )
  weights = draw(*reduce_window(x, window, stride).shape, seed=1)

  def gradient(f):
    return jax.jit(jax.grad(lambda x: (f(x) * weights).sum()))(x)

  np.testing.assert_allclose(
    gradient(lambda x: pool.max_pool(x, window=window, stride=stride)),
    gradient(lambda x: reduce_window(x, window, stride)),
    atol=1e-6,
  )


def test_even_window_is_refused():
  with pytest.raises(ValueError, match='is 2'):
    pool.max_pool(draw(1, 4, 4, 1), window=2)


def test_global_average_adds_up_in_float32():
  x = jnp.asarray(1 + 0.1 * draw(1, 64, 64, 2), jnp.bfloat16)
  y = pool.global_average(x)
  assert (y.shape, y.dtype) == ((1, 1, 1, 2), jnp.bfloat16)
  np.testing.assert_allclose(
    np.asarray(y, np.float64)[0, 0, 0],
    np.asarray(x, np.float64).mean((0, 1, 2)),
    rtol=2**-8,
  )
