"""Line charts and a reliability diagram, as SVG in the page's colours."""

import dataclasses
import math
from collections.abc import Callable, Sequence

from deeplax.report.markup import text

_WIDTH, _HEIGHT = 440, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 12, 44
COLOURS = 8  # of series, in page.css


@dataclasses.dataclass(frozen=True)
class Series:
  """A line.

  Attributes:
    name: Plain text.
    points: (x, y); where y is NaN the line is broken.
    colour: Number of the colour.
    level: A y that is drawn across, for comparison; None: none.
  """

  name: str
  points: Sequence[tuple[float, float]]
  colour: int
  level: float | None = None


@dataclasses.dataclass(frozen=True)
class Axis:
  """Where numbers lie between `low` and `high`, and which are written.

  Attributes:
    low, high: The ends.
    ticks: (value, what is written there).
    title: Plain text.
    scale: Applied before.
  """

  low: float
  high: float
  ticks: Sequence[tuple[float, str]]
  title: str
  scale: Callable[[float], float] = float

  def part(self, value: float) -> float:
    """0 at the low end, 1 at the high one."""
    low, high = self.scale(self.low), self.scale(self.high)
    return (self.scale(value) - low) / (high - low)


def percent_axis(values: Sequence[float], title: str) -> Axis:
  """An axis of shares with round ends that hold all the values."""
  values = [v for v in values if not math.isnan(v)] or [0.0, 1.0]
  low, high = min(values), max(values)
  step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2) if high - low <= 5 * s)
  first = math.floor(low / step + 1e-9)
  last = max(math.ceil(high / step - 1e-9), first + 1)
  ticks = [(i * step, f'{100 * i * step:.0f}') for i in range(first, last + 1)]
  return Axis(first * step, last * step, ticks, title)


def lines(label: str, series: Sequence[Series], x: Axis, y: Axis) -> str:
  """A line chart; `label` says what it shows to who can't see it."""
  parts = [_frame(x, y)]
  for line in series:
    colour = f'style="--c:var(--c{line.colour % COLOURS})"'
    if line.level is not None and not math.isnan(line.level):
      height = _y(y, line.level)
      parts.append(
        f'<path class="level" {colour} d="M{_LEFT} {height:.1f}'
        f'H{_WIDTH - _RIGHT}"><title>{text(line.name)}, all pixels: '
        f'{100 * line.level:.1f} %</title></path>'
      )
    drawn = [(a, b) for a, b in line.points if not math.isnan(b)]
    steps, pen_down = [], False
    for a, b in line.points:
      if math.isnan(b):
        pen_down = False
        continue
      steps.append(f'{"L" if pen_down else "M"}{_x(x, a):.1f} {_y(y, b):.1f}')
      pen_down = True
    parts.append(f'<path class="line" {colour} d="{"".join(steps)}"/>')
    marked = {value for value, _ in x.ticks}
    for a, b in drawn:
      if a in marked or len(drawn) <= 20:
        parts.append(
          f'<circle {colour} cx="{_x(x, a):.1f}" cy="{_y(y, b):.1f}" r="3.5">'
          f'<title>{text(line.name)}, {a:.3g}: {100 * b:.1f} %</title></circle>'
        )
  return _svg(label, parts)


def reliability(
  label: str, accuracy: Sequence[float], confidence: Sequence[float]
) -> str:
  """Bars of accuracy by bin of confidence, and what they lack or have over."""
  quarters = [(i / 4, f'{25 * i}') for i in range(5)]
  x = Axis(0, 1, quarters, 'confidence, %')
  y = Axis(0, 1, quarters, 'accuracy, %')
  parts = [_frame(x, y)]
  width = (_WIDTH - _LEFT - _RIGHT) / len(accuracy)
  for i, (right, said) in enumerate(zip(accuracy, confidence)):
    if math.isnan(right):
      continue
    left = _LEFT + i * width + 1
    words = f'says {100 * said:.1f} %, is right {100 * right:.1f} %'
    for kind, low, high in (
      ('is', 0, right),
      ('gap', min(right, said), max(right, said)),
    ):
      parts.append(
        f'<rect class="{kind}" x="{left:.1f}" y="{_y(y, high):.1f}" '
        f'width="{width - 2:.1f}" height="{_y(y, low) - _y(y, high):.1f}">'
        f'<title>{words}</title></rect>'
      )
  parts.append(diagonal())
  return _svg(label, parts)


def diagonal() -> str:
  """From corner to corner."""
  return (
    f'<path class="level" d="M{_LEFT} {_HEIGHT - _BOTTOM}'
    f'L{_WIDTH - _RIGHT} {_TOP}"/>'
  )


def legend(series: Sequence[Series]) -> str:
  """The names of the lines, in their colours."""
  return (
    '<p class="legend">'
    + ''.join(
      f'<span><i class="swatch" style="background:var(--c'
      f'{s.colour % COLOURS})"></i>{text(s.name)}</span>'
      for s in series
    )
    + '</p>'
  )


def _x(axis: Axis, value: float) -> float:
  return _LEFT + axis.part(value) * (_WIDTH - _LEFT - _RIGHT)


def _y(axis: Axis, value: float) -> float:
  return _HEIGHT - _BOTTOM - axis.part(value) * (_HEIGHT - _TOP - _BOTTOM)


def _frame(x, y):
  parts = []
  for value, words in y.ticks:
    at = _y(y, value)
    parts.append(
      f'<path class="grid" d="M{_LEFT} {at:.1f}H{_WIDTH - _RIGHT}"/>'
      f'<text class="end" x="{_LEFT - 6}" y="{at + 4:.1f}">{words}</text>'
    )
  for value, words in x.ticks:
    parts.append(
      f'<text class="middle" x="{_x(x, value):.1f}" '
      f'y="{_HEIGHT - _BOTTOM + 18}">{words}</text>'
    )
  middle = (_LEFT + _WIDTH - _RIGHT) / 2
  parts.append(
    f'<text class="middle title" x="{middle}" y="{_HEIGHT - 6}">'
    f'{text(x.title)}</text>'
    f'<text class="middle title" transform="translate(12 '
    f'{(_TOP + _HEIGHT - _BOTTOM) / 2}) rotate(-90)">{text(y.title)}</text>'
  )
  return ''.join(parts)


def _svg(label, parts):
  return (
    f'<svg role="img" aria-label="{text(label)}" '
    f'viewBox="0 0 {_WIDTH} {_HEIGHT}">{"".join(parts)}</svg>'
  )
