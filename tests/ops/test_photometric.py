"""Photometric distortion on the device against OpenCV's on the host.

Pictures are 64 columns wide: OpenCV rounds in columns left over by its vectors
where it cuts off elsewhere, so that narrow ones differ in every fifth value.
"""

import jax
import numpy as np
import pytest

from deeplax.data import photometric as host
from deeplax.ops import photometric


def on_both(images, numbers):
  """uint8 results of the device and of the host, as int."""
  device = jax.jit(photometric.distort)(images, np.array(numbers, np.float32))
  assert device.dtype == np.uint8
  expected = [host.distort(*pair) for pair in zip(images, numbers)]
  return np.array(device, int), np.array(expected, int)


def colours():
  """uint8[1, 64, 4096, 3]: every sixteenth, and last, level of each channel."""
  levels = np.array([*range(0, 256, 4)], np.uint8) + np.uint8(3)
  grid = np.stack(np.meshgrid(levels, levels, levels, indexing='ij'), -1)
  return grid.reshape(1, 64, 4096, 3)


@pytest.mark.parametrize('seed', range(3))
def test_drawn_numbers_give_the_hosts_pictures(seed):
  rng = np.random.default_rng(seed)
  images = rng.integers(0, 256, (32, 20, 64, 3), np.uint8)
  images[:8] //= 16  # dark ones, where hue is coarse
  images[8:12] = images[8:12, ..., :1]  # grey ones, where there is none
  numbers = [host.draw(rng) for _ in images]
  device, expected = on_both(images, numbers)
  assert np.abs(device - expected).max() <= 1
  assert (device != expected).mean() < 1e-3


def test_whole_numbers_alone_are_exact():
  images = np.random.default_rng(0).integers(0, 256, (4, 9, 64, 3), np.uint8)
  numbers = [
    host.Numbers(),
    host.Numbers(brightness=20.0),
    host.Numbers(contrast=1.25),
    host.Numbers(brightness=-32.0, contrast=0.5, contrast_first=True),
  ]
  device, expected = on_both(images, numbers)
  np.testing.assert_array_equal(device, expected)
  np.testing.assert_array_equal(device[0], images[0])


@pytest.mark.parametrize('saturation, hue', [(1.0, 0), (1.0, -18), (1.5, 7)])
def test_all_colours_through_hsv(saturation, hue):
  images = colours()
  numbers = [host.Numbers(saturation=saturation, hue=hue, through_hsv=True)]
  device, expected = on_both(images, numbers)
  assert np.abs(device - expected).max() <= 1
  assert (device != expected).mean() < 1e-3


def test_contrast_before_and_after_differ_as_on_the_host():
  images = np.random.default_rng(1).integers(0, 256, (2, 9, 64, 3), np.uint8)
  images[1] = images[0]
  numbers = [
    host.Numbers(0.0, 1.4, 1.5, 10, True, first) for first in (False, True)
  ]
  device, expected = on_both(images, numbers)
  assert np.abs(device - expected).max() <= 1
  assert not np.array_equal(device[0], device[1])
