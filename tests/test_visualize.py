"""Pictures: sizes, colours and what they say."""

from types import SimpleNamespace

import numpy as np
import pytest

from deeplax import visualize
from deeplax.data.datasets import cityscapes

INFO = cityscapes.INFO


def example(height=30, width=50):
  rng = np.random.default_rng(0)
  label = rng.integers(0, 19, (height, width)).astype(np.uint8)
  label[:4] = 255
  pred = np.where(rng.random(label.shape) < 0.7, label, 3).astype(np.uint8)
  pred[:4] = 0
  image = rng.integers(0, 256, (height, width, 3), np.uint8)
  return image, label, pred


def test_colour_is_the_palette():
  _, label, _ = example()
  colours = visualize.colour(label, INFO.palette)
  assert tuple(colours[10, 10]) == INFO.trained[label[10, 10]].colour
  assert not colours[:4].any()
  with pytest.raises(ValueError, match='int32'):
    visualize.colour(label.astype(np.int32), INFO.palette)


def test_overlay_is_the_mixture_of_the_course():
  image, label, _ = example()
  colours = visualize.colour(label, INFO.palette)
  want = 0.35 * image.astype(float) + 0.65 * colours
  got = visualize.overlay(image, colours)
  assert got.dtype == np.uint8
  assert np.abs(got - want).max() <= 0.5 + 1e-9
  with pytest.raises(ValueError, match=r'\(29, 50\)'):
    visualize.overlay(image[1:], colours)


def test_error_map_tells_right_wrong_and_unlabelled():
  _, label, pred = example()
  errors = visualize.error_map(label, pred)
  red = (errors == (230, 40, 40)).all(-1)
  np.testing.assert_array_equal(red, (label != pred) & (label != 255))
  assert not errors[label == 255].any()


def test_panel_holds_four_parts_side_by_side():
  image, label, pred = example(60, 100)
  parts = visualize.panel(image[::2, ::2], label, pred, INFO.palette)
  assert parts.shape[1] == 4 * 100 + 3 * 6
  truth = parts[-60:, 106:206]
  np.testing.assert_array_equal(truth, visualize.colour(label, INFO.palette))
  small = visualize.panel(image, label, pred, INFO.palette, width=40)
  assert small.shape[1] == 4 * 40 + 3 * 6
  assert small.shape[0] < parts.shape[0]


def test_legend_shows_every_colour():
  strip = visualize.legend(INFO.class_names, INFO.palette, width=300)
  shown = {tuple(c) for c in strip.reshape(-1, 3)}
  assert {l.colour for l in INFO.trained} <= shown
  assert strip.shape[1] >= 300
  assert visualize.legend(('a',), INFO.palette, width=0).size


def test_evaluation_pictures():
  image, label, pred = example()
  pred[5] = 19  # void, predicted
  confusion = np.eye(19, 20, dtype=np.int64) * 10
  confusion[4] = 0  # a class that isn't there
  evaluation = SimpleNamespace(
    pictures=[{'image': image, 'label': label, 'pred': pred, 'id': 'a'}],
    confusion=confusion,
  )
  pictures = visualize.evaluation_pictures(evaluation, INFO, prefix='val')
  assert set(pictures) == {'val/picture_0', 'val/confusion'}
  for picture in pictures.values():
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    assert picture.std() > 5
