"""What a `.tflite` file does to the pixels before its first convolution."""

import numpy as np

from deeplax.errors import WeightsError
from deeplax.models import norms
from deeplax.pretrained.tflite.graph import Graph


def find(graph: Graph, input_norm: str) -> tuple[str, str]:
  """What the graph does to its pixels, as `input_norm` of `config.model`.

  Args:
    graph: The file's layers.
    input_norm: The config's own.

  Returns:
    Two values: what the config must have, its own where that is next to the
    file's, for quantised files are half a step off what they were trained
    with; and what gives the file's answers to the digit. Its own for both
    where the file does not say.

  Raises:
    WeightsError: It is no multiplication by positive numbers.
  """
  picture = graph.input
  if not picture.changed:
    return input_norm, input_norm
  if not (picture.scale > 0).all() or picture.scale.size not in (1, 3):
    raise WeightsError(
      f'{graph.name}: {picture.tensor!r} is multiplied by '
      f'{picture.scale.tolist()}, expected one or three positive numbers.'
    )
  scale, shift = (
    np.broadcast_to(v, (3,)).astype(float)
    for v in (picture.scale, picture.shift)
  )
  own = norms.parse(input_norm)
  scales = [scale]
  if not picture.unit:  # it may also take 0..1
    scales.append(scale / 255)
    if scale.max() > 1:
      scales.reverse()
  near = min(scales, key=lambda s: _distance(s, shift, own))
  distance = _distance(near, shift, own)
  if distance < 1e-3:
    return input_norm, input_norm
  if distance < 0.03:
    return input_norm, _name(near, shift)
  known = [s for s in scales if '/' not in _name(s, shift)]
  exact = _name((known or scales)[0], shift)
  return exact, exact


def _name(scale, shift) -> str:
  """A name if there is one, or numbers."""
  for name, norm in norms.NORMS.items():
    if _distance(scale, shift, norm) < 1e-3:
      return name
  return _numbers(scale, shift)


def _distance(scale, shift, norm) -> float:
  """How far pixels of 0 and 255 are apart, of the spread between the two."""
  mean, deviation = map(np.array, norm)
  ends = np.array([[0.0], [255.0]])
  off = scale * ends + shift - (ends - mean) / deviation
  return float(np.max(np.abs(off) * deviation / 255))


def _numbers(scale, shift) -> str:
  """`input_norm` in numbers."""
  parts = []
  for values in (-shift / scale, 1 / scale):
    texts = [f'{v:.6g}' for v in values + 0.0]  # no -0
    parts.append(texts[0] if len({*texts}) == 1 else ','.join(texts))
  return '/'.join(parts)
