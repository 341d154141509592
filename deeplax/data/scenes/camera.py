"""The camera of a synthetic scene: metres in the street to pixels."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Camera:
  """A pinhole camera behind a windscreen.

  The street's axes: x to the right, y up from the ground, z ahead, in metres,
  with the camera at (0, `eye`, 0). A bent street shifts x with the square of z,
  which keeps verticals vertical and costs nothing.

  Attributes:
    focal: Focal length in pixels.
    u0: Column of the vanishing point.
    v0: Row of the horizon.
    eye: Height of the camera above the ground in metres.
    bend: Sideways shift of the street in metres per square metre of z.
    roll: Slope of the horizon (a small angle in radians).
  """

  focal: float
  u0: float
  v0: float
  eye: float
  bend: float
  roll: float

  def project(self, x: Any, y: Any, z: Any) -> tuple[Any, Any]:
    """(u, v) in pixels from the top left corner; numbers or arrays alike.

    Only the four basic operations are used, so that IEEE arithmetic gives the
    same bits on every machine.
    """
    scale = self.focal / z
    du = (x + self.bend * z * z) * scale
    dv = (self.eye - y) * scale
    return self.u0 + du - self.roll * dv, self.v0 + dv + self.roll * du

  def board(self, x: float, z: float, squeeze: float = 1.0) -> 'Board':
    """A flat figure that stands at (x, 0, z) and faces the camera."""
    u, v = self.project(x, 0.0, z)
    scale = self.focal / z
    return Board(u, v, scale * squeeze, scale)

  def sees_left_side(self, x: float, z: float) -> bool:
    """Whether a face at `x` that looks to the right, say, is in view."""
    return x + self.bend * z * z > 0


@dataclasses.dataclass(frozen=True)
class Board:
  """Local coordinates of an upright figure: a to the right, b up, metres."""

  u: float
  v: float
  scale_a: float
  scale_b: float

  def __call__(self, *points: tuple[float, float]) -> list[tuple]:
    """Pixels of points (a, b)."""
    u, v, sa, sb = self.u, self.v, self.scale_a, self.scale_b
    return [(u + sa * a, v - sb * b) for a, b in points]
