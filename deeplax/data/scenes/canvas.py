"""The canvas of a synthetic scene: a picture and who owns each pixel."""

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

Colour = tuple[float, float, float]

# Coordinates are handed to OpenCV in sixteenths of a pixel.
SHIFT = 4
_ONE = 1 << SHIFT
# Ellipses further out than this are left out whole: they can't be in view.
_FAR = 100000


@dataclasses.dataclass(frozen=True)
class Light:
  """Sun, sky and air of a scene.

  Attributes:
    gain: Exposure and colour cast, one factor for each of R, G, B.
    sun: Where the sun stands: -1 left of the street, +1 right of it.
    contrast: How much darker faces turned away from the sun are, 0..1.
    haze: Colour that far things fade into.
    density: Share of haze is z * density / (1 + z * density).
  """

  gain: Colour
  sun: float
  contrast: float
  haze: Colour
  density: float

  def face(self, side: float) -> float:
    """Brightness of a face looking left (-1), ahead or back (0), right (1)."""
    return 1.0 - self.contrast * (0.5 - 0.5 * side * self.sun)

  def __call__(self, colour: Colour, z: float, face: float = 1.0) -> Colour:
    """The colour of a surface `z` metres away."""
    far = z * self.density
    far = far / (1.0 + far)
    near = (1.0 - far) * face
    return tuple(
      min(255.0, c * g * near + h * far)
      for c, g, h in zip(colour, self.gain, self.haze)
    )


@dataclasses.dataclass(frozen=True)
class Thing:
  """What a number in `Canvas.owner` stands for.

  Attributes:
    name: Class name in the Cityscapes table, e.g. `'car'`.
    count: Running number among its class, for instance ids.
    plane: Where its surface lies, for the disparity: `'z'` at that distance,
      `'x'` a wall along the street, `'ground'`, or `'sky'`.
    at: Metres of that plane.
  """

  name: str
  count: int
  plane: str
  at: float


class Canvas:
  """A picture in the making, painted from far to near.

  Attributes:
    image: uint8[H, W, 3], RGB.
    owner: uint16[H, W], position in `things`.
    things: Everything painted so far.
  """

  def __init__(self, height: int, width: int):
    self.image = np.zeros((height, width, 3), np.uint8)
    self.owner = np.zeros((height, width), np.uint16)
    self.things: list[Thing] = []
    self._counts: dict[str, int] = {}

  def new(self, name: str, plane: str = 'z', at: float = 0.0) -> int:
    """Announces a thing; the number goes to `fill`."""
    count = self._counts.get(name, 0)
    self._counts[name] = count + 1
    self.things.append(Thing(name, count, plane, at))
    return len(self.things) - 1

  def fill(self, number: int, points: Sequence | np.ndarray, colour: Colour):
    """A polygon (n, 2), or many (k, n, 2), that belongs to a thing."""
    polygons = fixed(points)
    cv2.fillPoly(self.owner, polygons, number, cv2.LINE_8, SHIFT)
    cv2.fillPoly(self.image, polygons, colour, cv2.LINE_AA, SHIFT)

  def own(self, number: int, points: Sequence | np.ndarray):
    """Like `fill`, but leaves the picture as it is (a fence's gaps)."""
    cv2.fillPoly(self.owner, fixed(points), number, cv2.LINE_8, SHIFT)

  def paint(self, points: Sequence | np.ndarray, colour: Colour):
    """A detail: polygons that change the picture only."""
    cv2.fillPoly(self.image, fixed(points), colour, cv2.LINE_AA, SHIFT)

  def disc(
    self,
    number: int | None,
    centre: tuple,
    radii: tuple,
    colour: Colour,
    ring: float = 0.0,
  ):
    """An upright ellipse; `ring` > 0 paints only a rim that wide (pixels)."""
    middle = (_round(centre[0]), _round(centre[1]))
    axes = (
      max(1, int(radii[0] * _ONE + 0.5)),
      max(1, int(radii[1] * _ONE + 0.5)),
    )
    if max(abs(middle[0]), abs(middle[1]), *axes) > _FAR * _ONE:
      return
    width = max(1, int(ring + 0.5)) if ring else -1
    if number is not None:
      cv2.ellipse(
        self.owner, middle, axes, 0, 0, 360, number, -1, cv2.LINE_8, SHIFT
      )
    cv2.ellipse(
      self.image, middle, axes, 0, 0, 360, colour, width, cv2.LINE_AA, SHIFT
    )

  def stroke(
    self,
    number: int | None,
    start: tuple,
    end: tuple,
    width: float,
    colour: Colour,
  ):
    """A straight bar `width` pixels wide (at least 1)."""
    du, dv = end[0] - start[0], end[1] - start[1]
    length = (du * du + dv * dv) ** 0.5
    if length == 0.0:
      return
    half = max(width, 1.0) / 2 / length
    a, b = -dv * half, du * half
    quad = [
      (start[0] + a, start[1] + b),
      (end[0] + a, end[1] + b),
      (end[0] - a, end[1] - b),
      (start[0] - a, start[1] - b),
    ]
    if number is None:
      self.paint(quad, colour)
    else:
      self.fill(number, quad, colour)


def _round(value: float) -> int:
  """A coordinate in sixteenths; OpenCV's pixel centres are whole numbers."""
  return int(value * _ONE + 0.5) - _ONE // 2


def fixed(points: Sequence | np.ndarray) -> list[np.ndarray]:
  """Polygons in sixteenths of a pixel, as `cv2.fillPoly` takes them."""
  points = np.array(points)
  points *= _ONE
  points -= _ONE / 2
  points = np.rint(points, points).astype(np.int32, order='C')
  return [points] if points.ndim == 2 else list(points)
