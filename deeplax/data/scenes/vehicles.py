"""Cars, trucks, buses and trams: prisms with a side and an end in view."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from deeplax.data.scenes.canvas import Colour
from deeplax.data.scenes.stage import Stage, grid, many, mix, times

_DARK = (34, 36, 40)
_GLASS = (50, 60, 72)

_PAINTS = (
  (42, 44, 50),
  (196, 198, 200),
  (140, 144, 150),
  (168, 34, 38),
  (36, 60, 122),
  (222, 222, 220),
  (74, 82, 96),
  (96, 26, 40),
)


@dataclasses.dataclass(frozen=True)
class Body:
  """A vehicle being drawn.

  Attributes:
    stage: Where.
    number: Its number on the canvas.
    x: Left and right side, metres.
    z: Near and far end, metres.
    oncoming: Whether its front faces the camera.
  """

  stage: Stage
  number: int
  x: tuple[float, float]
  z: tuple[float, float]
  oncoming: bool

  @property
  def side(self) -> int:
    """-1: its left side is in view, 1: its right side, 0: neither."""
    sees = self.stage.camera.sees_left_side
    if sees(self.x[0], self.z[0]):
      return -1
    return 0 if sees(self.x[1], self.z[0]) else 1

  @property
  def side_x(self) -> float:
    return self.x[0] if self.side < 0 else self.x[1]

  def lit(self, colour: Colour, face: float = 0.0) -> Colour:
    """The colour of a face: 0 the end, 1 the visible side, 2 the top."""
    light = self.stage.light
    bright = 1.12 if face == 2 else light.face(self.side if face else 0)
    return light(colour, self.z[0], bright)

  def end(self, a: tuple, b: tuple) -> list[tuple]:
    """A rectangle on the near end: a across in 0..1, b up in metres."""
    left, width = self.x[0], self.x[1] - self.x[0]
    x = (left + width * a[0], left + width * a[1])
    return self.stage.front(x, b, self.z[0])

  def flank(self, c: tuple, b: tuple) -> list[tuple]:
    """A rectangle on the visible side: c along in 0..1, b up in metres."""
    near, length = self.z[0], self.z[1] - self.z[0]
    z = (near + length * c[0], near + length * c[1])
    return self.stage.wall(self.side_x, b, z)

  def flanks(self, c: np.ndarray, b: tuple) -> np.ndarray:
    """Many of the same height: c (k, 2) along."""
    z = self.z[0] + (self.z[1] - self.z[0]) * c
    return self.stage.walls(self.side_x, many(b, len(c)), z)

  def profile(self, points: Sequence[tuple[float, float]]) -> list[tuple]:
    """A polygon on the visible side: (metres behind the near end, up)."""
    x, near = self.side_x, self.z[0]
    return self.stage.polygon(*[(x, b, near + c) for c, b in points])

  def strip(self, low: tuple[float, float], high: tuple[float, float]):
    """A face across the body between two lines (metres behind, up)."""
    (c0, b0), (c1, b1) = low, high
    near = self.z[0]
    return self.stage.polygon(
      (self.x[0], b0, near + c0),
      (self.x[0], b1, near + c1),
      (self.x[1], b1, near + c1),
      (self.x[1], b0, near + c0),
    )

  def wheels(self, along: Sequence[float], radius: float):
    """Wheels on the visible side and stumps at the near end."""
    stage = self.stage
    for a in ((0.04, 0.2), (0.8, 0.96)) if self.z[0] < 25 else ():
      stage.canvas.fill(self.number, self.end(a, (0.0, 0.45)), _DARK)
    if not self.side:
      return
    for c in along:
      u, v = stage.camera.project(self.side_x, radius, self.z[0] + c)
      u1, _ = stage.camera.project(self.side_x, radius, self.z[0] + c - radius)
      ry = radius * stage.camera.focal / (self.z[0] + c)
      rx = max(abs(u1 - u), 0.5)
      stage.canvas.disc(self.number, (u, v), (rx, ry), _DARK)
      stage.canvas.disc(
        None, (u, v), (rx * 0.5, ry * 0.5), self.lit((150, 152, 156), 1)
      )

  def lamps(self, low: float, high: float, wide: float = 0.16):
    """Head lamps of oncoming traffic, else tail lamps."""
    colour = (250, 244, 214) if self.oncoming else (206, 30, 30)
    for a in ((0.04, 0.04 + wide), (0.96 - wide, 0.96)):
      self.stage.canvas.paint(self.end(a, (low, high)), colour)


def _body(
  stage: Stage, name: str, x: float, near: float, size: tuple, oncoming: bool
) -> Body:
  length, width = size
  number = stage.canvas.new(name, 'z', near)
  return Body(
    stage,
    number,
    (x - width / 2, x + width / 2),
    (near, near + length),
    oncoming,
  )


def car(stage: Stage, x: float, near: float, oncoming: bool):
  dice, canvas = stage.dice, stage.canvas
  estate = dice.random() < 0.4
  length, width = dice.uniform(3.9, 4.7), dice.uniform(1.75, 1.95)
  roof = dice.uniform(1.42, 1.75 if estate else 1.52)
  paint = stage.choice(_PAINTS)
  body = _body(stage, 'car', x, near, (length, width), oncoming)
  waist = roof * 0.62
  if oncoming:  # the near end is the bonnet
    glass = ((1.0, waist + 0.04), (1.8, roof - 0.04))
    tail = (length - 0.15, waist)
  elif estate:
    glass, tail = ((0.1, waist), (0.45, roof - 0.04)), (length - 0.9, waist)
  else:
    glass = ((0.45, waist + 0.03), (1.15, roof - 0.04))
    tail = (length - 1.0, waist)
  low = body.lit(paint, 0)
  canvas.fill(
    body.number,
    body.strip(glass[1], (glass[1][0] + 1.2, roof)),
    body.lit(paint, 2),
  )
  canvas.fill(body.number, body.strip(*glass), body.lit(_GLASS, 2))
  canvas.fill(
    body.number, body.strip((0.08, waist - 0.06), glass[0]), body.lit(paint, 2)
  )
  if body.side:
    side = [
      (0, 0.24), (0.06, waist - 0.05), glass[0], glass[1],
      (glass[1][0] + 0.4, roof), (length - 1.9, roof), tail,
      (length, waist - 0.15), (length, 0.24),
    ]  # fmt: skip
    canvas.fill(body.number, body.profile(side), body.lit(paint, 1))
    start, stop = glass[0][0] + 0.3, tail[0] - 0.25
    window = [
      (start, waist + 0.05), (glass[1][0] + 0.2, roof - 0.1),
      (length - 2.0, roof - 0.1), (max(stop, length - 1.7), waist + 0.05),
    ]  # fmt: skip
    canvas.paint(body.profile(window), body.lit(_GLASS, 1))
  body.wheels((0.85, length - 0.85), 0.33)
  canvas.fill(body.number, body.end((0, 1), (0.24, waist - 0.05)), low)
  body.lamps(waist - 0.32, waist - 0.12, 0.17)
  if near > 25:
    return
  canvas.paint(body.end((0.03, 0.97), (0.22, 0.42)), body.lit(_DARK))
  plate = body.lit((226, 226, 220))
  canvas.paint(body.end((0.37, 0.63), (0.46, 0.58)), plate)


def truck(stage: Stage, x: float, near: float, oncoming: bool):
  dice, canvas = stage.dice, stage.canvas
  length, height = dice.uniform(6.5, 9.0), dice.uniform(3.2, 3.8)
  box = stage.choice(((226, 140, 48), (232, 164, 70), (218, 122, 40)), 8)
  cab = stage.choice(((60, 96, 150), (200, 202, 206), (150, 40, 44)))
  body = _body(stage, 'truck', x, near, (length, 2.45), oncoming)
  start = 1.9 if oncoming else 0.0
  share = start / length
  canvas.fill(  # box
    body.number, body.strip((start, 0.8), (start, height)), body.lit(box)
  )
  canvas.paint(
    body.strip((start, height - 0.18), (start, height)),
    body.lit(times(box, 0.75)),
  )
  if body.side:
    canvas.fill(
      body.number, body.flank((share, 1), (0.8, height)), body.lit(box, 1)
    )
    c = grid(share, 1.0, 0.16, 0.012)
    canvas.paint(body.flanks(c, (0.85, height)), body.lit(times(box, 0.8), 1))
    band = body.lit(mix(box, (250, 250, 250), 0.75), 1)
    canvas.paint(body.flank((share + 0.1, 0.92), (1.7, 2.4)), band)
    canvas.fill(
      body.number, body.flank((0, 1), (0.35, 0.82)), body.lit(_DARK, 1)
    )
  body.wheels((1.3, length - 2.6, length - 1.4), 0.48)
  if oncoming:
    if body.side:
      canvas.fill(
        body.number, body.flank((0, share), (0.4, 2.75)), body.lit(cab, 1)
      )
      canvas.paint(
        body.flank((share * 0.25, share * 0.8), (1.6, 2.4)),
        body.lit(_GLASS, 1),
      )
    canvas.fill(body.number, body.end((0, 1), (0.35, 2.75)), body.lit(cab))
    canvas.paint(body.end((0.07, 0.93), (1.55, 2.45)), body.lit(_GLASS))
    canvas.paint(body.end((0.2, 0.8), (0.75, 1.2)), body.lit(times(cab, 0.5)))
    body.lamps(0.6, 0.82, 0.15)
  else:
    seam = body.lit(times(box, 0.6))
    canvas.paint(body.end((0.48, 0.52), (0.85, height - 0.15)), seam)
    canvas.fill(body.number, body.end((0, 1), (0.4, 0.85)), body.lit(_DARK))
    body.lamps(0.55, 0.75, 0.14)


def bus(stage: Stage, x: float, near: float, oncoming: bool):
  dice, canvas = stage.dice, stage.canvas
  length, height = dice.uniform(10, 12.5), dice.uniform(2.9, 3.3)
  paint = stage.choice(((226, 196, 40), (236, 206, 66), (216, 184, 34)), 7)
  body = _body(stage, 'bus', x, near, (length, 2.5), oncoming)
  body.wheels((2.6, length - 2.8), 0.48)
  if body.side:
    canvas.fill(
      body.number, body.flank((0, 1), (0.3, height)), body.lit(paint, 1)
    )
    c = grid(0.01, 0.99, 0.125, 0.112)
    canvas.paint(body.flanks(c, (1.15, height - 0.6)), body.lit(_GLASS, 1))
    canvas.paint(body.flank((0, 1), (0.3, 0.5)), body.lit(_DARK, 1))
    body.wheels((2.6, length - 2.8), 0.48)
  canvas.fill(body.number, body.end((0, 1), (0.3, height)), body.lit(paint))
  if oncoming:
    canvas.paint(body.end((0.05, 0.95), (1.05, height - 0.5)), body.lit(_GLASS))
    canvas.paint(
      body.end((0.25, 0.75), (height - 0.42, height - 0.12)), (240, 150, 30)
    )
  else:
    canvas.paint(body.end((0.1, 0.9), (1.6, height - 0.45)), body.lit(_GLASS))
    canvas.paint(
      body.end((0.12, 0.88), (0.6, 1.25)), body.lit(times(paint, 0.75))
    )
  canvas.paint(body.end((0, 1), (0.3, 0.45)), body.lit(_DARK))
  body.lamps(0.6, 0.85, 0.12)


def tram(stage: Stage, x: float, near: float, oncoming: bool):
  """Cityscapes calls it a train, on rails in the street as well."""
  dice, canvas = stage.dice, stage.canvas
  length, height = dice.uniform(18, 28), dice.uniform(3.3, 3.6)
  low = stage.choice(((28, 122, 104), (22, 110, 112), (36, 132, 96)), 7)
  high = (226, 228, 214)
  body = _body(stage, 'train', x, near, (length, 2.6), oncoming)
  canvas.fill(
    body.number,
    stage.front((x - 0.7, x + 0.7), (height, height + 0.35), near + 3),
    body.lit((120, 124, 128)),
  )
  if body.side:
    canvas.fill(
      body.number, body.flank((0, 1), (0.2, height)), body.lit(high, 1)
    )
    canvas.paint(body.flank((0, 1), (0.25, 1.35)), body.lit(low, 1))
    canvas.paint(body.flank((0, 1), (height - 0.45, height)), body.lit(low, 1))
    c = grid(0.02, 0.98, 0.08, 0.066)
    canvas.paint(body.flanks(c, (1.45, height - 0.7)), body.lit(_GLASS, 1))
    canvas.paint(body.flank((0, 1), (0.05, 0.25)), body.lit(_DARK, 1))
  canvas.fill(body.number, body.end((0, 1), (0.15, height)), body.lit(high))
  canvas.paint(body.end((0, 1), (0.3, 1.25)), body.lit(low))
  canvas.paint(body.end((0.09, 0.91), (1.4, height - 0.65)), body.lit(_GLASS))
  canvas.paint(body.end((0, 1), (height - 0.35, height)), body.lit(low))
  canvas.paint(body.end((0, 1), (0.15, 0.35)), body.lit(_DARK))
  body.lamps(0.75, 0.95, 0.12)
