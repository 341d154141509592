"""Windows over rows that lie on several devices, in float64.

Left to XLA, some of these cases abort the compiler and some give a gradient
that is wrong by its own size: rows fewer than the kernel's, and strides with
windows that reach beyond the neighbour.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from deeplax import sharding
from deeplax.ops import conv, pool, resize


def assert_split_equals_whole(f, x_shape, w_shape, data, spatial):
  """Value and gradients of f(x, w), on a mesh against on one device."""
  rng = np.random.default_rng(0)
  x, w = (rng.standard_normal(shape) for shape in (x_shape, w_shape))
  mesh = sharding.make_mesh(data, spatial, jax.devices()[: data * spatial])

  @jax.jit
  def value_and_gradients(x, w, g):
    y, vjp = jax.vjp(f, sharding.cut(x), w)
    return y, *vjp(g)

  with jax.enable_x64(True):
    g = rng.standard_normal(jax.eval_shape(f, x, w).shape)
    split = sharding.put_batch({'x': x}, mesh)['x']
    whole = sharding.put_replicated({'w': w, 'g': g}, mesh)
    jax.tree.map(
      functools.partial(np.testing.assert_allclose, atol=1e-12, rtol=1e-12),
      value_and_gradients(split, whole['w'], whole['g']),
      value_and_gradients(x, w, g),
    )


@pytest.mark.parametrize(
  'size, stride, rate, groups',
  [
    (3, 1, 1, 1),
    (3, 2, 1, 1),
    (7, 2, 1, 1),
    (3, 1, 6, 1),
    (3, 1, 11, 1),
    (3, 2, 6, 1),
    (1, 2, 1, 1),
    (3, 2, 2, 4),
    (3, 1, 1, 2),
  ],
)
@pytest.mark.parametrize(
  'height, data, spatial', [(2, 4, 2), (8, 2, 4), (12, 4, 2)]
)
def test_conv(size, stride, rate, groups, height, data, spatial):
  def f(x, w):
    return conv.conv(x, w, stride=stride, rate=rate, groups=groups)

  shape = (size, size, 4 // groups, 8 if groups < 4 else 4)
  assert_split_equals_whole(f, (4, height, 3, 4), shape, data, spatial)


@pytest.mark.parametrize('window, stride', [(3, 2), (3, 1), (1, 2)])
def test_max_pool(window, stride):
  def f(x, w):
    # Below 0: a border of zeros would show.
    return pool.max_pool(x * w - 9, window=window, stride=stride)

  assert_split_equals_whole(f, (2, 8, 3, 4), (4,), 2, 4)


@pytest.mark.parametrize('height', [8, 11, 12])
def test_same_padding(height):
  def f(x, w):
    y = conv.conv(x, w, stride=2, padding='same')
    return pool.max_pool(y - 9, padding='same')

  assert_split_equals_whole(f, (2, height, 3, 4), (3, 3, 4, 4), 2, 4)


# Without windows of its own, these are left to XLA.
@pytest.mark.parametrize('stride, rate', [(2, 1), (1, 2)])
def test_max_pool_2x2(stride, rate):
  def f(x, w):
    return pool.max_pool_2x2(x * w - 9, stride=stride, rate=rate)

  assert_split_equals_whole(f, (2, 8, 4, 4), (4,), 2, 4)


def test_other_pools_and_up_convolution():
  def f(x, w):
    x = conv.up_convolve(pool.average_pool(x), w)
    return x.at[:, :1, :1].add(pool.window_average(x, (3, 4))[:, :1, :1])

  assert_split_equals_whole(f, (2, 8, 4, 4), (2, 2, 4, 4), 2, 4)


def test_batch_that_does_not_divide_among_devices():
  mesh = sharding.make_mesh(2, 4)
  x = np.random.default_rng(0).standard_normal((3, 8, 4, 2)).astype(np.float32)
  w = np.ones((3, 3, 2, 2), np.float32)
  rows = NamedSharding(mesh, PartitionSpec(None, 'spatial'))
  f = jax.jit(conv.conv)
  np.testing.assert_allclose(f(jax.device_put(x, rows), w), f(x, w), atol=1e-5)


def test_each_device_computes_its_own_rows_only():
  mesh = sharding.make_mesh(2, 4)
  x = jax.device_put(np.zeros((2, 32, 8, 4)), sharding.batch_sharding(mesh))
  w = jnp.zeros((3, 3, 4, 4))
  text = jax.jit(functools.partial(conv.conv, rate=2)).lower(x, w).compile()
  # 32 / 4 rows and two of each neighbour go in, of one picture.
  assert 'f32[1,12,8,4]' in text.as_text()
  assert 'all-gather' not in text.as_text()


@pytest.mark.parametrize('aligned', [False, True])
@pytest.mark.parametrize('heights', [(8, 16), (12, 5), (5, 17), (1, 8)])
def test_resize(aligned, heights):
  def f(x, w):
    size = (heights[1], 6)
    y = resize.resize(x * w, size, align_corners=aligned)
    return y + resize.resize(x + w, size, method='nearest')

  assert_split_equals_whole(f, (2, heights[0], 3, 4), (4,), 2, 4)


# Neither is a multiple of the devices, nor is what strides leave.
@pytest.mark.parametrize('height', [5, 13])
def test_rows_that_do_not_divide_among_devices(height):
  def f(x, w):
    y = conv.conv(pool.max_pool(x - 9), w)
    y = conv.conv(y, w, stride=2, rate=2)
    y = pool.max_pool_2x2(y, stride=1)
    y = jnp.square(y - y.mean((0, 1, 2)))
    return pool.average_pool(y) * pool.global_average(x)

  assert_split_equals_whole(f, (4, height, 6, 4), (3, 3, 4, 4), 2, 4)
