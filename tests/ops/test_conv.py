"""Convolution against a pixel-by-pixel numpy one."""

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest

from deeplax.ops import conv
from tests.ops import reference


def draw(*shape, seed=0):
  return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(
  'size, stride, rate',
  [
    (1, 1, 1),
    (1, 2, 1),
    (3, 1, 1),
    (3, 2, 1),
    (3, 1, 2),
    (3, 2, 2),
    (3, 1, 4),  # some taps reach over the short side only
    (3, 1, 9),  # no tap but the centre reads the picture
    (7, 2, 1),
    (7, 1, 3),
  ],
)
@pytest.mark.parametrize('height, width', [(8, 6), (5, 7), (1, 4)])
def test_equals_definition(size, stride, rate, height, width):
  x, kernel = draw(2, height, width, 3), draw(size, size, 3, 4, seed=1)
  np.testing.assert_allclose(
    conv.conv(x, kernel, stride=stride, rate=rate),
    reference.conv(x, kernel, stride, rate),
    atol=1e-5,
  )


@pytest.mark.parametrize('groups, outputs', [(2, 6), (4, 4), (4, 8)])
@pytest.mark.parametrize('stride, rate', [(1, 1), (2, 1), (1, 2)])
def test_groups_equal_definition(groups, outputs, stride, rate):
  x, kernel = draw(2, 7, 6, 4), draw(3, 3, 4 // groups, outputs, seed=1)
  np.testing.assert_allclose(
    conv.conv(x, kernel, stride=stride, rate=rate, groups=groups),
    reference.conv(x, kernel, stride, rate, groups),
    atol=1e-5,
  )


@pytest.mark.parametrize(
  'size, stride, rate, groups',
  [(1, 2, 1, 1), (3, 2, 1, 1), (3, 1, 6, 1), (3, 1, 20, 1), (3, 2, 1, 4)],
)
def test_gradient_equals_differences(size, stride, rate, groups):
  with jax.enable_x64(True):
    x = jnp.asarray(draw(1, 9, 8, 4), jnp.float64)
    kernel = jnp.asarray(draw(size, size, 4 // groups, 4, seed=1), jnp.float64)
    jax.test_util.check_grads(
      lambda x, k: conv.conv(x, k, stride=stride, rate=rate, groups=groups),
      (x, kernel),
      order=1,
      modes=['rev'],
      atol=1e-6,
      rtol=1e-6,
    )


def test_taps_on_padding_have_gradient_zero():
  x = draw(1, 4, 4, 2)
  gradient = jax.grad(lambda k: conv.conv(x, k, rate=4).sum())(
    jnp.ones((3, 3, 2, 1))
  )
  centre = np.zeros((3, 3), bool)
  centre[1, 1] = True
  assert np.all((np.abs(gradient).max((2, 3)) > 0) == centre)


def test_stride_two_is_every_other_pixel_at_even_sizes_too():
  for n in (8, 9):
    x, kernel = draw(1, n, n, 3), draw(3, 3, 3, 2, seed=1)
    np.testing.assert_allclose(
      conv.conv(x, kernel, stride=2),
      conv.conv(x, kernel)[:, ::2, ::2],
      atol=1e-6,
    )


@pytest.mark.parametrize('size', [1, 3])
def test_float32_result_of_bfloat16_inputs(size):
  x = jnp.asarray(draw(1, 4, 4, 64), jnp.bfloat16)
  kernel = jnp.asarray(draw(size, size, 64, 8, seed=1), jnp.bfloat16)
  y = conv.conv(x, kernel, out_dtype=jnp.float32)
  assert y.dtype == jnp.float32
  np.testing.assert_allclose(y, reference.conv(x, kernel), atol=1e-3)
  gradient = jax.grad(lambda k: conv.conv(x, k, out_dtype=jnp.float32).sum())(
    kernel
  )
  assert gradient.dtype == jnp.bfloat16
  assert conv.conv(x, kernel).dtype == jnp.bfloat16


def test_bad_shapes_are_named():
  with pytest.raises(ValueError, match='2x2'):
    conv.conv(draw(1, 4, 4, 3), draw(2, 2, 3, 1))
  with pytest.raises(ValueError, match='5 channels'):
    conv.conv(draw(1, 4, 4, 5), draw(3, 3, 3, 1))


@pytest.mark.parametrize('groups', [1, 4])
@pytest.mark.parametrize(
  'size, stride, rate', [(3, 2, 1), (3, 2, 2), (5, 2, 1)]
)
@pytest.mark.parametrize('height, width', [(8, 7), (4, 9), (1, 2)])
def test_same_padding_is_tensorflows(size, stride, rate, groups, height, width):
  x, kernel = (
    draw(2, height, width, 4),
    draw(size, size, 4 // groups, 4, seed=1),
  )
  found = conv.conv(
    x, kernel, stride=stride, rate=rate, groups=groups, padding='same'
  )
  expected = jax.lax.conv_general_dilated(  # XLA's SAME is TensorFlow's
    x,
    kernel,
    (stride, stride),
    'SAME',
    rhs_dilation=(rate, rate),
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    feature_group_count=groups,
  )
  np.testing.assert_allclose(found, expected, atol=1e-5)


def test_same_padding_differs_at_even_sizes_only():
  kernel = draw(3, 3, 2, 2, seed=1)
  for n, equal in ((8, False), (9, True)):
    x = draw(1, n, n, 2)
    same = conv.conv(x, kernel, stride=2, padding='same')
    symmetric = conv.conv(x, kernel, stride=2)
    assert np.allclose(same, symmetric, atol=1e-5) == equal


def test_up_convolve_spreads_every_pixel():
  x, kernel = draw(2, 3, 4, 5), draw(2, 2, 5, 6, seed=1)
  found = conv.up_convolve(x, kernel)
  assert found.shape == (2, 6, 8, 6)
  for i in range(6):
    for j in range(8):
      np.testing.assert_allclose(
        found[:, i, j], x[:, i // 2, j // 2] @ kernel[i % 2, j % 2], atol=1e-5
      )
