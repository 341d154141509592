"""Photometric distortion: brightness, contrast, saturation and hue.

`deeplax.ops.photometric` does the same on a device, with numbers drawn here.
"""

from typing import NamedTuple

import cv2
import numpy as np

BRIGHTNESS = 32.0  # grey levels, either way
CONTRAST = (0.5, 1.5)
SATURATION = (0.5, 1.5)
HUE = 18  # either way, in OpenCV's units: 180 is the full circle


class Numbers(NamedTuple):
  """What is to be done to one picture.

  Attributes:
    brightness: Grey levels to add.
    contrast: Factor on all values.
    saturation: Factor.
    hue: Shift, in OpenCV's units.
    through_hsv: Whether the picture goes through HSV, whose 8 bits round.
    contrast_first: Whether contrast comes before saturation and hue.
  """

  brightness: float = 0.0
  contrast: float = 1.0
  saturation: float = 1.0
  hue: int = 0
  through_hsv: bool = False
  contrast_first: bool = False


def draw(rng: np.random.Generator) -> Numbers:
  """The chance in `distort`: brightness, contrast, saturation and hue each with
  probability 1/2.

  All random numbers are drawn whether used or not, so that what follows in the
  pipeline does not depend on the coins thrown here.
  """
  use = rng.random(4) < 0.5
  contrast_first = rng.random() < 0.5
  brightness = rng.uniform(-BRIGHTNESS, BRIGHTNESS)
  contrast = rng.uniform(*CONTRAST)
  saturation = rng.uniform(*SATURATION)
  hue = int(rng.integers(-HUE, HUE + 1))
  return Numbers(
    brightness=brightness if use[0] else 0.0,
    contrast=contrast if use[1] else 1.0,
    saturation=saturation if use[2] else 1.0,
    hue=hue if use[3] else 0,
    through_hsv=bool(use[2] or use[3]),
    contrast_first=contrast_first,
  )


def distort(image: np.ndarray, numbers: Numbers) -> np.ndarray:
  """Distorts the colours of a picture as SSD and mmsegmentation do.

  Brightness, then contrast, saturation and hue; contrast comes before or after
  saturation and hue. After each of brightness, contrast and the pair of
  saturation and hue, values are rounded to the nearest integer and cut to
  0..255. (mmsegmentation truncates instead, and returns to RGB between
  saturation and hue: differences of a grey level or two.) Hue wraps around.

  Args:
    image: uint8[H, W, 3], RGB; not changed.
    numbers: From `draw`.

  Returns:
    uint8[H, W, 3].

  Source: Liu et al., SSD, arXiv:1512.02325, section 2.2 (data augmentation);
  `PhotoMetricDistortion` of mmsegmentation.
  """
  if numbers.brightness:
    image = _linear(image, 1.0, numbers.brightness)
  if numbers.contrast_first:
    image = _contrast(image, numbers)
  if numbers.through_hsv:
    image = _saturation_and_hue(image, numbers.saturation, numbers.hue)
  if not numbers.contrast_first:
    image = _contrast(image, numbers)
  return image


def _contrast(image: np.ndarray, numbers: Numbers) -> np.ndarray:
  if numbers.contrast == 1:
    return image
  return _linear(image, numbers.contrast, 0.0)


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
