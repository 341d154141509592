"""What every drawing function is handed: canvas, camera, light and dice."""

import dataclasses
import random

import numpy as np

from deeplax.data.scenes.camera import Camera
from deeplax.data.scenes.canvas import Canvas, Colour, Light


@dataclasses.dataclass(frozen=True)
class Stage:
  """A scene in the making.

  Attributes:
    canvas: Where to paint.
    camera: Metres to pixels.
    light: Colours under this sky.
    dice: Every random choice of the scene, in the order of drawing.
  """

  canvas: Canvas
  camera: Camera
  light: Light
  dice: random.Random

  def polygon(self, *points: tuple[float, float, float]) -> list[tuple]:
    """Pixels of points (x, y, z)."""
    project = self.camera.project
    return [project(x, y, z) for x, y, z in points]

  def wall(self, x: float, y: tuple, z: tuple) -> list[tuple]:
    """An upright rectangle along the street at `x`."""
    (y0, y1), (z0, z1) = y, z
    return self.polygon((x, y0, z0), (x, y1, z0), (x, y1, z1), (x, y0, z1))

  def front(self, x: tuple, y: tuple, z: float) -> list[tuple]:
    """An upright rectangle across the street at `z`."""
    (x0, x1), (y0, y1) = x, y
    return self.polygon((x0, y0, z), (x0, y1, z), (x1, y1, z), (x1, y0, z))

  def floor(self, x: tuple, z: tuple) -> list[tuple]:
    """A rectangle on the ground."""
    (x0, x1), (z0, z1) = x, z
    return self.polygon((x0, 0, z0), (x1, 0, z0), (x1, 0, z1), (x0, 0, z1))

  def walls(self, x: float, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Many rectangles along the street: intervals (k, 2) to (k, 4, 2)."""
    ys = y[..., (0, 1, 1, 0)]
    return np.stack(self.camera.project(x, ys, z[..., (0, 0, 1, 1)]), -1)

  def floors(self, x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Many rectangles on the ground: intervals (k, 2) to (k, 4, 2)."""
    xs = x[..., (0, 1, 1, 0)]
    return np.stack(self.camera.project(xs, 0.0, z[..., (0, 0, 1, 1)]), -1)

  def choice(self, colours: tuple[Colour, ...], jitter: float = 12) -> Colour:
    """One of the colours, a little off."""
    base = self.dice.choice(colours)
    off = self.dice.uniform(-jitter, jitter)
    return tuple(
      min(255.0, max(0.0, c + off + self.dice.uniform(-jitter, jitter) / 3))
      for c in base
    )


def grid(
  low: float, high: float, period: float, size: float, offset: float = 0.0
) -> np.ndarray:
  """(k, 2) intervals of `size`, every `period`, that fit into [low, high]."""
  count = int((high - low - offset) / period)
  start = low + offset + period * np.arange(max(count, 0))
  start = start + (period - size) / 2
  return np.stack([start, start + size], -1)


def many(interval: tuple[float, float], count: int) -> np.ndarray:
  """The same interval `count` times, (count, 2)."""
  return np.array((interval,) * count)


def mix(a: Colour, b: Colour, share: float) -> Colour:
  """`share` of b in a."""
  return tuple(p + (q - p) * share for p, q in zip(a, b))


def times(colour: Colour, factor: float) -> Colour:
  """A lighter or darker colour."""
  return tuple(min(255.0, c * factor) for c in colour)
