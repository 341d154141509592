"""Finding room in the street, and what waits there to be drawn."""

import dataclasses
import functools
from collections.abc import Callable

from deeplax.data.scenes.camera import Camera
from deeplax.data.scenes.stage import Stage

# Left, right, near and far edge on the ground, metres.
Foot = tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True)
class Item:
  """Something waiting to be drawn.

  Attributes:
    depth: Items are drawn in the order of falling depth, metres.
    draw: Draws it.
    foot: What it covers of the ground, to keep things apart and to cast a
      shadow; None for what stands aside.
  """

  depth: float
  draw: Callable[[], None]
  foot: Foot | None = None


class Street:
  """Finds free places and remembers what stands there."""

  def __init__(self, stage: Stage):
    self._stage = stage
    self.items: list[Item] = []

  def place(
    self,
    paint: Callable,
    x: tuple[float, float],
    z: tuple[float, float],
    size: tuple[float, float],
    *more: object,
  ) -> bool:
    """Tries four times to find room for something.

    Args:
      paint: Draws it: `paint(stage, x, near, *more)`.
      x: Where its middle may be across the street, metres.
      z: Where its near end may be along the street.
      size: (length, width) that it needs.
      *more: Handed to `paint`.

    Returns:
      Whether there was room.
    """
    stage = self._stage
    for _ in range(4):
      a, near = stage.dice.uniform(*x), stage.dice.uniform(*z)
      foot = (a - size[1] / 2, a + size[1] / 2, near, near + size[0])
      if not any(_overlap(foot, item.foot) for item in self.items):
        job = functools.partial(paint, stage, a, near, *more)
        self.items.append(Item(near, job, foot))
        return True
    return False


def _overlap(a: Foot, b: Foot) -> bool:
  return (
    a[0] < b[1] + 0.15
    and b[0] < a[1] + 0.15
    and a[2] < b[3] + 1.0
    and b[2] < a[3] + 1.0
  )


def in_view(camera: Camera, foot: Foot | None, width: int) -> bool:
  """Whether some of what stands on `foot` can be seen; 2 m for overhang."""
  if foot is None:
    return True
  left, right, near, far = foot
  u = [camera.project(x, 0.0, z)[0] for z in (near, far) for x in (left, right)]
  margin = 2.0 * camera.focal / near
  return max(u) > -margin and min(u) < width + margin
