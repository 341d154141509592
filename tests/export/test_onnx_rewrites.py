"""Fewer operators for the same values, and only for the same values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')

from jax import lax

from deeplax.ops.pool import max_pool, max_pool_2x2
from deeplax.ops.resize import resize
from tests.export.onnx_cases import both, operators

KERNEL = np.random.default_rng(1).normal(size=(1, 1, 4, 4)).astype(np.float32)
CHANNELS = np.array([1, -2, 0.5, 3], np.float32)


def conv(x):
  numbers = ('NHWC', 'HWIO', 'NHWC')
  return lax.conv_general_dilated(
    x, KERNEL, (1, 1), 'SAME', dimension_numbers=numbers
  )


def taps(x, fill, places, step=2):
  """The largest of strided views of x with a border."""
  x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=fill)
  height, width = (n - 2 for n in x.shape[1:3])
  views = [x[:, i : i + height : step, j : j + width : step] for i, j in places]
  total = views[0]
  for view in views[1:]:
    total = jnp.maximum(total, view)
  return total


NINE = [(i, j) for i in range(3) for j in range(3)]


def twice_read(x):
  y = conv(x)
  return (y + CHANNELS) * y


def weighted(x, same=True):
  """A sum of reads of one array, or of two."""
  low, high = np.array([0, 2, 2]), np.array([1, 3, 4])
  weight = CHANNELS[:3, None, None]
  other = x if same else 2 * x
  return x[:, low] * (1 - weight) + other[:, high] * weight


# What is computed, operators that are to be there, and that are not.
CASES = {
  'affine': (
    lambda x: (conv(x) - CHANNELS) * CHANNELS / 3 + 1,
    {'Conv': 1},
    {'Sub', 'Mul', 'Div', 'Add'},
  ),
  'affine of each pixel': (
    lambda x: conv(x) * x[0, :, :, :1] + jnp.arange(10.0)[:, None],
    {'Conv': 1, 'Mul': 1, 'Add': 1},
    {},
  ),
  'a constant over a convolution': (
    lambda x: 1 / conv(x) - (3 - conv(x)),
    {'Div': 1, 'Sub': 2},
    {},
  ),
  'read twice': (twice_read, {'Conv': 1, 'Add': 1, 'Mul': 1}, {}),
  'bounded': (lambda x: jax.nn.relu6(3 * x), {'Clip': 1}, {'Relu', 'Min'}),
  'pool': (lambda x: max_pool(x), {'MaxPool': 1}, {'Pad', 'Slice', 'Max'}),
  'pool, stride 1': (lambda x: max_pool(x, stride=1), {'MaxPool': 1}, {'Max'}),
  'pool as TensorFlow': (
    lambda x: max_pool(x, padding='same'),
    {'MaxPool': 1},
    {'Pad', 'Max'},
  ),
  'pool, atrous': (
    lambda x: max_pool_2x2(x, stride=1, rate=2),
    {'MaxPool': 1},
    {'Max'},
  ),
  'by hand': (lambda x: taps(x, -np.inf, NINE), {'MaxPool': 1}, {'Pad'}),
  'zeros around': (
    lambda x: taps(x - 9, 0, NINE),
    {'MaxPool': 1, 'Pad': 1},
    {},
  ),
  'whole numbers': (
    lambda x: taps((9 * x).astype(jnp.int32), 0, NINE),
    {'Max': 8},
    {'MaxPool'},
  ),
  'a tap is missing': (
    lambda x: taps(x, -np.inf, NINE[:4] + NINE[5:]),
    {'Max': 7},
    {'MaxPool'},
  ),
  'taps begin later': (
    lambda x: taps(x, -np.inf, [(1, 1), (1, 2), (2, 1), (2, 2)]),
    {'Max': 3},
    {'MaxPool'},
  ),
  'resize, exact': (
    lambda x: resize(x, (32, 40)),
    {'Resize': 1},
    {'Gather', 'MatMul', 'Add'},
  ),
  'resize, other ratio': (
    lambda x: resize(x, (12, 13)),
    {'MatMul': 2},
    {'Gather', 'Resize', 'Add'},
  ),
  'repeated': (
    lambda x: resize(x, (24, 30), method='nearest'),
    {'Resize': 1},
    {'Gather'},
  ),
  'spread': (
    lambda x: resize(x.mean((1, 2), keepdims=True), (5, 6)),
    {'Expand': 2},
    {'Gather', 'Resize', 'MatMul'},
  ),
  'any weights': (weighted, {'MatMul': 1}, {'Gather', 'Mul'}),
  'weights of two arrays': (
    lambda x: weighted(x, same=False),
    {'Gather': 2, 'Add': 1},
    {'MatMul'},
  ),
}


@pytest.mark.parametrize('name', CASES)
def test_rewrite(name):
  function, there, absent = CASES[name]
  x = np.random.default_rng(0).normal(size=(2, 8, 10, 4)).astype(np.float32)
  model, found, expected = both(lambda x: {'y': function(x)}, x)
  np.testing.assert_allclose(found['y'], expected['y'], rtol=2e-5, atol=2e-5)
  used = operators(model)
  assert {op: used.count(op) for op in there} == there
  assert not {*used} & {*absent}
