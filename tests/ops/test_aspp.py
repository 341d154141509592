"""ASPP by matrix products against one convolution a branch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deeplax.ops import aspp, conv

SIZES, RATES = (1, 3, 3, 5), (1, 2, 5, 3)


def inputs(height, width, dtype):
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.standard_normal((2, height, width, 6)), dtype)
  kernels = [
    jnp.asarray(rng.standard_normal((k, k, 6, 3 + n)), dtype)
    for n, k in enumerate(SIZES)  # numbers of channels differ, too
  ]
  return x, kernels


def one_by_one(x, kernels):
  return [conv.conv(x, k, rate=rate) for k, rate in zip(kernels, RATES)]


# No tap but the centres reads 1 x 1; some taps reach over the short side.
@pytest.mark.parametrize('height, width', [(9, 7), (4, 12), (1, 1)])
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_values_and_gradients_are_those_of_convolutions(height, width, dtype):
  with jax.enable_x64(True):
    x, kernels = inputs(height, width, dtype)

    def value_and_gradients(f):
      y, vjp = jax.vjp(f, x, kernels)
      rng = np.random.default_rng(1)
      g = [jnp.asarray(rng.standard_normal(a.shape), dtype) for a in y]
      return y, *vjp(g)

    found, expected = jax.jit(
      lambda: (
        value_and_gradients(lambda x, k: aspp.products(x, k, RATES)),
        value_and_gradients(one_by_one),
      )
    )()
  tolerance = 1e-12 if dtype == np.float64 else 1e-5

  def compare(a, b):
    assert a.dtype == b.dtype
    scale = max(1.0, np.abs(b).max())
    np.testing.assert_allclose(a / scale, b / scale, atol=tolerance)

  jax.tree.map(compare, *jax.tree.map(np.asarray, (found, expected)))


def test_one_product_for_all_taps_that_read_the_picture():
  x, kernels = inputs(4, 4, np.float32)
  text = str(
    jax.make_jaxpr(lambda x, k: aspp.products(x, k, RATES))(x, kernels)
  )
  assert text.count('dot_general') == 1
  # 1x1; nine taps at rate 2; at 5 the centre; at 3 the inner 3x3 of the 5x5.
  assert f'f32[6,{3 + 9 * 4 + 5 + 9 * 6}]' in text


def test_bfloat16_is_as_near_as_its_rounding():
  x, kernels = inputs(9, 7, np.float32)

  @jax.jit
  def both(x, kernels):
    half = jax.tree.map(lambda a: a.astype(jnp.bfloat16), (x, kernels))
    exact = one_by_one(*jax.tree.map(lambda a: a.astype(np.float32), half))
    return aspp.products(*half, RATES), exact

  for a, b in zip(*both(x, kernels)):
    assert a.dtype == jnp.bfloat16
    deviation = np.std(np.asarray(a, np.float32) - b) / np.std(b)
    assert deviation < 2**-8
