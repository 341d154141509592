"""Photometric distortion: brightness, contrast, saturation and hue."""

import cv2
import numpy as np

BRIGHTNESS = 32.0  # grey levels, either way
CONTRAST = (0.5, 1.5)
SATURATION = (0.5, 1.5)
HUE = 18  # either way, in OpenCV's units: 180 is the full circle


def distort(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """Distorts the colours of a picture as SSD and mmsegmentation do.

  Brightness, then contrast, saturation and hue, each with probability 1/2;
  contrast comes before or after saturation and hue with equal probability.
  After each of brightness, contrast and the pair of saturation and hue, values
  are rounded to the nearest integer and cut to 0..255. (mmsegmentation
  truncates instead, and returns to RGB between saturation and hue: differences
  of a grey level or two.) Hue wraps around.

  All random numbers are drawn whether used or not, so that what follows in the
  pipeline does not depend on the coins thrown here.

  Args:
    image: uint8[H, W, 3], RGB; not changed.
    rng: Source of randomness.

  Returns:
    uint8[H, W, 3].

  Source: Liu et al., SSD, arXiv:1512.02325, section 2.2 (data augmentation);
  `PhotoMetricDistortion` of mmsegmentation.
  """
  use = rng.random(4) < 0.5
  contrast_first = rng.random() < 0.5
  brightness = rng.uniform(-BRIGHTNESS, BRIGHTNESS)
  contrast = rng.uniform(*CONTRAST)
  saturation = rng.uniform(*SATURATION)
  hue = int(rng.integers(-HUE, HUE + 1))

  if use[0]:
    image = _linear(image, 1.0, brightness)
  if use[1] and contrast_first:
    image = _linear(image, contrast, 0.0)
  if use[2] or use[3]:
    image = _saturation_and_hue(
      image, saturation if use[2] else 1.0, hue if use[3] else 0
    )
  if use[1] and not contrast_first:
    image = _linear(image, contrast, 0.0)
  return image


def _linear(image: np.ndarray, factor: float, offset: float) -> np.ndarray:
  return cv2.LUT(image, _table(factor, offset))


def _saturation_and_hue(image: np.ndarray, factor: float, shift: int):
  table = np.empty((1, 256, 3), np.uint8)
  # Hue is 0..179 here; the rest of the table is never looked at.
  table[0, :, 0] = (np.arange(256) + shift) % 180
  table[0, :, 1] = _table(factor, 0.0)
  table[0, :, 2] = np.arange(256)
  hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
  return cv2.cvtColor(cv2.LUT(hsv, table), cv2.COLOR_HSV2RGB)


def _table(factor: float, offset: float) -> np.ndarray:
  values = np.arange(256, dtype=np.float64) * factor + offset
  return np.clip(np.rint(values), 0, 255).astype(np.uint8)
