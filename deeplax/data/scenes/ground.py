"""Sky, road, kerbs, markings and what else lies flat."""

import dataclasses

import numpy as np

from deeplax.data.scenes.stage import Stage, grid, many, mix, times

# Distances at which ribbons along the street are bent, in metres.
STATIONS = np.array(
  [1.2, 2.5, 4, 6, 9, 13, 18, 25, 35, 50, 80, 140, 400], np.float64
)


@dataclasses.dataclass(frozen=True)
class Layout:
  """Where things are across the street, in metres; the camera is at x = 0.

  Attributes:
    left, right: Edges of the road.
    verges: Width of the green strip between kerb and pavement, left and
      right, 0 for none.
    walks: Width of the left and right pavement.
    grass: Width of the green strip behind each pavement, 0 for none.
    middle: Line between the two directions.
    lane: Width of a lane.
    tracks: Centre of tram tracks, or None.
  """

  left: float
  right: float
  verges: tuple[float, float]
  walks: tuple[float, float]
  grass: tuple[float, float]
  middle: float
  lane: float
  tracks: float | None

  def edge(self, side: int) -> float:
    """The kerb: side -1 is left, 1 is right."""
    return self.left if side < 0 else self.right

  def walk(self, side: int) -> tuple[float, float]:
    """Where the pavement begins and ends, seen from the road."""
    start = self.edge(side) + side * self.verges[(side + 1) // 2]
    return start, start + side * self.walks[(side + 1) // 2]

  def behind(self, side: int) -> float:
    """Where houses begin."""
    return self.walk(side)[1] + side * self.grass[(side + 1) // 2]


def ribbon(stage: Stage, left: float, right: float, far: float = 400.0):
  """Pixels of a strip of ground along the whole street."""
  z = np.minimum(STATIONS, far)
  a = np.stack(stage.camera.project(left, 0.0, z), -1)
  b = np.stack(stage.camera.project(right, 0.0, z), -1)
  return np.concatenate([a, b[::-1]])


def sky(stage: Stage, clouds: np.ndarray):
  """Fills everything: a gradient from zenith to horizon, with clouds.

  Args:
    clouds: uint8[H, W] smooth noise.
  """
  canvas, camera, dice = stage.canvas, stage.camera, stage.dice
  number = canvas.new('sky', 'sky')
  canvas.owner[:] = number
  top = stage.choice(((92, 142, 208), (120, 160, 205), (150, 178, 208)))
  haze = stage.light.haze
  rows = min(canvas.image.shape[0], int(camera.v0 * 1.15) + 1)
  t = (np.arange(rows, dtype=np.float32) / np.float32(camera.v0)).clip(0, 1)
  t = (t * t)[:, None, None]
  blue = np.float32(top) * (1 - t) + np.float32(haze) * t
  cover, white = dice.uniform(90, 190), np.float32(mix(haze, (250,) * 3, 0.6))
  share = ((np.arange(256) - cover) / 90).clip(0, 0.85).astype(np.float32)
  share = share[clouds[:rows], None] * (1 - t * np.float32(0.5))
  canvas.image[:rows] = blue + (white - blue) * share


def ground(stage: Stage, layout: Layout):
  """Paints the ground from the outside in."""
  canvas, light, dice = stage.canvas, stage.light, stage.dice
  walk = stage.choice(((182, 164, 178), (172, 158, 174), (192, 174, 184)), 8)
  grass = stage.choice(((128, 158, 62), (146, 160, 78), (112, 148, 58)), 10)
  kerb = (198, 194, 188)
  asphalt = stage.choice(((96, 97, 102), (84, 86, 92), (108, 106, 108)), 7)
  for side in (-1, 1):
    edge, (start, end) = layout.edge(side), layout.walk(side)
    number = canvas.new('terrain', 'ground')
    fill = ribbon(stage, edge, side * 300.0)
    canvas.fill(number, fill, light(grass, 14))
    number = canvas.new('sidewalk', 'ground')
    canvas.fill(number, ribbon(stage, start, end), light(walk, 9))
    _slabs(stage, start, end, times(walk, 0.82))
  number = canvas.new('road', 'ground')
  canvas.fill(
    number, ribbon(stage, layout.left, layout.right), light(asphalt, 10)
  )
  patch = dice.uniform(layout.left, layout.right - 1)
  near = dice.uniform(5, 12)
  canvas.paint(
    stage.floor((patch, patch + 1.3), (near, near + dice.uniform(2, 9))),
    light(times(asphalt, 0.86), 10),
  )
  for side in (-1, 1):
    edge = layout.edge(side)
    canvas.paint(ribbon(stage, edge, edge + side * 0.18, 60), light(kerb, 9))
  _markings(stage, layout)


def _slabs(stage: Stage, inner: float, outer: float, colour: tuple):
  """Joints of the paving."""
  period = stage.dice.choice((1.2, 1.8, 2.4))
  z = grid(3, 24, period, 0.09)
  x = many((inner, outer), len(z))
  stage.canvas.paint(stage.floors(x, z), stage.light(colour, 9))
  middle = (inner + outer) / 2
  stage.canvas.paint(
    ribbon(stage, middle - 0.05, middle + 0.05, 30), stage.light(colour, 9)
  )


def _markings(stage: Stage, layout: Layout):
  """Lane lines, a zebra crossing, tram tracks."""
  canvas, light, dice = stage.canvas, stage.light, stage.dice
  white = light((224, 224, 220), 9)
  if layout.tracks is not None:
    rail = light((58, 56, 58), 9)
    bed = light((122, 118, 114), 10)
    a = layout.tracks
    canvas.paint(ribbon(stage, a - 1.25, a + 1.25), bed)
    for x in (a - 0.75, a + 0.65):
      canvas.paint(ribbon(stage, x, x + 0.12), rail)
  dashes = dice.random() < 0.75
  offset = dice.uniform(0, 3)
  lines = [layout.middle]
  x = layout.middle + layout.lane
  while x < layout.right - 2.0:
    lines.append(x)
    x += layout.lane
  for x in lines:
    if dashes or x != layout.middle:
      z = grid(3, 60, 6.0, 3.0, offset)
      xs = many((x - 0.08, x + 0.08), len(z))
      canvas.paint(stage.floors(xs, z), white)
    else:
      canvas.paint(ribbon(stage, x - 0.08, x + 0.08, 90), white)
  if dice.random() < 0.3:
    z = dice.uniform(7, 15)
    x = grid(layout.left + 0.3, layout.right - 0.3, 1.1, 0.55)
    canvas.paint(stage.floors(x, many((z, z + 2.8), len(x))), white)
  elif dice.random() < 0.3:
    z = dice.uniform(7, 14)
    canvas.paint(
      stage.floor((layout.middle, layout.right), (z, z + 0.45)), white
    )


def bonnet(stage: Stage):
  """The ego vehicle's own bonnet at the lower edge; void in the labels."""
  canvas, dice = stage.canvas, stage.dice
  height, width = canvas.owner.shape
  number = canvas.new('ego vehicle', 'sky')
  rise = dice.uniform(0.06, 0.11) * height
  centre = width * dice.uniform(0.47, 0.53)
  body = stage.choice(((52, 56, 64), (74, 76, 80), (40, 44, 60)))
  radii = (width * 0.62, rise)
  canvas.disc(number, (centre, height), radii, body)
  shine = mix(body, stage.light.haze, 0.45)
  canvas.disc(
    None, (centre, height + rise * 0.1), (width * 0.5, rise * 0.86), shine
  )
  canvas.disc(
    None, (centre, height + rise * 0.25), (width * 0.49, rise * 0.8), body
  )
