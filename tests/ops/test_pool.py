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


@pytest.mark.parametrize('height, width', [(8, 6), (7, 5), (1, 4)])
@pytest.mark.parametrize('stride, rate', [(2, 1), (1, 1), (1, 2), (2, 2)])
def test_max_pool_2x2(height, width, stride, rate):
  x = draw(2, height, width, 3) - 5
  # A window needs rate + 1 pixels; what is missing counts for nothing.
  rows, columns = (max(n, rate + 1) for n in (height, width))
  padded = np.full((2, rows, columns, 3), -np.inf)
  padded[:, :height, :width] = x
  expected = np.stack(
    [
      np.stack(
        [
          padded[:, i : i + rate + 1 : rate, j : j + rate + 1 : rate].max(
            (1, 2)
          )
          for j in range(0, columns - rate, stride)
        ],
        axis=1,
      )
      for i in range(0, rows - rate, stride)
    ],
    axis=1,
  )
  found = pool.max_pool_2x2(x, stride=stride, rate=rate)
  np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize('height, width', [(8, 7), (4, 8), (1, 2), (9, 9)])
def test_same_padding_is_tensorflows(height, width):
  x = draw(2, height, width, 3) - 5
  # XLA's SAME is TensorFlow's.
  expected = lax.reduce_window(
    x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), 'SAME'
  )
  found = pool.max_pool(x, window=3, stride=2, padding='same')
  np.testing.assert_array_equal(found, expected)


def test_average_pool_counts_the_padding():
  x = draw(2, 5, 4, 3)
  kernel = np.zeros((3, 3, 3, 3))
  kernel[:, :, range(3), range(3)] = 1 / 9
  np.testing.assert_allclose(
    pool.average_pool(x), reference.conv(x, kernel), atol=1e-6
  )


@pytest.mark.parametrize('window', [(3, 2), (1, 1), (5, 4), (9, 3)])
def test_window_average(window):
  x = draw(2, 5, 4, 3)
  height, width = min(window[0], 5), min(window[1], 4)
  found = pool.window_average(x, window)
  assert found.shape == (2, 6 - height, 5 - width, 3)
  for i in range(found.shape[1]):
    for j in range(found.shape[2]):
      patch = x[:, i : i + height, j : j + width]
      np.testing.assert_allclose(found[:, i, j], patch.mean((1, 2)), atol=1e-6)
