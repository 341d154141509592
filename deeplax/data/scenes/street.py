"""A whole street: where things stand, and painting them from far to near."""

import functools
import random

import cv2
import numpy as np

from deeplax.data.scenes import blocks, figures, furniture, ground, vehicles
from deeplax.data.scenes.camera import Camera
from deeplax.data.scenes.canvas import SHIFT, Canvas, Light, fixed
from deeplax.data.scenes.ground import Layout
from deeplax.data.scenes.placing import Item, Street, in_view
from deeplax.data.scenes.stage import Stage

# Every scene has one of these for certain, in turn, so that a handful of
# pictures already holds every class.
RARE = ('truck', 'bus', 'train', 'motorcycle', 'bicycle', 'wall', 'fence')


def draw(dice: random.Random, turn: int, height: int, width: int, clouds):
  """Paints one scene.

  Args:
    dice: All random choices but the noise.
    turn: Position in the split: which rare class is certain.
    height: Rows of the picture.
    width: Columns.
    clouds: uint8[height, width] smooth noise for the sky.

  Returns:
    (canvas, camera).
  """
  camera = Camera(
    focal=height * dice.uniform(1.55, 1.9),
    u0=width * dice.uniform(0.42, 0.58),
    v0=height * dice.uniform(0.40, 0.47),
    eye=dice.uniform(1.3, 1.65),
    bend=dice.choice((0.0, 0.0, dice.uniform(-0.0016, 0.0016))),
    roll=dice.uniform(-0.012, 0.012),
  )
  exposure, warmth = dice.uniform(0.72, 1.08), dice.uniform(-0.06, 0.06)
  sunny = dice.random() < 0.6
  light = Light(
    gain=(exposure * (1 + warmth), exposure, exposure * (1 - warmth)),
    sun=dice.uniform(0.5, 1.0) * dice.choice((-1, 1)),
    contrast=dice.uniform(0.25, 0.45) if sunny else dice.uniform(0.05, 0.15),
    haze=tuple(exposure * c for c in (214, 220, 226)),
    density=dice.uniform(0.002, 0.007),
  )
  canvas = Canvas(height, width)
  stage = Stage(canvas, camera, light, dice)
  small = ('motorcycle', 'bicycle', 'wall', 'fence')  # these cover little
  rare = {RARE[turn % len(RARE)], dice.choice(RARE), dice.choice(small)}
  layout = _layout(dice, rare)

  items = _sides(stage, layout, rare)
  items += _things(stage, layout, rare)

  ground.sky(stage, clouds)
  blocks.skyline(stage, layout.left - 4, layout.right + 4)
  ground.ground(stage, layout)
  _shadows(stage, layout, items, sunny)
  for item in sorted(items, key=lambda item: -item.depth):
    if in_view(camera, item.foot, width):
      item.draw()
  if dice.random() < 0.35:
    ground.bonnet(stage)
  return canvas, camera


def _layout(dice: random.Random, rare: set[str]) -> Layout:
  lane = dice.uniform(3.0, 3.5)
  middle = -lane * dice.uniform(0.45, 0.6)
  tracks = middle - 1.7 if 'train' in rare or dice.random() < 0.1 else None
  left = middle - dice.choice((1, 1, 2)) * lane - dice.uniform(0.3, 2.2)
  if tracks is not None:
    left = min(left, middle - 2 * lane)
  return Layout(
    left=left,
    right=lane * 0.5 + dice.choice((0, 0, 1)) * lane + dice.uniform(0.3, 2.4),
    walks=(dice.uniform(2.5, 4.5), dice.uniform(2.5, 4.5)),
    verges=tuple(
      dice.uniform(2.0, 3.8) if dice.random() < 0.6 else 0.0 for _ in '12'
    ),
    grass=tuple(
      dice.uniform(2.0, 6.0) if dice.random() < 0.5 else 0.0 for _ in '12'
    ),
    middle=middle,
    lane=lane,
    tracks=tracks,
  )


def _sides(stage: Stage, layout: Layout, rare: set[str]) -> list[Item]:
  """The rows of houses, walls, fences and parks, left and right."""
  dice = stage.dice
  items = []
  wanted = [name for name in ('wall', 'fence') if name in rare]
  kinds, weights = ('house', 'wall', 'fence', 'park'), (50, 15, 15, 20)
  for side in dice.choice(((-1, 1), (1, -1))):
    x = layout.behind(side)
    near, first = dice.uniform(1.5, 3.0), True
    while near < 105:
      far = near + (dice.uniform(3, 8) if first else dice.uniform(7, 20))
      kind = dice.choices(kinds, weights)[0]
      if wanted and not first:
        kind, far = wanted.pop(), near + dice.uniform(12, 20)
      back = x + side * dice.uniform(0.0, 0.6)
      if kind == 'house':
        items.append(_block(blocks.house, stage, side, back, near, far))
      else:
        if dice.random() < 0.6 or kind == 'park':
          deep = x + side * dice.uniform(4, 9)
          items.append(_block(blocks.hedge, stage, side, deep, near, far, 0.2))
        for _ in range(dice.randint(1, 2)):
          items.append(_tree(stage, x + side * dice.uniform(1.5, 4), near, far))
        if kind != 'park':
          paint = blocks.barrier if kind == 'wall' else blocks.fence
          items.append(_block(paint, stage, side, x, near, far))
      near, first = far, False
  for side in (-1, 1):
    if dice.random() < 0.5:  # an avenue
      x = layout.walk(side)[1] - side * 0.4
      for near in range(9, 40, dice.choice((9, 12, 15))):
        items.append(_tree(stage, x, near, near + 3.0))
  return items


def _block(paint, stage, side, x, near, far, behind=0.0) -> Item:
  return Item(far + behind, functools.partial(paint, stage, side, x, near, far))


def _tree(stage: Stage, x: float, near: float, far: float) -> Item:
  z = stage.dice.uniform(max(near, 4.5), max(far, 5.0))
  foot = (x - 0.5, x + 0.5, z - 0.5, z + 0.5)
  return Item(z, functools.partial(blocks.tree, stage, x, z), foot)


def _things(stage: Stage, layout: Layout, rare: set[str]) -> list[Item]:
  """Everything that moves, parks or stands at the kerb."""
  dice = stage.dice
  street = Street(stage)
  place = street.place
  theirs = layout.middle - layout.lane / 2
  parked = (layout.left + 1.1, layout.right - 1.0)

  if 'train' in rare:
    x = layout.tracks
    place(vehicles.tram, (x, x), (9, 17), (26, 2.6), dice.random() < 0.5)
    theirs = layout.left + 1.5
  big = {'truck': vehicles.truck, 'bus': vehicles.bus}
  for name, paint in big.items():
    if name in rare:
      where = dice.randrange(3)
      if where == 0:  # ahead, in our lane
        place(paint, (-0.2, 0.5), (10, 18), (10, 2.5), False)
      elif where == 1 and 'train' not in rare:
        place(paint, (theirs - 0.3, theirs), (8, 17), (10, 2.5), True)
      else:
        x = parked[1] - 0.2
        place(paint, (x - 0.2, x + 0.2), (8, 15), (10, 2.5), False)
  for name, paint in (
    ('bicycle', figures.bicycle),
    ('motorcycle', figures.motorcycle),
  ):
    if name in rare or dice.random() < 0.2:
      squeeze = dice.choice((1, -1)) * dice.choice((0.95, 0.8, 0.45))
      low, high = layout.left + 0.8, layout.right - 0.5
      place(paint, (low, high), (4.8, 8.0), (1.0, 1.6), squeeze, True)
    if name in rare or dice.random() < 0.25:
      side = dice.choice((-1, 1))
      x = layout.walk(side)[0] + side * 0.7
      for _ in range(dice.randint(1, 3)):
        squeeze = dice.choice((1, -1)) * dice.uniform(0.75, 1.0)
        place(paint, (x - 0.3, x + 0.9), (5.5, 10), (0.8, 1.7), squeeze, False)

  for _ in range(dice.randint(1, 3)):
    place(vehicles.car, (-0.3, 0.4), (9, 40), (4.6, 1.9), False)
  for _ in range(dice.randint(0, 3)):
    place(vehicles.car, (theirs - 0.3, theirs + 0.2), (8, 45), (4.6, 1.9), True)
  for side, x in zip((-1, 1), parked):
    if dice.random() < 0.6:
      for _ in range(dice.randint(1, 5)):
        place(vehicles.car, (x - 0.1, x + 0.1), (6, 40), (4.6, 1.9), side < 0)

  for side in (-1, 1):
    edge, (start, end) = layout.edge(side), layout.walk(side)
    kerb = sorted((edge + side * 0.35, edge + side * 0.55))
    if dice.random() < 0.85:
      place(furniture.traffic_light, kerb, (7.5, 13), (0.3, 0.4), side)
    for _ in range(dice.randint(0, 2)):
      place(furniture.sign, kerb, (7, 14), (0.3, 0.4), side)
    for near in range(dice.randint(6, 12), 34, dice.choice((12, 16, 20))):
      place(furniture.lamp, kerb, (near, near + 2), (0.3, 0.3), side)
    inside = sorted((start + side * 0.6, end - side * 0.3))
    for _ in range(dice.randint(1, 4)):
      place(figures.person, inside, (5.0, 14), (0.5, 0.6))
    if dice.random() < 0.3:
      place(furniture.bin_, inside, (6, 16), (0.6, 0.7))
  for _ in range(dice.choice((0, 0, 1, 2))):  # crossing the road
    low, high = layout.left + 0.5, layout.right - 0.5
    place(figures.person, (low, high), (6, 14), (0.5, 0.6))
  return street.items


def _shadows(stage: Stage, layout: Layout, items: list[Item], sunny: bool):
  """Darkens the ground under things and, in the sun, beside them."""
  canvas, dice = stage.canvas, stage.dice
  bright = np.full(canvas.owner.shape, 255, np.uint8)
  reach = -stage.light.sun * dice.uniform(0.8, 1.8) if sunny else 0.0
  side = 1 if stage.light.sun > 0 else -1
  shade = dice.randint(140, 165) if sunny else 235
  fixed = []
  if sunny and dice.random() < 0.7:  # of the houses on the sunny side
    x = layout.behind(side)
    fixed.append(ground.ribbon(stage, x, x - side * dice.uniform(2.5, 7.0)))
  for item in items:
    if item.foot and item.depth < 60:
      a, b, near, far = item.foot
      far = min(far, near + 12)
      z = (near, far)
      if sunny:
        cast = (min(a, a + reach), max(b, b + reach))
        fixed.append(stage.floor(cast, z))
  for polygon in fixed:
    _darken(bright, polygon, shade)
  for item in items:
    if item.foot and item.depth < 60:
      a, b, near, far = item.foot
      low = (a - 0.1, b + 0.1)
      _darken(bright, stage.floor(low, (near - 0.15, far)), 88)
  names = [thing.name for thing in canvas.things]
  flat = np.array([n in ('road', 'sidewalk', 'terrain') for n in names])
  rows = slice(max(int(stage.camera.v0 * 0.8), 0), None)  # no ground above
  bright = np.where(flat[canvas.owner[rows]], bright[rows], np.uint8(255))
  # Whole numbers: OpenCV's scaled product rounds by the machine's float units.
  product = canvas.image[rows].astype(np.uint16) * bright[..., None]
  canvas.image[rows] = (product + product // 256 + 1) >> 8


def _darken(bright: np.ndarray, polygon: np.ndarray, value: int):
  cv2.fillPoly(bright, fixed(polygon), value, cv2.LINE_AA, SHIFT)
