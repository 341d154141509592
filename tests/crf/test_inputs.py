"""What the CRF refuses, with the value, what was expected and what to do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deeplax.crf import dense_crf
from deeplax.errors import UserError

IMAGE = np.zeros((6, 8, 3), np.uint8)
PROBS = np.full((6, 8, 4), 0.25, np.float32)
KEYS = dict(num_iterations=2, spatial=(3, 3), bilateral=(50, 10, 5))


def refuse(message, image=IMAGE, probs=PROBS, **keys):
  with pytest.raises(UserError, match=message):
    dense_crf(image, probs, **(KEYS | keys))


def changed(array, value):
  array = array.copy()
  array[2, 3, 1] = value
  return array


def test_the_rest_is_in_order():
  assert dense_crf(IMAGE, PROBS, **KEYS).shape == PROBS.shape


@pytest.mark.parametrize('value', (np.nan, -0.1, np.inf, -np.inf, 1.5))
def test_probabilities(value):
  refuse('probs has 1 values that are NaN or', probs=changed(PROBS, value))
  refuse('softmax of logits', probs=jnp.asarray(changed(PROBS, value)))


@pytest.mark.parametrize('value', (np.nan, np.inf, -np.inf))
def test_energies(value):
  unary = changed(PROBS, value)
  refuse('unary has 1 values that are not finite', probs=None, unary=unary)


def test_one_of_probs_and_unary():
  refuse('Both probs and unary', unary=PROBS)
  refuse('Neither probs nor unary', probs=None)


@pytest.mark.parametrize(
  'shape', ((6, 8), (8, 6, 4), (6, 7, 4), (1, 6, 8, 4), (6, 8, 0))
)
def test_shapes_that_disagree(shape):
  message = rf'probs has shape \({shape[0]}, .*image \(6, 8, 3\)'
  refuse(message, probs=np.zeros(shape))
  # Under jit too.
  with pytest.raises(UserError, match=message):
    jax.jit(lambda i, p: dense_crf(i, p, **KEYS))(IMAGE, np.zeros(shape))


@pytest.mark.parametrize(
  'shape', ((6, 8), (6, 8, 1), (6, 8, 4), (0, 8, 3), (1, 1, 6, 8, 3))
)
def test_image_shape(shape):
  refuse(r'image has shape .* expected \[H, W, 3\]', image=np.zeros(shape))


@pytest.mark.parametrize('value', (np.nan, -1, 256, np.inf))
def test_image_values(value):
  image = changed(IMAGE.astype(np.float32), value)
  refuse(r'expected 0\.\.255', image=image)


@pytest.mark.parametrize('width', (0, -1, np.nan, np.inf, (3, 0), (3, 3, 3)))
def test_widths(width):
  refuse('spatial sxy is', spatial=(width, 3))
  refuse('bilateral sxy is', bilateral=(width, 10, 5))


@pytest.mark.parametrize('width', (0, -1, np.nan, (3, 3), 'wide', (1, 0, 1)))
def test_colour_widths(width):
  refuse('bilateral srgb is', bilateral=(50, width, 5))


def test_widths_far_too_small():
  refuse('Widen the kernels', spatial=(1e-7, 3))
  refuse('Widen the kernels', bilateral=(1e-7, 10, 5))


def test_traced_widths():
  def infer(width):
    return dense_crf(IMAGE, PROBS, num_iterations=1, spatial=(width, 3))

  with pytest.raises(UserError, match='traced; expected numbers'):
    jax.jit(infer)(3.0)


@pytest.mark.parametrize('weight', (np.nan, np.inf, (1, 2), np.ones(4)))
def test_weights(weight):
  refuse('spatial weight is', spatial=(3, weight))
  refuse('bilateral weight is', bilateral=(50, 10, weight))


def test_terms():
  refuse('at least one kernel', spatial=None, bilateral=None)
  refuse(r'expected \(sxy, weight\)', spatial=3)
  refuse(r'expected \(sxy, srgb, weight\)', bilateral=(50, 10))


@pytest.mark.parametrize('number', (-1, 1.5, '3', None, True))
def test_num_iterations(number):
  refuse('num_iterations is', num_iterations=number)


def test_names():
  refuse("normalization is 'row'; expected one of", normalization='row')
  refuse("method is 'fft'; expected one of", method='fft')


def test_compatibility():
  refuse(r'shape \(3, 3\); expected \(4, 4\)', compatibility=np.eye(3))
  bad = np.full((4, 4), np.nan)
  refuse('compatibility has values', compatibility=bad)


def test_capacity():
  image = np.random.default_rng(0).integers(0, 256, IMAGE.shape, np.uint8)
  refuse('needs [0-9]+ points, and its capacity is 5', image, capacity=5)
  refuse('capacity is 0', capacity=0)
  infer = jax.jit(lambda i, p: dense_crf(i, p, capacity=5, **KEYS))
  with pytest.raises(Exception, match=r'needs [0-9]+ points'):
    jax.block_until_ready(infer(image, PROBS))
    jax.effects_barrier()
