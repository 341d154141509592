"""What stands along the street: houses, walls, fences, parks and trees."""

import math

import numpy as np

from deeplax.data.scenes.stage import Stage, grid, many, mix, times

_FACADES = (
  (196, 158, 112),
  (214, 196, 164),
  (170, 104, 84),
  (186, 172, 158),
  (204, 176, 128),
  (158, 122, 104),
  (220, 208, 188),
  (176, 140, 128),
)
_GLASS = ((62, 74, 88), (78, 90, 102), (52, 58, 66))


def house(stage: Stage, side: int, x: float, near: float, far: float):
  """A facade along the street and the gable that faces the camera."""
  canvas, light, dice = stage.canvas, stage.light, stage.dice
  storeys = dice.randint(2, 5)
  storey = dice.uniform(2.9, 3.4)
  base = dice.uniform(0.2, 0.8)
  height = base + storeys * storey + 0.5
  colour = stage.choice(_FACADES)
  middle = (near + far) / 2
  along = light.face(-side)
  # The gable: in view where the neighbour ahead of it is lower or set back.
  number = canvas.new('building', 'z', near)
  gable = stage.front((x, x + side * 14.0), (0, height), near)
  canvas.fill(number, gable, light(times(colour, 0.9), near, light.face(0)))
  number = canvas.new('building', 'x', x)
  wall = light(colour, middle, along)
  canvas.fill(number, stage.wall(x, (0, height), (near, far)), wall)
  storefront = dice.random() < 0.6
  if storefront and middle < 50:
    lower = light(times(colour, 0.72), middle, along)
    canvas.paint(stage.wall(x, (0, base + storey * 0.95), (near, far)), lower)
  cornice = light(mix(colour, (240, 236, 228), 0.5), middle, along)
  canvas.paint(stage.wall(x, (height - 0.45, height), (near, far)), cornice)
  if middle > 50:
    return
  period, wide = dice.uniform(2.0, 3.2), dice.uniform(1.0, 1.5)
  z = grid(near + 0.3, far - 0.3, period, wide)
  y = base + storey * np.arange(storeys)[:, None] + np.array([0.9, 2.4])
  if dice.random() < 0.55:
    y[0] = (base + 0.1, base + 2.5)  # shop windows
  ys = np.repeat(y, len(z), 0)
  zs = np.tile(z, (len(y), 1))
  frame = light(mix(colour, (246, 244, 240), 0.7), middle, along)
  glass = light(dice.choice(_GLASS), middle, 0.6 + 0.4 * along)
  if middle < 26:
    trim = stage.walls(x, ys + (-0.16, 0.12), zs + (-0.14, 0.14))
    canvas.paint(trim, frame)
  canvas.paint(stage.walls(x, ys, zs), glass)


def barrier(stage: Stage, side: int, x: float, near: float, far: float):
  """A masonry wall along the street."""
  canvas, light, dice = stage.canvas, stage.light, stage.dice
  height = dice.uniform(2.4, 3.6)
  colour = stage.choice(((134, 98, 142), (122, 90, 134), (146, 108, 150)), 7)
  along = light.face(-side)
  middle = min((near + far) / 2, near + 6)
  number = canvas.new('wall', 'x', x)
  body = light(colour, middle, along)
  joint = light(times(colour, 0.7), middle, along)
  canvas.fill(number, stage.wall(x, (0, height), (near, far)), body)
  y = grid(0.1, height - 0.2, 0.55, 0.1)
  canvas.paint(stage.walls(x, y, many((near, far), len(y))), joint)
  z = grid(near, min(far, 35), 3.0, 0.25)
  if len(z):
    canvas.paint(stage.walls(x, many((0, height), len(z)), z), joint)
  cap = light(times(colour, 1.3), middle, along)
  canvas.paint(stage.wall(x, (height - 0.22, height), (near, far)), cap)


def fence(stage: Stage, side: int, x: float, near: float, far: float):
  """A picket or rail fence; the gaps belong to it, as in Cityscapes."""
  canvas, light, dice = stage.canvas, stage.light, stage.dice
  height = dice.uniform(1.7, 2.5)
  colour = stage.choice(((28, 78, 110), (22, 66, 102), (36, 88, 120)), 7)
  along = light.face(-side)
  number = canvas.new('fence', 'x', x)
  canvas.own(number, stage.wall(x, (0, height), (near, far)))
  z = near
  bars = []
  while z < far:  # thicker and rarer with distance, as the eye sees it
    step = 0.34 + z * 0.012
    bars.append((z, z + step * 0.62))
    z += step
  z = np.array(bars)
  paint = light(colour, min((near + far) / 2, near + 6), along)
  canvas.paint(stage.walls(x, many((0.0, height), len(z)), z), paint)
  for low in (0.12, height * 0.5, height - 0.16):
    canvas.paint(stage.wall(x, (low, low + 0.16), (near, far)), paint)


def hedge(stage: Stage, side: int, x: float, near: float, far: float):
  """A row of bushes, or the edge of a wood, along the street."""
  canvas, light, dice = stage.canvas, stage.light, stage.dice
  height = dice.uniform(2.2, 6.5)
  z = near + (far - near) * np.linspace(0, 1, 14)
  y = height * np.array([dice.uniform(0.72, 1.0) for _ in z])
  green = stage.choice(((54, 92, 44), (66, 104, 52), (48, 82, 46)), 9)
  number = canvas.new('vegetation', 'x', x)
  top = np.stack(stage.camera.project(x, y, z), -1)
  foot = np.stack(stage.camera.project(x, 0.0, z[[-1, 0]]), -1)
  paint = light(green, min((near + far) / 2, near + 8), light.face(-side))
  canvas.fill(number, np.concatenate([top, foot]), paint)
  end = stage.front((x, x + side * 8.0), (0, height * 0.85), near)
  canvas.fill(number, end, times(paint, 0.85))
  canvas.paint(
    stage.wall(x, (0, height * 0.25), (near, far)), times(paint, 0.75)
  )


def tree(stage: Stage, x: float, z: float):
  """Trunk and crown, both vegetation."""
  canvas, light, dice = stage.canvas, stage.light, stage.dice
  board = stage.camera.board(x, z)
  green = stage.choice(((58, 98, 46), (72, 112, 54), (50, 86, 48)), 10)
  crown = dice.uniform(3.4, 5.2)
  wide, tall = dice.uniform(1.3, 2.1), dice.uniform(1.4, 2.2)
  number = canvas.new('vegetation', 'z', z)
  trunk = board((-0.17, 0), (-0.11, crown), (0.11, crown), (0.17, 0))
  canvas.fill(number, trunk, light((82, 66, 50), z))
  outline = []
  for cos, sin in _CIRCLE:
    r = dice.uniform(0.8, 1.1)
    outline.append((wide * r * cos, crown + tall * r * sin))
  canvas.fill(number, board(*outline), light(green, z, 0.92))
  if wide * board.scale_b < 8:  # pixels: too small for details
    return
  bright, dark = light(green, z, 1.25), light(green, z, 0.68)
  for _ in range(3):
    a, b = dice.uniform(-0.6, 0.6) * wide, dice.uniform(-0.7, -0.1) * tall
    r = dice.uniform(0.25, 0.45) * wide * board.scale_b
    canvas.disc(None, board((a, crown + b))[0], (r, r * 0.8), dark)
  for _ in range(4):
    a = (dice.uniform(-0.5, 0.5) + 0.25 * light.sun) * wide
    b = dice.uniform(-0.2, 0.7) * tall
    r = dice.uniform(0.2, 0.4) * wide * board.scale_b
    canvas.disc(None, board((a, crown + b))[0], (r, r * 0.8), bright)


# Corners of a crown. Rounded, so that libm's last bit doesn't matter.
_CIRCLE = [
  (
    round(math.cos(2 * math.pi * k / 15), 6),
    round(math.sin(2 * math.pi * k / 15), 6),
  )
  for k in range(15)
]


def skyline(stage: Stage, left: float, right: float):
  """Houses and trees that close the street far ahead."""
  canvas, light, dice = stage.canvas, stage.light, stage.dice
  x = left - 40
  while x < right + 40:
    wide = dice.uniform(8, 22)
    z = dice.uniform(110, 170)
    if dice.random() < 0.5:
      number = canvas.new('building', 'z', z)
      paint = light(stage.choice(_FACADES), z, light.face(0))
      height = dice.uniform(8, 22)
      canvas.fill(number, stage.front((x, x + wide), (0, height), z), paint)
    else:
      number = canvas.new('vegetation', 'z', z)
      paint = light((64, 98, 52), z)
      u, v = stage.camera.project(x + wide / 2, dice.uniform(3, 8), z)
      r = wide * stage.camera.focal / z * 0.62
      canvas.disc(number, (u, v), (r, r * 0.55), paint)
    x += wide * 0.9
