"""Poles and what hangs on them: lamps, traffic lights, signs; also bins."""

from deeplax.data.scenes.stage import Stage, mix, times

_STEEL = ((150, 156, 160), (132, 138, 144), (166, 168, 168))


def _pole(stage: Stage, x: float, z: float, height: float, thick: float):
  canvas, light = stage.canvas, stage.light
  board = stage.camera.board(x, z)
  number = canvas.new('pole', 'z', z)
  steel = light(stage.choice(_STEEL), z)
  a, b = board((0, 0), (0, height))
  canvas.stroke(number, a, b, thick * board.scale_b, steel)
  if thick * board.scale_b > 2.5:  # the side away from the sun
    off = -0.28 * thick * light.sun
    a, b = board((off, 0), (off, height))
    canvas.stroke(None, a, b, thick * 0.4 * board.scale_b, times(steel, 0.72))
  return board, number, steel


def lamp(stage: Stage, x: float, z: float, side: int):
  """A street lamp whose arm reaches over the road."""
  canvas, dice = stage.canvas, stage.dice
  height = dice.uniform(5.5, 8.0)
  board, number, steel = _pole(stage, x, z, height, 0.3)
  start, end = board((0, height - 0.1), (-side * 1.6, height + 0.25))
  canvas.stroke(number, start, end, 0.16 * board.scale_b, steel)
  head = board((-side * 1.9, height + 0.25))[0]
  canvas.disc(
    number,
    head,
    (0.42 * board.scale_b, 0.14 * board.scale_b),
    times(steel, 0.8),
  )


def traffic_light(stage: Stage, x: float, z: float, side: int):
  """A light at the kerb, sometimes a second one over the road."""
  dice = stage.dice
  height = dice.uniform(2.5, 3.1)
  lit = dice.randrange(3)
  high = dice.random() < 0.4
  board, number, steel = _pole(stage, x, z, 5.8 if high else height + 0.4, 0.3)
  _housing(stage, board, z, 0.0, height, lit)
  if high:
    reach = -side * dice.uniform(1.8, 2.8)
    start, end = board((0, 5.7), (reach, 5.7))
    stage.canvas.stroke(number, start, end, 0.18 * board.scale_b, steel)
    _housing(stage, board, z, reach, 4.9, lit)


def _housing(stage: Stage, board, z: float, a: float, b: float, lit: int):
  canvas, light = stage.canvas, stage.light
  number = canvas.new('traffic light', 'z', z)
  frame = board(
    (a - 0.34, b), (a - 0.34, b + 1.4), (a + 0.34, b + 1.4), (a + 0.34, b)
  )
  canvas.fill(number, frame, light((20, 22, 24), z))
  radius = 0.2 * board.scale_b
  on = ((255, 44, 36), (255, 190, 30), (40, 240, 130))
  off = ((84, 26, 26), (84, 68, 24), (22, 72, 44))
  for k in range(3):
    centre = board((a, b + 1.18 - 0.46 * k))[0]
    canvas.disc(None, centre, (radius, radius), (on if k == lit else off)[k])


def sign(stage: Stage, x: float, z: float, side: int):
  """A traffic sign on its pole, or a direction board."""
  canvas, light, dice = stage.canvas, stage.light, stage.dice
  kind = dice.choice(('round', 'blue', 'triangle', 'board', 'yellow'))
  height = dice.uniform(2.1, 2.8)
  board, _, _ = _pole(stage, x, z, height + 0.4, 0.26)
  number = canvas.new('traffic sign', 'z', z)
  red, white = light((212, 24, 34), z), light((240, 240, 236), z)
  blue = light((24, 84, 196), z)
  centre = height + 0.45
  scale = board.scale_b
  middle = board((0, centre))[0]
  if kind == 'board':
    a = -side * 0.5
    b = height
    rim = board((a - 1.3, b), (a - 1.3, b + 1.3), (a + 1.3, b + 1.3),
                (a + 1.3, b))  # fmt: skip
    canvas.fill(number, rim, blue)
    for low in (0.25, 0.75):
      line = board((a - 1.0, b + low), (a - 1.0, b + low + 0.22),
                   (a + 0.7, b + low + 0.22), (a + 0.7, b + low))  # fmt: skip
      canvas.paint(line, white)
  elif kind == 'triangle':
    outer = board((-0.58, centre - 0.4), (0.58, centre - 0.4),
                  (0.0, centre + 0.58))  # fmt: skip
    canvas.fill(number, outer, red)
    inner = board((-0.3, centre - 0.22), (0.3, centre - 0.22),
                  (0.0, centre + 0.3))  # fmt: skip
    canvas.paint(inner, white)
  elif kind == 'yellow':
    outer = board((0, centre - 0.6), (0.6, centre), (0, centre + 0.6),
                  (-0.6, centre))  # fmt: skip
    canvas.fill(number, outer, white)
    inner = board((0, centre - 0.42), (0.42, centre), (0, centre + 0.42),
                  (-0.42, centre))  # fmt: skip
    canvas.paint(inner, light((250, 200, 20), z))
  else:
    rim, face = (red, white) if kind == 'round' else (white, blue)
    canvas.disc(number, middle, (0.52 * scale, 0.52 * scale), rim)
    canvas.disc(None, middle, (0.36 * scale, 0.36 * scale), face)


def bin_(stage: Stage, x: float, z: float):
  """A litter bin: static clutter, void in the labels."""
  canvas, light = stage.canvas, stage.light
  board = stage.camera.board(x, z)
  number = canvas.new('static', 'z', z)
  body = light(
    mix(stage.choice(((96, 84, 70), (84, 92, 88))), (0, 0, 0), 0.2), z
  )
  canvas.fill(
    number,
    board((-0.3, 0), (-0.34, 0.95), (0.34, 0.95), (0.3, 0)),
    body,
  )
  canvas.paint(
    board((-0.36, 0.88), (-0.36, 1.0), (0.36, 1.0), (0.36, 0.88)),
    times(body, 0.7),
  )
