"""Work in tiles against the same work on the whole upsampled map."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deeplax import sharding
from deeplax.ops import tiles
from deeplax.ops.resize import Grid
from deeplax.ops.tiles import CLASSES, Tiled, is_enlarged, map_tiles

GRIDS = [Grid(), Grid(True), Grid(False, False)]


@pytest.fixture(name='small_tiles', params=[(3, 4096), (8, 1)])
def make_small_tiles(request, monkeypatch):
  """Many tiles, of several pictures or of a single pixel; float64."""
  side, room = request.param
  monkeypatch.setattr(tiles, '_LONGEST_SIDE', side)
  monkeypatch.setattr(tiles, '_BYTES', {'cpu': room})
  with jax.enable_x64(True):
    yield


def numbers(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape)


def work(x, factor, axes):
  """A map, sums and a cotangent; `axes`: pictures and classes in x."""
  wide = jnp.expand_dims(factor, axes[1])
  others = tuple({*range(4)} - {*axes})
  return Tiled(
    {'largest': jnp.max(x, axes[1]), 'times': factor * jnp.sum(x, axes[1])},
    (jnp.sum(wide * x**2, others),),
    wide * jnp.cos(x),
  )


def in_tiles(logits, factor, grid, with_gradient=True):
  return map_tiles(
    lambda x, factor: work(x, factor, (tiles.PICTURES, CLASSES)),
    logits,
    factor,
    grid=grid,
    with_gradient=with_gradient,
  )


def on_the_whole(logits, factor, grid):
  x, back = jax.vjp(lambda x: grid.resize(x, factor.shape[1:]), logits)
  out = work(x, factor, (0, 3))
  return out._replace(gradient=back(out.gradient)[0])


def assert_equal(got, want, tolerance=1e-12):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(
      a, b, rtol=tolerance, atol=tolerance
    ),
    got,
    want,
  )


@pytest.mark.parametrize('grid', GRIDS)
@pytest.mark.parametrize(
  ('shape', 'size'),
  [
    ((2, 4, 6, 3), (16, 24)),
    ((3, 5, 7, 1), (17, 26)),
    ((4, 1, 1, 2), (5, 9)),
    ((1, 6, 3, 5), (6, 11)),
  ],
)
def test_equals_the_whole(small_tiles, grid, shape, size):
  logits, factor = numbers(*shape), numbers(shape[0], *size, seed=1)
  want = jax.jit(on_the_whole, static_argnums=2)(logits, factor, grid)
  got = jax.jit(lambda x, y: in_tiles(x, y, grid))(logits, factor)
  assert_equal(got, want)
  got = jax.jit(lambda x, y: in_tiles(x, y, grid, False))(logits, factor)
  assert_equal(got, want._replace(gradient=None))


@pytest.mark.parametrize(
  ('data', 'spatial', 'batch', 'height'),
  [
    (8, 1, 8, 20),
    (4, 2, 8, 20),
    (1, 8, 2, 24),
    (2, 4, 2, 21),  # rows that four devices can't share
    (2, 2, 3, 20),  # pictures that two can't
  ],
)
def test_devices_equal_one(small_tiles, data, spatial, batch, height):
  logits, factor = numbers(batch, 6, 5, 3), numbers(batch, height, 18, seed=1)
  want = on_the_whole(logits, factor, Grid())
  mesh = sharding.make_mesh(data, spatial, jax.devices()[: data * spatial])
  put = sharding.put_replicated
  if batch % data == 0 and height % spatial == 0:
    put = sharding.put_batch
  on_mesh = put({'factor': factor}, mesh)['factor']
  logits = sharding.put_replicated({'logits': logits}, mesh)['logits']
  got = jax.jit(lambda x, y: in_tiles(x, y, Grid()))(logits, on_mesh)
  assert_equal(got, want)


def test_float32_to_its_rounding():
  logits = numbers(2, 16, 16, 4).astype(np.float32)
  factor = numbers(2, 64, 61, seed=1).astype(np.float32)
  got = in_tiles(logits, factor, Grid())
  assert got.gradient.dtype == np.float32
  assert_equal(got, on_the_whole(logits, factor, Grid()), 3e-5)


def test_bfloat16_is_worked_on_in_float32():
  logits = jnp.asarray(numbers(1, 4, 4, 2), jnp.bfloat16)
  factor = numbers(1, 16, 16, seed=1).astype(np.float32)
  got = in_tiles(logits, factor, Grid())
  want = on_the_whole(logits.astype(np.float32), factor, Grid())
  assert got.gradient.dtype == jnp.bfloat16
  assert_equal(got.sums, want.sums, 1e-5)


def test_pixels_beyond_the_picture_are_filled(monkeypatch):
  monkeypatch.setattr(tiles, '_LONGEST_SIDE', 4)
  label = np.ones((1, 7, 5), np.int32)

  def count(x, label):
    return Tiled(label, (jnp.sum(label == 9, (0, 2)), jnp.sum(label, (0, 2))))

  got = map_tiles(count, jnp.zeros((1, 2, 2, 1)), label, grid=Grid(), fill=9)
  # 7 x 5 is covered by 8 x 6.
  np.testing.assert_array_equal(got.maps, label)
  assert [int(n) for (n,) in got.sums] == [48 - 35, 35 + 9 * 13]


def test_size_without_pixels():
  logits = jnp.asarray(numbers(2, 3, 4, 5), np.float32)
  got = map_tiles(
    lambda x: Tiled(jnp.argmax(x, CLASSES)), logits, grid=Grid(), size=(12, 9)
  )
  want = jnp.argmax(Grid().resize(logits, (12, 9)), -1)
  np.testing.assert_array_equal(got.maps, want)


def test_is_enlarged():
  assert is_enlarged((4, 4), (16, 16)) and is_enlarged((4, 4), (4, 5))
  assert not is_enlarged((4, 4), (4, 4))
  assert not is_enlarged((4, 4), (16, 3))


@pytest.mark.parametrize('pixel_bytes', [1, 4, 76, 84, 600, 10**7])
@pytest.mark.parametrize(
  'shape', [(4, 256, 256), (1, 1024, 2048), (6, 32, 48), (16, 769, 769)]
)
def test_a_tile_fits_and_divides_the_batch(shape, pixel_bytes):
  group, side = tiles._tile(shape, pixel_bytes)
  assert shape[0] % group == 0
  area = min(side, shape[1]) * min(side, shape[2])
  room = tiles._BYTES['cpu']
  assert group * area * pixel_bytes <= max(room, pixel_bytes)
  # Nor is it much smaller than it might be.
  if group == 1 and side < min(128, *shape[1:]):
    assert 4 * area * pixel_bytes > room
