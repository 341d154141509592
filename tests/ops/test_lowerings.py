"""Every lowering against XLA's own convolution, values and gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from deeplax import sharding
from deeplax.ops import conv, lowerings

# Channels in, out, groups.
CHANNELS = {
  'dense': (3, 4, 1),
  'depthwise': (4, 4, 4),
  'grouped': (4, 6, 2),
  'multiplied': (2, 4, 2),
}
# What a lowering is for; with kernels of which it is tried at all.
KINDS = {
  'dense_cpu': ['dense'],
  'depthwise_cpu': ['depthwise'],
  'depthwise_shifted': ['depthwise'],
  'depthwise_space_to_batch': ['depthwise'],
  'im2col': ['dense'],
  'pallas_depthwise': ['depthwise'],
  'point': ['dense'],
  'shifted': ['dense'],
  'space_to_batch': ['dense', 'grouped', 'multiplied'],
  'winograd': ['dense'],
}
UNSTRIDED = (
  'depthwise_space_to_batch',
  'pallas_depthwise',
  'space_to_batch',
  'winograd',
)


def plain(x, kernel, stride, rate, groups, padding):
  """XLA's convolution of the whole kernel, padding written out."""
  size = kernel.shape[0]
  if padding == 'same':
    pads = 'SAME'
  else:
    pads = ((rate * (size // 2),) * 2,) * 2
  return lax.conv_general_dilated(
    x,
    kernel,
    (stride, stride),
    pads,
    rhs_dilation=(rate, rate),
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    feature_group_count=groups,
  )


def value_and_gradients(f, x, kernel):
  """Of f at x and the kernel, for a gradient that is different everywhere."""
  y, vjp = jax.vjp(f, x, kernel)
  g = np.random.default_rng(2).standard_normal(y.shape).astype(y.dtype)
  return y, *vjp(jnp.asarray(g))


def assert_equals_plain(name, shape, kind, size, dtype=np.float64, **keys):
  inputs, outputs, groups = CHANNELS[kind]
  rng = np.random.default_rng(0)
  with jax.enable_x64(True):
    x = jnp.asarray(rng.standard_normal((*shape, inputs)), dtype)
    kernel = jnp.asarray(
      rng.standard_normal((size, size, inputs // groups, outputs)), dtype
    )
    found, expected = jax.jit(
      lambda x, k: (
        value_and_gradients(
          lambda x, k: conv.conv(x, k, groups=groups, lowering=name, **keys),
          x,
          k,
        ),
        value_and_gradients(
          lambda x, k: plain(x, k, groups=groups, **keys), x, k
        ),
      )
    )(x, kernel)
  tolerance = 1e-12 if dtype == np.float64 else 1e-5
  for a, b in zip(found, expected):
    assert a.dtype == b.dtype and a.shape == b.shape
    a, b = np.asarray(a), np.asarray(b)
    scale = max(1.0, np.abs(b).max())
    np.testing.assert_allclose(a / scale, b / scale, atol=tolerance)


def test_every_lowering_is_tested_here():
  assert sorted(KINDS) == sorted(set(lowerings.TABLE) - {'xla'})


@pytest.mark.parametrize('name', KINDS)
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('shape', [(2, 8, 6), (1, 7, 5), (2, 1, 9)], ids=str)
def test_equals_xla(name, dtype, shape):
  if name == 'winograd':
    shape = shape[0], *(max(n, 2) for n in shape[1:])
  size = 1 if name == 'point' else 3
  rate = 2 if 'space_to_batch' in name else 1
  for kind in KINDS[name]:
    keys = dict(stride=1, rate=rate, padding='symmetric')
    assert_equals_plain(name, shape, kind, size, dtype, **keys)


@pytest.mark.parametrize('name', KINDS)
@settings(max_examples=8, deadline=None, derandomize=True)
@given(
  data=st.data(),
  height=st.integers(1, 9),
  width=st.integers(1, 7),
  size=st.sampled_from([1, 3, 5]),
  stride=st.sampled_from([1, 2]),
  rate=st.sampled_from([1, 2, 3, 4, 6, 11]),
  padding=st.sampled_from(['symmetric', 'same']),
)
def test_equals_xla_at_random(
  name, data, height, width, size, stride, rate, padding
):
  kind = data.draw(st.sampled_from(KINDS[name]))
  if 'space_to_batch' in name:
    rate = min(max(rate, 2), 8)
  if name in UNSTRIDED:
    stride = 1
  if name == 'winograd':  # of taps that read padding only, it has none to drop
    size, height, width = 3, max(height, 2), max(width, 2)
    rate = min(rate, height - 1, width - 1)
  size = 1 if name == 'point' else size
  assert_equals_plain(
    name,
    (2, height, width),
    kind,
    size,
    stride=stride,
    rate=rate,
    padding=padding,
  )


@pytest.mark.parametrize('name', KINDS)
def test_bfloat16_adds_up_in_float32(name):
  inputs, outputs, groups = (64, 64, 64) if 'depth' in name else (64, 4, 1)
  size = 1 if name == 'point' else 3
  rng = np.random.default_rng(0)
  x, kernel = (
    jnp.asarray(rng.standard_normal(shape), jnp.bfloat16)
    for shape in ((1, 6, 5, inputs), (size, size, inputs // groups, outputs))
  )
  keys = dict(groups=groups, rate=2, lowering=name)
  y = conv.conv(x, kernel, out_dtype=jnp.float32, **keys)
  assert y.dtype == jnp.float32
  expected = plain(
    x.astype(jnp.float32),
    kernel.astype(jnp.float32),
    stride=1,
    rate=2,
    groups=groups,
    padding='symmetric',
  )
  np.testing.assert_allclose(y, expected, atol=1e-4)
  assert conv.conv(x, kernel, **keys).dtype == jnp.bfloat16


@pytest.mark.parametrize('name', ['dense_cpu', 'winograd'])
def test_long_sums_of_what_lies_far_from_zero_stay_exact(name):
  rng = np.random.default_rng(0)
  x = rng.standard_normal((2, 24, 24, 64)) + 5
  kernel = rng.standard_normal((3, 3, 64, 32)) / 24

  def run(name, dtype):
    return value_and_gradients(
      lambda x, k: conv.conv(x, k, lowering=name),
      jnp.asarray(x, dtype),
      jnp.asarray(kernel, dtype),
    )

  with jax.enable_x64(True):
    expected = run('xla', jnp.float64)
    for found, exact in zip(run(name, jnp.float32), expected):
      assert np.abs(found - exact).max() < 2e-6 * np.abs(exact).max()


@pytest.mark.parametrize('name', KINDS)
def test_over_devices(name):
  inputs, outputs, groups = CHANNELS[KINDS[name][0]]
  size = 1 if name == 'point' else 3
  rng = np.random.default_rng(0)
  x = rng.standard_normal((4, 8, 5, inputs))
  kernel = rng.standard_normal((size, size, inputs // groups, outputs))

  def f(x, kernel):
    return conv.conv(x, kernel, rate=2, groups=groups, lowering=name)

  g = rng.standard_normal((4, 8, 5, outputs))

  @jax.jit
  def value_and_gradients(x, kernel, g):
    y, vjp = jax.vjp(f, x, kernel)
    return y, *vjp(g)

  with jax.enable_x64(True):
    expected = value_and_gradients(x, kernel, g)
    for shape in ((4, 1), (2, 4)):
      mesh = sharding.make_mesh(*shape, jax.devices()[: np.prod(shape)])
      split = sharding.put_batch({'x': x, 'g': g}, mesh)
      whole = sharding.put_replicated(kernel, mesh)
      found = value_and_gradients(split['x'], whole, split['g'])
      jax.tree.map(
        functools.partial(np.testing.assert_allclose, atol=1e-12),
        found,
        expected,
      )


@pytest.mark.parametrize(
  'name, keys',
  [
    ('point', dict(size=3)),
    ('shifted', dict(kind='grouped')),
    ('im2col', dict(kind='grouped')),
    ('depthwise_shifted', dict(kind='multiplied')),
    ('pallas_depthwise', dict(kind='depthwise', stride=2)),
    ('space_to_batch', dict(rate=1)),
    ('space_to_batch', dict(rate=9, side=40)),
    ('space_to_batch', dict(rate=2, stride=2)),
    ('space_to_batch', dict(rate=2, kind='depthwise')),
    ('depthwise_space_to_batch', dict(rate=2)),
    ('winograd', dict(size=5)),
    ('winograd', dict(stride=2)),
    ('winograd', dict(kind='grouped')),
    ('winograd', dict(rate=9)),  # of 9 pixels: one tap is left
  ],
)
def test_what_a_lowering_is_not_for_is_said(name, keys):
  keys = dict(dict(size=3, kind='dense', rate=1, stride=1, side=9), **keys)
  inputs, outputs, groups = CHANNELS[keys['kind']]
  x = np.zeros((1, keys['side'], keys['side'], inputs), np.float32)
  kernel = np.zeros((keys['size'],) * 2 + (inputs // groups, outputs))
  with pytest.raises(ValueError, match=f'{name!r} applies to.*stride.*xla'):
    conv.conv(
      x,
      kernel.astype(np.float32),
      rate=keys['rate'],
      stride=keys['stride'],
      groups=groups,
      lowering=name,
    )


def test_unknown_lowering_lists_what_exists():
  x = np.zeros((1, 4, 4, 2), np.float32)
  with pytest.raises(ValueError, match=r"'fast'.*auto.*shifted.*xla"):
    conv.conv(x, np.zeros((3, 3, 2, 2), np.float32), lowering='fast')
