"""Whether a `.tflite` file holds the network of a config; if not, how."""

import logging
from typing import Any

import numpy as np

from deeplax.errors import WeightsError
from deeplax.models.deeplab import NORMS
from deeplax.models.encoders.mobilenet_v2 import VARIANTS
from deeplax.models.options import Options
from deeplax.pretrained.tflite.graph import Graph
from deeplax.pretrained.tflite.network import Network
from deeplax.pretrained.tflite.nodes import Conv

log = logging.getLogger('deeplax')

# Keys of a network that are no keys of `config.model`, or are compared apart.
_APART = ('low_level', 'image_pooling_window')


def check(graph: Graph, network: Network, options: Options) -> list[str]:
  """Compares the file with the network of a config.

  A classifier gives its encoder to any head.

  Args:
    graph: The file's layers.
    network: What they are.
    options: What ours is built with.

  Returns:
    Paths of `network.convs` that the config has a place for.

  Raises:
    WeightsError: They differ in more than the number of classes; says all
      that differs, and the flags that make ours the same.
  """
  whole = 'head' in network.keys and (
    network.keys['head'] != 'global_pool' or options.head == 'global_pool'
  )
  _check_layers(graph, network, whole)
  wanted = {'encoder': 'mobilenet_v2'}
  wanted['variant'] = _variant(graph, network, options, whole)
  norm = _input_norm(graph, options)
  if norm is not None:
    wanted['input_norm'] = norm
  paddings = _paddings(graph, network)
  if whole:
    keys = {k: v for k, v in network.keys.items() if k not in _APART}
    wanted |= keys | _window(network, options)
    if options.padding not in paddings:
      wanted['padding'] = paddings[0]
    wanted |= _align_corners(graph, network, options)
  elif options.padding not in paddings:
    log.warning(
      '%s was trained with padding=%s, this config has %s',
      graph.name, paddings[0], options.padding,
    )  # fmt: skip
  _compare(graph, network, options, wanted)
  parts = list(network.convs)
  if not whole:
    parts = [path for path in parts if path.startswith('encoder/')]
  if VARIANTS[options.variant].last is None:
    parts = [path for path in parts if path != 'encoder/stage5/last']
  return parts


def _compare(graph, network, options, wanted: dict[str, Any]) -> None:
  stride = network.encoder.output_stride
  differing = {
    key: value
    for key, value in wanted.items()
    if getattr(options, key) != value
  }
  if not differing:
    log.info('%s runs at output stride %d', graph.name, stride)
    return
  if options.output_stride != stride:
    differing['output_stride'] = stride
  words = ', '.join(
    f'{key} is {_shown(value)} there and {_shown(getattr(options, key))} here'
    for key, value in differing.items()
  )
  flags = ' '.join(
    f'--config.model.{k}={_flag(v)}' for k, v in differing.items()
  )
  raise WeightsError(
    f'{graph.name} holds another network than config.model: {words}. Give '
    f'{flags}'
  )


def _shown(value) -> str:
  return repr(value) if value == '' or not isinstance(value, str) else value


def _flag(value) -> str:
  return f"'{value}'" if isinstance(value, tuple) else str(value)


def _variant(graph, network, options, whole: bool) -> str:
  """The variant that the file is; the config's own where that fits, too."""
  encoder = network.encoder
  names = encoder.variants()
  if whole:
    low = network.keys.get('low_level')
    if low:
      styled = low == 'unit'
      names = [n for n in names if bool(VARIANTS[n].style) == styled]
    names = [n for n in names if encoder.has_rates_of(VARIANTS[n])] or names
  elif encoder.last:
    names += encoder.variants(last=False)
  if options.encoder == 'mobilenet_v2' and options.variant in names:
    return options.variant
  if not names:
    last = encoder.last.features if encoder.last else 'none'
    low = network.keys.get('low_level', 'none')
    raise WeightsError(
      f'{graph.name}: no variant of mobilenet_v2 has layers of '
      f'{encoder.channels()} channels, a last 1x1 of {last} and early features '
      f'for a decoder from {low}, as {encoder.result.tensor!r} and what is '
      f'before it. There are: {", ".join(VARIANTS)}.'
    )
  return names[0]


def _input_norm(graph: Graph, options: Options) -> str | None:
  """The normalisation that the graph shows, None where it shows none."""
  picture = graph.input
  if not picture.changed:
    return None
  ends = np.array([[0.0], [255.0]])
  candidates = [picture.scale * ends + picture.shift]
  if not picture.unit:  # it may also take 0..1
    candidates.append(picture.scale * ends / 255 + picture.shift)
  distances = {}
  for name, (mean, deviation) in NORMS.items():
    expected = (ends - np.array(mean)) / np.array(deviation)
    spread = expected[1] - expected[0]
    distances[name] = min(
      float(np.max(np.abs(c - expected) / spread)) for c in candidates
    )
  # Whole numbers are half a step off, and means differ by source.
  fitting = [n for n, d in distances.items() if d < 0.03]
  if options.input_norm in fitting:
    return options.input_norm
  if not fitting:
    low, high = (c.round(4).tolist() for c in candidates[0])
    raise WeightsError(
      f'{graph.name}: {picture.tensor!r} becomes {low} to {high}, which is '
      f'none of the input_norm there are: {", ".join(NORMS)}.'
    )
  return min(fitting, key=distances.get)


def _paddings(graph: Graph, network: Network) -> list[str]:
  """Those of 'same' and 'symmetric' that all layers have."""
  left = {'same', 'symmetric'}
  for conv in network.convs.values():
    left &= {*conv.paddings}
    if not left:
      raise WeightsError(
        f'{graph.name}: the padding of {conv.tensor!r} is neither symmetric '
        "nor TensorFlow's SAME, or other than that of the layers before."
      )
  return sorted(left)


def _window(network: Network, options: Options) -> dict[str, Any]:
  """The window of image pooling, where ours would see another."""
  if not network.keys.get('image_pooling'):
    return {}
  window = network.keys['image_pooling_window']
  stride, ours = network.encoder.output_stride, options.image_pooling_window
  size = network.encoder.result.shape[1:3]

  def features(pixels, axis):
    n = -(-pixels[axis] // stride) if pixels else np.inf
    return min(n, size[axis] or np.inf)

  if all(features(window, axis) == features(ours, axis) for axis in (0, 1)):
    return {}
  return {'image_pooling_window': window}


def _align_corners(graph, network, options) -> dict[str, bool]:
  grids = {grid: name for name, grid in network.grids.items()}
  if 'legacy' in grids:
    log.warning(
      "%s upsamples %s on TensorFlow 1's grid, which there is not here: "
      'answers are shifted by up to half a pixel of the features',
      graph.name, grids['legacy'],
    )  # fmt: skip
  if {'corners', 'half_pixel'} <= {*grids}:
    log.warning(
      '%s upsamples %s with align_corners, %s without; here it is one for all',
      graph.name, grids['corners'], grids['half_pixel'],
    )  # fmt: skip
    return {}
  for grid, aligned in (('corners', True), ('half_pixel', False)):
    if grid in grids:
      return {'align_corners': aligned}
  return {}


def _check_layers(graph: Graph, network: Network, whole: bool) -> None:
  """Checks what follows every convolution, of those that are taken."""
  wrong = []
  for path, conv in network.convs.items():
    if path.startswith('encoder/'):
      expected = ('none',) if path.endswith('/project') else ('relu6',)
    elif path == 'logits' or not whole:
      continue
    elif _is_bare(path, network):
      expected = ('none',)
    else:
      expected = ('relu', 'relu6')
    if conv.activation not in expected:
      wrong.append(
        f'{conv.activation} behind {conv.tensor!r}, not {expected[0]}'
      )
    elif conv.activation == 'relu6' and expected[0] == 'relu':
      _warn_of_cap(graph, conv)
  if wrong:
    raise WeightsError(
      f'{graph.name} is no network of ours: {"; ".join(wrong[:4])}.'
    )


def _is_bare(path: str, network: Network) -> bool:
  bare = not network.keys.get('separable_inner_bn', True)
  return bare and path.endswith('/depthwise')


def _warn_of_cap(graph: Graph, conv: Conv) -> None:
  log.warning(
    '%s caps %s at 6; ours does not, and gives other answers where it '
    'exceeds 6', graph.name, conv.tensor,
  )  # fmt: skip
