"""Texture and sensor noise, from raw random bits so that all machines agree."""

import cv2
import numpy as np

from deeplax.data.scenes.canvas import Canvas

# Strength of fine grain and of patches, by class.
_TEXTURE = {
  'road': (6, 8),
  'sidewalk': (7, 9),
  'terrain': (26, 34),
  'vegetation': (34, 62),
  'building': (8, 14),
  'wall': (14, 26),
  'person': (8, 16),
  'sky': (0, 0),
}


class Noise:
  """The random bits of one picture, drawn in a fixed order."""

  def __init__(self, seed: int):
    self._bits = np.random.PCG64(seed)

  def raw(self, *shape: int) -> np.ndarray:
    """uint8 of this shape, all values equally likely."""
    count = int(np.prod(shape))
    words = self._bits.random_raw((count + 7) // 8)
    return words.astype('<u8', copy=False).view(np.uint8)[:count].reshape(shape)

  def smooth(self, height: int, width: int, cell: float) -> np.ndarray:
    """uint8[height, width], changing over about `cell` pixels."""
    rows = max(2, int(height / cell) + 2)
    columns = max(2, int(width / cell) + 2)
    return cv2.resize(
      self.raw(rows, columns),
      (width, height),
      interpolation=cv2.INTER_LINEAR_EXACT,
    )

  def clouds(self, height: int, width: int) -> np.ndarray:
    """uint8[height, width]: long in the direction of the horizon."""
    big = self.smooth(height, width // 3, height / 9)
    big = cv2.resize(big, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
    small = self.smooth(height, width, height / 20)
    mixed = big.astype(np.uint16) * 179 + small.astype(np.uint16) * 77
    return (mixed >> 8).astype(np.uint8)


def finish(canvas: Canvas, noise: Noise, grain: int):
  """Adds texture by class and sensor noise of strength `grain` (0..40)."""
  height, width = canvas.owner.shape
  strengths = [_TEXTURE.get(t.name, (4, 8)) for t in canvas.things]
  fine, patch = np.array(strengths, np.int16).T
  sum_ = noise.raw(height, width).astype(np.int16)
  sum_ += noise.raw(height, width)
  sum_ -= 255
  cells = noise.smooth(height, width, max(2.0, height / 48)).astype(np.int16)
  cells -= 128
  texture = sum_ * fine[canvas.owner] + cells * patch[canvas.owner]
  texture >>= 8
  sensor = noise.raw(height, width, 3).astype(np.int16)
  sensor -= 128
  sensor *= grain
  sensor >>= 8
  sensor += texture[..., None]
  sensor += canvas.image
  np.clip(sensor, 0, 255, out=sensor)
  canvas.image[:] = sensor
