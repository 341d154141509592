"""Soft Dice against the paper's formula, class by class."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deeplax.losses.dice import soft_dice


def definition(probs, labels):
  """Of one picture, pixel by pixel."""
  values = []
  for c in set(labels.ravel().tolist()) - {255}:
    above = below = 0.0
    for p, y in zip(probs.reshape(-1, probs.shape[-1]), labels.ravel()):
      if y != 255:
        above += 2 * p[c] * (y == c)
        below += p[c] ** 2 + (y == c) ** 2
    values.append(above / below)
  return 1 - np.mean(values)


def softmax(logits):
  return np.asarray(jax.nn.softmax(jnp.asarray(logits)))


@pytest.fixture(name='pictures')
def make_pictures():
  """Of 4 classes; the second picture has 2 of them."""
  rng = np.random.default_rng(3)
  logits = 2 * rng.normal(size=(3, 5, 7, 4)).astype(np.float32)
  labels = rng.integers(0, 4, (3, 5, 7))
  labels[1] = labels[1] // 2
  labels[rng.random(labels.shape) < 0.3] = 255
  return logits, labels


def test_equals_the_definition(pictures):
  logits, labels = pictures
  probs = softmax(logits)
  expected = [definition(p, y) for p, y in zip(probs, labels)]
  np.testing.assert_allclose(soft_dice(probs, labels), expected, rtol=1e-5)


def test_one_pixel():
  probs = np.array([[[[0.2, 0.5, 0.3]]]], np.float32)
  found = soft_dice(probs, np.array([[[2]]]))
  np.testing.assert_allclose(found, 1 - 2 * 0.3 / (0.09 + 1), rtol=1e-6)


@pytest.mark.peer
def test_hard_predictions_equal_segmentation_models_pytorch():
  """Theirs has no squares below, which 0 and 1 don't need."""
  torch = pytest.importorskip('torch')
  peers = pytest.importorskip('segmentation_models_pytorch.losses')
  peer = peers.DiceLoss('multiclass', from_logits=False, ignore_index=255)
  rng = np.random.default_rng(4)
  pred, labels = rng.integers(0, 3, (2, 1, 6, 6))
  labels[0, 0] = 0, 1, 2, 255, 255, 255
  probs = np.eye(3, dtype=np.float32)[pred]
  expected = peer(
    torch.tensor(probs).permute(0, 3, 1, 2), torch.tensor(labels)
  ).item()
  assert float(soft_dice(probs, labels)[0]) == pytest.approx(expected, rel=1e-5)
