"""The Pallas kernel beyond what all lowerings are tested for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deeplax.ops import conv

KEYS = dict(rate=2, lowering='pallas_depthwise')


def value_and_gradients(x, kernel):
  def f(x, kernel):
    return conv.conv(x, kernel, groups=x.shape[-1], **KEYS)

  y, vjp = jax.vjp(f, x, kernel)
  return y, *vjp(jnp.ones_like(y))


# More than one block of 16 columns and of 64 channels, the last not full.
def test_several_blocks_of_a_row():
  rng = np.random.default_rng(0)
  x = rng.standard_normal((1, 2, 35, 70)).astype(np.float32)
  kernel = rng.standard_normal((3, 3, 1, 70)).astype(np.float32)
  found, expected = jax.jit(
    lambda x, k: [
      conv.conv(x, k, rate=2, groups=70, lowering=name)
      for name in ('pallas_depthwise', 'xla')
    ]
  )(x, kernel)
  np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize('dtype', [jnp.bfloat16, jnp.float32])
@pytest.mark.parametrize('channels', [6, 728])
def test_triton_takes_it(monkeypatch, dtype, channels):
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
  shapes = [(2, 33, 49, channels), (3, 3, 1, channels)]
  traced = jax.jit(value_and_gradients).trace(
    *(jax.ShapeDtypeStruct(shape, dtype) for shape in shapes)
  )
  # Sizes that are no powers of two, or loads it has not, fail here.
  try:
    text = traced.lower(lowering_platforms=('cuda',)).as_text()
  except RuntimeError as error:
    if 'No supported GPU' not in str(error):
      raise
    pytest.skip('from jax 0.11 on it takes a GPU to lower for one')
  assert text.count('__gpu$xla.gpu.triton') == 2  # the value, and at x


def test_interpreted_elsewhere():
  x, kernel = jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 1, 2))
  text = str(jax.make_jaxpr(value_and_gradients)(x, kernel))
  assert text.count('pallas_call[') == 2
