"""Lovász-softmax against its definition over sets, and its gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deeplax.losses.lovasz import jaccard_gains, lovasz_softmax


def definition(probs, labels):
  """Of one picture: the Lovász extension of the Jaccard loss of sets."""
  pixels = [i for i, y in enumerate(labels.ravel()) if y != 255]
  probs, labels = probs.reshape(-1, probs.shape[-1]), labels.ravel()
  values = []
  for c in {labels[i] for i in pixels}:
    truth = {i for i in pixels if labels[i] == c}
    errors = {i: abs((labels[i] == c) - probs[i, c]) for i in pixels}
    wrong, value, before = set(), 0.0, 0.0
    for i in sorted(pixels, key=errors.get, reverse=True):
      wrong.add(i)
      now = len(wrong) / len(truth | wrong)
      value += errors[i] * (now - before)
      before = now
    values.append(value)
  return np.mean(values)


def one_minus_iou(pred, labels):
  counted = labels != 255
  ious = [
    np.sum((pred == c) & (labels == c))
    / np.sum(counted & ((pred == c) | (labels == c)))
    for c in np.unique(labels[counted])
  ]
  return 1 - np.mean(ious)


def softmax(logits):
  return np.asarray(jax.nn.softmax(jnp.asarray(logits)))


@pytest.fixture(name='pictures')
def make_pictures():
  """Of 5 classes; the second picture has 3 of them."""
  rng = np.random.default_rng(1)
  logits = 2 * rng.normal(size=(3, 5, 7, 5)).astype(np.float32)
  labels = rng.integers(0, 5, (3, 5, 7))
  labels[1] = labels[1] // 2
  labels[rng.random(labels.shape) < 0.3] = 255
  return logits, labels


def test_equals_the_definition(pictures):
  logits, labels = pictures
  probs = softmax(logits)
  expected = [definition(p, y) for p, y in zip(probs, labels)]
  np.testing.assert_allclose(lovasz_softmax(probs, labels), expected, rtol=1e-5)


def test_hard_predictions_give_one_minus_mean_iou(pictures):
  logits, labels = pictures
  pred = np.argmax(logits, -1)
  expected = [one_minus_iou(p, y) for p, y in zip(pred, labels)]
  found = lovasz_softmax(np.eye(5, dtype=np.float32)[pred], labels)
  np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_gains_keep_their_digits_among_many_pixels():
  """As differences of J in float32 they would be off by some percent."""
  rng = np.random.default_rng(2)
  errors, truth = rng.random(200_000, np.float32), rng.random(200_000) < 0.4
  found = jaccard_gains(errors, truth, np.ones(truth.shape, bool))
  order = np.argsort(-errors, kind='stable')
  right, wrong = np.cumsum(truth[order]), np.cumsum(~truth[order])
  jaccard = 1 - (truth.sum() - right) / (truth.sum() + wrong)
  np.testing.assert_allclose(
    np.asarray(found)[order], np.diff(jaccard, prepend=0), rtol=1e-5, atol=1e-14
  )


def test_one_class_gives_the_mean_error(pictures):
  probs = softmax(pictures[0])
  labels = np.full((3, 5, 7), 4)
  np.testing.assert_allclose(
    lovasz_softmax(probs, labels), np.mean(1 - probs[..., 4], (1, 2)), rtol=1e-5
  )


def test_one_pixel():
  probs = np.array([[[[0.2, 0.5, 0.3]]]], np.float32)
  labels = np.array([[[2]]])
  np.testing.assert_allclose(lovasz_softmax(probs, labels), 0.7, rtol=1e-6)


@pytest.mark.peer
def test_equals_segmentation_models_pytorch(pictures):
  torch = pytest.importorskip('torch')
  peers = pytest.importorskip('segmentation_models_pytorch.losses')
  peer = peers.LovaszLoss('multiclass', per_image=True, ignore_index=255)
  logits, labels = pictures
  theirs = torch.tensor(logits).permute(0, 3, 1, 2).requires_grad_()
  expected = peer(theirs, torch.tensor(labels))
  expected.backward()

  def mean(x):
    return jnp.mean(lovasz_softmax(jax.nn.softmax(x), labels))

  value, grad = jax.value_and_grad(mean)(logits)
  assert float(value) == pytest.approx(expected.item(), rel=1e-5)
  np.testing.assert_allclose(
    grad, theirs.grad.permute(0, 2, 3, 1).numpy(), atol=1e-6
  )
