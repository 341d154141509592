"""A function compiled apart gives the same, and is not fused with others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deeplax.ops.apart import apart

X = np.random.default_rng(0).standard_normal((8, 6)).astype(np.float32)


def double(x):
  return jnp.where(x > 0, x * 2, x)


def around(f):
  return lambda x: jnp.sin(f(x) + 1).sum()


def test_values_and_gradients_are_the_same():
  plain, separate = (
    jax.jit(jax.value_and_grad(around(f)))(X) for f in (double, apart(double))
  )
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), plain, separate
  )


@pytest.mark.skipif(jax.default_backend() != 'cpu', reason='CPUs only')
def test_xla_keeps_the_call_and_inlines_what_is_inside():
  def calls(f):
    text = jax.jit(around(f)).lower(X).compile().as_text()
    return text.count(' call(')

  # One: that of `where` within is none.
  assert (calls(double), calls(apart(double))) == (0, 1)


def test_works_under_vmap_and_on_several_devices():
  np.testing.assert_allclose(
    jax.vmap(around(apart(double)))(X), jax.vmap(around(double))(X), rtol=1e-6
  )
  mesh = jax.make_mesh(
    (8,), ('data',), axis_types=(jax.sharding.AxisType.Auto,)
  )
  split = jax.device_put(X, jax.NamedSharding(mesh, jax.P('data')))
  gradient = jax.jit(jax.grad(around(apart(double))))
  np.testing.assert_allclose(gradient(split), gradient(X), rtol=1e-6)
