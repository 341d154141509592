"""Space-to-batch: where every pixel goes, and statistics of those inside."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deeplax.ops.batch_norm import batch_norm
from deeplax.ops.layout import Layout
from deeplax.ops.masked_batch_norm import masked_batch_norm

SIZES = [(1, 4, 6), (2, 7, 5), (3, 2, 9), (2, 1, 1)]


def draw(*shape, seed=0):
  return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize('rate', [2, 3, 4])
@pytest.mark.parametrize('batch, height, width', SIZES)
def test_parts_are_every_rate_th_pixel(batch, height, width, rate):
  x = draw(batch, height, width, 2)
  layout = Layout(rate, height, width)
  parts = np.asarray(layout.enter(x))
  mask = np.asarray(layout.mask(parts))
  assert mask.shape == (*parts.shape[:3], 1)
  number = 0
  for picture in x:
    for p in range(rate):
      for q in range(rate):
        part = picture[p::rate, q::rate].astype(np.float32)
        rows, columns = part.shape[:2]
        np.testing.assert_array_equal(parts[number, :rows, :columns], part)
        assert mask[number, :rows, :columns].all()
        assert mask[number].sum() == rows * columns
        assert not parts[number][~mask[number, :, :, 0]].any()
        number += 1
  np.testing.assert_array_equal(layout.leave(parts), x.astype(np.float32))
  assert layout.count(parts) == mask.sum() == batch * height * width
  assert layout.full == mask.all()
  dirty = np.where(mask, parts, 7)
  np.testing.assert_array_equal(layout.clear(jnp.asarray(dirty)), parts)


@pytest.mark.parametrize('batch, height, width', SIZES[:3])
def test_masked_batch_norm_is_that_of_the_pixels_inside(batch, height, width):
  layout = Layout(2, height, width)
  with jax.enable_x64(True):
    x = jnp.asarray(draw(batch, height, width, 3) * 2 + 5)
    scale, bias = draw(3, seed=1), draw(3, seed=2)
    g = jnp.asarray(draw(batch, height, width, 3, seed=3))

    def plain(x, scale, bias):
      y, mean, var = batch_norm(x, scale, bias, 1e-5)
      return (y * g).sum(), (y, mean, var)

    def masked(x, scale, bias):
      parts = layout.enter(x)
      mask = layout.mask(parts)
      # What fills the parts up may be anything.
      y, mean, var = masked_batch_norm(
        jnp.where(mask, parts, 100.0),
        scale,
        bias,
        1e-5,
        mask,
        layout.count(parts),
      )
      y = layout.leave(y)
      return (y * g).sum(), (y, mean, var)

    found, expected = (
      jax.value_and_grad(f, (0, 1, 2), has_aux=True)(x, scale, bias)
      for f in (masked, plain)
    )
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, atol=1e-11, rtol=1e-11),
      found,
      expected,
    )
