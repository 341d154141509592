"""The loss against a plain numpy loop, its masks and its ramp."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deeplax import losses


def reference(logits, labels, weights, smoothing):
  """Pixel by pixel: losses and weights of the labelled ones."""
  values, pixel_weights = [], []
  for row, y in zip(logits.reshape(-1, logits.shape[-1]), labels.ravel()):
    if y == 255:
      continue
    log_p = row - np.log(np.sum(np.exp(row)))
    nll = -weights[y] * log_p[y]
    smooth = -np.sum(weights * log_p) / len(row)
    values.append((1 - smoothing) * nll + smoothing * smooth)
    pixel_weights.append(weights[y])
  return np.array(values), np.array(pixel_weights)


@pytest.fixture(name='batch')
def make_batch():
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(2, 5, 7, 4)).astype(np.float32)
  labels = rng.integers(0, 4, (2, 5, 7))
  labels[rng.random(labels.shape) < 0.3] = 255
  return logits, labels


@pytest.mark.parametrize('smoothing', [0.0, 0.2])
@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('normalize_by', ['pixels', 'weights'])
def test_equals_the_loop(batch, smoothing, weighted, normalize_by):
  logits, labels = batch
  weights = np.array([1.0, 2.0, 0.5, 3.0]) if weighted else np.ones(4)
  values, pixel_weights = reference(logits, labels, weights, smoothing)
  total, weight = losses.cross_entropy(
    logits,
    labels,
    class_weights=weights if weighted else None,
    label_smoothing=smoothing,
    normalize_by=normalize_by,
  )
  np.testing.assert_allclose(total, values.sum(), rtol=1e-5)
  expected = len(values) if normalize_by == 'pixels' else pixel_weights.sum()
  np.testing.assert_allclose(weight, expected, rtol=1e-6)


def test_hard_pixels_are_the_largest_of_all_pixels(batch):
  logits, labels = batch
  values, _ = reference(logits, labels, np.ones(4), 0.0)
  total, weight = losses.cross_entropy(logits, labels, hard_pixels=0.25)
  count = int(np.ceil(0.25 * labels.size))
  np.testing.assert_allclose(total, np.sort(values)[-count:].sum(), rtol=1e-5)
  assert weight == count


def test_hard_pixels_never_count_ignored_ones():
  logits = jnp.zeros((1, 2, 2, 3))
  labels = jnp.array([[[0, 255], [255, 255]]])
  total, weight = losses.cross_entropy(logits, labels, hard_pixels=0.75)
  np.testing.assert_allclose(total, np.log(3), rtol=1e-6)
  assert weight == 1


def test_gradient_is_zero_and_finite_where_ignored(batch):
  logits, labels = batch
  grad = jax.grad(lambda x: losses.cross_entropy(x, labels)[0])(logits)
  assert np.all(np.isfinite(grad))
  assert np.all(np.asarray(grad)[labels == 255] == 0)
  assert np.all(np.any(np.asarray(grad)[labels != 255] != 0, axis=-1))


def test_no_labelled_pixel_gives_zero_over_zero_not_nan():
  total, weight = losses.cross_entropy(
    jnp.ones((1, 2, 2, 3)), jnp.full((1, 2, 2), 255)
  )
  assert (total, weight) == (0, 0)


def test_ramp():
  def fraction(step, ramp=10):
    return float(losses.hard_pixel_fraction(step, hard_pixels=0.2, ramp=ramp))

  assert fraction(0) == pytest.approx(1.0)
  assert fraction(5) == pytest.approx(0.6)
  assert fraction(10) == fraction(100) == pytest.approx(0.2)
  assert fraction(0, ramp=0) == pytest.approx(0.2)


def test_class_weights_formula():
  weights = losses.class_weights(np.array([0, 10, 30]))
  np.testing.assert_allclose(
    weights, [1 / np.log(1.02), 1 / np.log(1.27), 1 / np.log(1.77)], rtol=1e-6
  )
