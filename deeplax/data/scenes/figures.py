"""People, bicycles, motorcycles and their riders: flat upright figures."""

from deeplax.data.scenes.camera import Board
from deeplax.data.scenes.stage import Stage, times

_SKIN = ((224, 178, 148), (196, 146, 112), (132, 90, 66), (236, 196, 170))
_TOPS = (
  (188, 42, 60),
  (92, 40, 110),
  (176, 60, 110),
  (46, 40, 60),
  (150, 30, 44),
  (120, 52, 84),
)
_TROUSERS = ((42, 44, 62), (58, 62, 88), (72, 60, 56), (34, 34, 38))
_BIKES = ((214, 90, 30), (226, 110, 40), (206, 74, 26))
_MOTORS = ((24, 40, 148), (30, 52, 168), (20, 30, 124))
_VESTS = ((176, 226, 40), (158, 214, 34), (196, 236, 60))


def person(stage: Stage, x: float, z: float):
  canvas, light, dice = stage.canvas, stage.light, stage.dice
  number = canvas.new('person', 'z', z)
  tall = dice.uniform(1.55, 1.9) / 1.8
  board = stage.camera.board(x, z, dice.choice((1.0, 0.85, -1.0, -0.85)))
  board = Board(board.u, board.v, board.scale_a * tall, board.scale_b * tall)
  stride = dice.uniform(0.04, 0.3)
  top = light(stage.choice(_TOPS), z)
  legs = light(stage.choice(_TROUSERS), z)
  skin = light(dice.choice(_SKIN), z)
  wide = dice.uniform(0.22, 0.28)
  for end, shade in ((-stride, 0.8), (stride, 1.0)):
    leg = board((-0.13, 0.9), (0.13, 0.9), (end + 0.11, 0.0), (end - 0.1, 0.0))
    canvas.fill(number, leg, times(legs, shade))
  torso = board(
    (-wide + 0.06, 0.82), (-wide, 1.42), (-0.1, 1.52), (0.1, 1.52),
    (wide, 1.42), (wide - 0.06, 0.82),
  )  # fmt: skip
  canvas.fill(number, torso, top)
  swing = stride * 0.9
  for start, end in ((-wide, -wide - swing), (wide, wide + swing * 0.6)):
    a, b = board((start, 1.38), (end, 0.85))
    canvas.stroke(number, a, b, 0.13 * board.scale_b, times(top, 0.86))
  radius = 0.14 * board.scale_b
  head = board((0.0, 1.65))[0]
  canvas.disc(number, head, (radius * 0.85, radius), skin)
  hair = board((0.0, 1.72))[0]
  canvas.disc(
    None,
    hair,
    (radius * 0.8, radius * 0.6),
    light(dice.choice(((40, 30, 26), (110, 80, 50))), z),
  )


def _wheel(stage: Stage, number: int, board: Board, a: float, r: float,
           rim: float, fill: tuple):  # fmt: skip
  centre = board((a, r))[0]
  radii = (max(abs(board.scale_a) * r, 0.6), board.scale_b * r)
  stage.canvas.disc(number, centre, radii, fill)
  stage.canvas.disc(None, centre, radii, (32, 32, 36), rim * board.scale_b)


def bicycle(stage: Stage, x: float, z: float, squeeze: float, ridden: bool):
  """A bicycle seen from the side (`squeeze` near 1) or along (near 0)."""
  canvas, light, dice = stage.canvas, stage.light, stage.dice
  board = stage.camera.board(x, z, squeeze)
  paint = light(stage.choice(_BIKES), z)
  number = canvas.new('bicycle', 'z', z)
  inner = light((196, 150, 128), z)  # spokes and what shines through
  for a in (-0.52, 0.52):
    _wheel(stage, number, board, a, 0.36, 0.07, inner)
  thick = 0.09 * board.scale_b
  joints = board(
    (-0.52, 0.36), (-0.18, 0.88), (0.4, 0.9), (-0.02, 0.34), (0.52, 0.36),
    (0.42, 1.05), (0.28, 1.08), (-0.22, 0.98),
  )  # fmt: skip
  for i, k in ((0, 1), (1, 2), (2, 3), (3, 0), (3, 1), (2, 4), (2, 5), (5, 6)):
    canvas.stroke(number, joints[i], joints[k], thick, paint)
  seat = joints[7]
  canvas.stroke(
    number,
    (seat[0] - 0.12 * board.scale_b, seat[1]),
    (seat[0] + 0.12 * board.scale_b, seat[1]),
    thick,
    (40, 36, 36),
  )
  if ridden:
    _rider(stage, z, board, dice.choice((0.32, 0.4)), (0.02, 0.34))


def motorcycle(stage: Stage, x: float, z: float, squeeze: float, ridden: bool):
  """A motorcycle, parked or ridden."""
  canvas, light = stage.canvas, stage.light
  board = stage.camera.board(x, z, squeeze)
  paint = light(stage.choice(_MOTORS, 6), z)
  number = canvas.new('motorcycle', 'z', z)
  for a in (-0.72, 0.72):
    _wheel(stage, number, board, a, 0.34, 0.12, light((70, 72, 78), z))
  hull = board(
    (-0.95, 0.82), (-0.4, 0.88), (0.1, 1.08), (0.52, 1.02), (0.72, 0.8),
    (0.45, 0.3), (-0.4, 0.26), (-0.62, 0.6),
  )  # fmt: skip
  canvas.fill(number, hull, paint)
  wide = 0.24 / max(abs(squeeze), 0.3)
  canvas.fill(
    number, board((-wide, 0.3), (-wide, 1.0), (wide, 1.0), (wide, 0.3)), paint
  )
  canvas.paint(
    board((-0.4, 0.26), (-0.3, 0.55), (0.35, 0.58), (0.45, 0.3)),
    light((120, 122, 128), z),
  )
  bar = board((0.42, 1.2), (0.62, 0.9))
  canvas.stroke(number, bar[0], bar[1], 0.12 * board.scale_b, (36, 36, 40))
  lamp = board((0.7, 0.92))[0]
  r = 0.11 * board.scale_b
  canvas.disc(number, lamp, (r, r), (244, 240, 220))
  if ridden:
    _rider(stage, z, board, 0.3, (0.05, 0.38))


def _rider(
  stage: Stage, z: float, board: Board, lean: float, foot: tuple[float, float]
):
  """Sits on a two-wheeler: hips at 0.95 m, helmet above."""
  canvas, light, dice = stage.canvas, stage.light, stage.dice
  number = canvas.new('rider', 'z', z)
  vest = light(stage.choice(_VESTS, 8), z)
  legs = light(stage.choice(((40, 42, 56), (54, 54, 60))), z)
  scale = board.scale_b
  # Shoulders keep their width however the vehicle is turned.
  half = max(0.2 * scale, 0.17 * abs(board.scale_a)) / abs(board.scale_a)
  hip, knee, toe = board((-0.2, 1.0), (0.16, 0.78), foot)
  canvas.stroke(number, hip, knee, 0.24 * scale, legs)
  canvas.stroke(number, knee, toe, 0.19 * scale, times(legs, 0.85))
  chest = lean - 0.12
  back = board(
    (-0.2 - half * 0.8, 0.92), (chest - half, 1.46), (chest + half, 1.5),
    (-0.2 + half * 0.8, 0.92),
  )  # fmt: skip
  canvas.fill(number, back, vest)
  shoulder, hand = board((chest, 1.42), (lean + 0.1, 1.06))
  canvas.stroke(number, shoulder, hand, 0.15 * scale, times(vest, 0.82))
  head = board((lean - 0.06, 1.66))[0]
  radius = 0.16 * scale
  canvas.disc(number, head, (radius * 0.9, radius), light(_SKIN[0], z))
  helmet = dice.choice(((236, 236, 236), (220, 50, 40), (40, 80, 190)))
  canvas.disc(
    None,
    (head[0], head[1] - radius * 0.3),
    (radius * 0.9, radius * 0.72),
    light(helmet, z),
  )
