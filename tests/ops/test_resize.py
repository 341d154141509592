"""Resampling against a pixel-by-pixel numpy one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from deeplax.ops import resize
from tests.ops import reference

SIZES = [
  ((4, 6), (8, 12)),
  ((5, 7), (17, 25)),
  ((9, 6), (4, 5)),  # shrinks without antialias
  ((1, 1), (3, 4)),
  ((1, 5), (4, 1)),
  ((5, 4), (1, 1)),
  ((3, 8), (12, 2)),
]


GRIDS = [
  dict(align_corners=False),
  dict(align_corners=True),
  dict(half_pixel_centers=False),
]


def draw(*shape, seed=0):
  return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize('grid', GRIDS)
@pytest.mark.parametrize('size_in, size_out', SIZES)
def test_bilinear(size_in, size_out, grid):
  x = draw(2, *size_in, 3)
  y = resize.resize(x, size_out, **grid)
  assert y.dtype == jnp.float32
  np.testing.assert_allclose(
    y, reference.bilinear(x, size_out, **grid), atol=1e-5
  )


@pytest.mark.parametrize('grid', GRIDS)
@pytest.mark.parametrize('size_in, size_out', SIZES)
def test_gradient_is_the_transpose(size_in, size_out, grid):
  with jax.enable_x64(True):
    x = jnp.asarray(draw(1, *size_in, 2), jnp.float64)
    g = jnp.asarray(draw(1, *size_out, 2, seed=1), jnp.float64)
    y, pull = jax.vjp(lambda x: resize.resize(x, size_out, **grid), x)
    np.testing.assert_allclose(
      (pull(g)[0] * x).sum(), (g * y).sum(), atol=1e-12
    )


def test_align_corners_keeps_the_corners():
  x = draw(1, 5, 9, 1)
  y = resize.resize(x, (17, 33), align_corners=True)
  np.testing.assert_allclose(y[:, ::4, ::4], x, atol=1e-6)


def test_nearest_lies_on_the_bilinear_grid():
  labels = np.arange(6, dtype=np.uint8).reshape(1, 2, 3, 1)
  y = resize.resize(labels, (4, 6), method='nearest')
  assert y.dtype == jnp.uint8
  np.testing.assert_array_equal(y, labels.repeat(2, 1).repeat(2, 2))
  # Half-pixel centres: of five pixels shrunk to two, 0.75 and 3.25.
  row = np.arange(5, dtype=np.int32).reshape(1, 1, 5, 1)
  np.testing.assert_array_equal(
    np.ravel(resize.resize(row, (1, 2), method='nearest')), [1, 3]
  )
  # Not so with floor(i * in / out): 0 and 2.5.
  np.testing.assert_array_equal(
    np.ravel(resize.resize(row, (1, 2), method='nearest_floor')), [0, 2]
  )
  np.testing.assert_array_equal(
    np.ravel(resize.resize(row, (1, 8), method='nearest_floor')),
    [0, 0, 1, 1, 2, 3, 3, 4],
  )


@pytest.mark.parametrize('align_corners', [False, True])
def test_rows_sharded_over_devices(align_corners):
  mesh = jax.make_mesh((2, 4), ('data', 'spatial'), (AxisType.Auto,) * 2)
  with jax.enable_x64(True):
    x = jnp.asarray(draw(2, 8, 6, 3), jnp.float64)

    def loss(x):
      y = resize.resize(x, (32, 24), align_corners=align_corners)
      return (y**3).sum()

    sharded = jax.device_put(x, NamedSharding(mesh, P('data', 'spatial')))
    for f in (loss, jax.grad(loss)):
      np.testing.assert_allclose(jax.jit(f)(sharded), f(x), rtol=1e-12)


def test_bfloat16_is_interpolated_in_float32():
  x = jnp.asarray(draw(1, 5, 5, 2), jnp.bfloat16)
  y = resize.resize(x, (7, 7))
  assert y.dtype == jnp.bfloat16
  np.testing.assert_allclose(
    np.asarray(y, np.float64), reference.bilinear(x, (7, 7)), atol=0.02
  )


def test_unknown_method_and_empty_size():
  with pytest.raises(ValueError, match="'cubic'"):
    resize.resize(draw(1, 2, 2, 1), (4, 4), method='cubic')
  with pytest.raises(ValueError, match='0, 4'):
    resize.resize(draw(1, 2, 2, 1), (0, 4))
