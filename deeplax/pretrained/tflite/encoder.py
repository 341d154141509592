"""Finds MobileNetV2 in the layers of a `.tflite` file, by structure alone."""

import dataclasses
from typing import NamedTuple

from deeplax.errors import WeightsError
from deeplax.models import atrous
from deeplax.models.encoders.mobilenet_v2 import ROWS, VARIANTS, Variant
from deeplax.pretrained.tflite.graph import Graph
from deeplax.pretrained.tflite.nodes import Conv, Node

_UNITS = sum(units for rows in ROWS for _, _, units, _ in rows)
_EARLY = 2  # the unit, from 0, whose features the decoder may read


@dataclasses.dataclass(frozen=True)
class Unit:
  """An inverted residual.

  Attributes:
    expand: None in the first.
    depthwise: The 3x3.
    project: The 1x1 behind it.
    result: `project`, or its sum with the unit's input.
  """

  expand: Conv | None
  depthwise: Conv
  project: Conv
  result: Node


@dataclasses.dataclass(frozen=True)
class Encoder:
  """What was found.

  Attributes:
    root: First convolution.
    units: In order, 17.
    last: 1x1 to 1280 channels, None without.
  """

  root: Conv
  units: list[Unit]
  last: Conv | None

  @property
  def result(self) -> Node:
    """The last features."""
    return self.last or self.units[-1].result

  @property
  def early(self) -> tuple[Node, Node]:
    """Features at stride 4: depthwise ones, and the unit's."""
    return self.units[_EARLY].depthwise, self.units[_EARLY].result

  @property
  def output_stride(self) -> int:
    """Of the last features, as the file runs."""
    stride = self.root.stride
    for unit in self.units:
      stride *= unit.depthwise.stride
    return stride

  def convs(self) -> dict[str, Conv]:
    """By our path."""
    found = {'encoder/stage1/root': self.root}
    units = iter(self.units)
    for n, rows in enumerate(ROWS, 1):
      for i in range(sum(row[2] for row in rows)):
        unit, path = next(units), f'encoder/stage{n}/unit{i + 1}'
        if unit.expand:
          found[f'{path}/expand'] = unit.expand
        found[f'{path}/depthwise'] = unit.depthwise
        found[f'{path}/project'] = unit.project
    if self.last:
      found['encoder/stage5/last'] = self.last
    return found

  def channels(self) -> tuple[int, ...]:
    """Of the root and of every unit's result."""
    return tuple(c.features for c in (self.root, *self.projects()))

  def projects(self) -> list[Conv]:
    """Last convolution of every unit."""
    return [unit.project for unit in self.units]

  def variants(self, *, last: bool = True) -> list[str]:
    """Names of ours that have its channels; `last=False`: without the last."""
    features = self.last.features if self.last and last else None
    return [
      name
      for name, variant in VARIANTS.items()
      if _channels(variant) == self.channels() and variant.last == features
    ]

  def steps(self) -> list['Step']:
    """What every unit does to the features."""
    return [
      Step(u.depthwise.stride, u.depthwise.rate, u.result is not u.project)
      for u in self.units
    ]

  def expected_steps(self, variant: Variant) -> list['Step']:
    """The same of a variant of ours, at the file's output stride."""
    inputs = self.channels()
    plan = atrous.plan((2,) * 5, self.output_stride)
    expected = []
    for rows, stage in zip(ROWS, plan):
      for _, _, units, nominal in rows:
        for i in range(units):
          strided = nominal == 2 and i == 0
          early = strided and variant.style != 'smp'
          n = len(expected)
          step = Step(
            stride=stage.stride if strided else 1,
            rate=stage.rate_in if early else stage.rate,
            sums=not strided and inputs[n] == inputs[n + 1],
          )
          expected.append(step)
    return expected


class Step(NamedTuple):
  """Of a unit's depthwise layer, and whether the unit adds its input."""

  stride: int
  rate: int
  sums: bool

  def __str__(self) -> str:
    sums = 'with' if self.sums else 'without'
    return f'stride {self.stride}, rate {self.rate} and {sums} a sum'


def _channels(variant: Variant) -> tuple[int, ...]:
  nominal = [32]
  for rows in ROWS:
    for _, channels, units, _ in rows:
      nominal += [channels] * units
  return tuple(map(variant.channels, nominal))


def find(graph: Graph) -> Encoder:
  """Finds the encoder.

  Raises:
    WeightsError: There is another, or none.
  """
  roots = [n for n in graph.input.users if isinstance(n, Conv)]
  if len(roots) != 1 or roots[0].size != 3 or roots[0].depthwise:
    raise _other(graph, roots[0] if roots else graph.input, 'a 3x3 convolution')
  root = roots[0]
  x, units = root, []
  while len(units) < _UNITS:
    unit = _unit(x, first=not units)
    if unit is None:
      raise _other(graph, x, f'unit {len(units) + 1} of {_UNITS}')
    units.append(unit)
    x = unit.result
  encoder = Encoder(root, units, _last(x))
  if encoder.output_stride not in atrous.OUTPUT_STRIDES:
    raise WeightsError(
      f'{graph.name}: the output stride of the encoder, at '
      f'{encoder.result.tensor!r}, is {encoder.output_stride}, expected one of '
      f'{atrous.OUTPUT_STRIDES}.'
    )
  return encoder


def _unit(x: Node, *, first: bool) -> Unit | None:
  """The unit that reads `x`: its depthwise layer tells it from a head."""
  expands = [None] if first else _points(x)
  for expand in expands:
    # Without the 1x1 the sum reads the same features.
    users = [n for n in (expand or x).users if expand or n.kind != 'add']
    depthwise = users[0] if len(users) == 1 else None
    if not (isinstance(depthwise, Conv) and depthwise.depthwise):
      continue
    # A decoder may read the depthwise result, too, with a ReLU behind.
    projects = [c for c in _points(depthwise) if c.activation == 'none']
    if len(projects) != 1 or depthwise.size != 3:
      continue
    (project,) = projects
    sums = [
      n for n in project.users
      if n.kind == 'add' and len(n.inputs) == 2 and x in n.inputs
    ]  # fmt: skip
    return Unit(expand, depthwise, project, sums[0] if sums else project)
  return None


def _points(x: Node) -> list[Conv]:
  return [n for n in x.users if isinstance(n, Conv) and n.is_point()]


def _last(x: Node) -> Conv | None:
  """A 1x1 of no head: all that reads `x`, and wider than a head's branch."""
  if len(x.users) != 1 or not _points(x):
    return None
  (point,) = _points(x)
  known = {variant.last for variant in VARIANTS.values()}
  relu = point.activation != 'none'
  return point if relu and point.features in known - {None} else None


def _other(graph: Graph, node: Node, expected: str) -> WeightsError:
  return WeightsError(
    f'{graph.name} does not hold MobileNetV2, the one encoder that is read '
    f'from .tflite files: expected {expected} at {node.tensor!r}, found '
    f'{", ".join(map(str, node.users)) or "nothing"} behind it.'
  )
