"""Whether a `.tflite` file holds the network of a config; if not, how."""

import logging
from typing import Any

import numpy as np

from deeplax.errors import WeightsError
from deeplax.models.encoders.mobilenet_v2 import VARIANTS
from deeplax.models.options import Options
from deeplax.pretrained.differences import differing, flags, words
from deeplax.pretrained.tflite import normalisation
from deeplax.pretrained.tflite.graph import Graph
from deeplax.pretrained.tflite.network import Network

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
  wanted = {'encoder': 'mobilenet_v2'}
  wanted |= _activations(graph, network, options, whole)
  wanted['variant'] = _variant(graph, network, options, whole)
  wanted['input_norm'], exact_norm = normalisation.find(
    graph, options.input_norm
  )
  paddings = _paddings(graph, network)
  if whole:
    keys = {k: v for k, v in network.keys.items() if k not in _APART}
    wanted |= keys | _window(network, options)
    if options.padding not in paddings:
      wanted['padding'] = paddings[0]
    wanted |= _grid(graph, network)
  elif options.padding not in paddings:
    log.warning(
      '%s was trained with padding=%s, this config has %s',
      graph.name, paddings[0], options.padding,
    )  # fmt: skip
  exact = {'input_norm': exact_norm}
  if whole:
    exact['output_stride'] = network.encoder.output_stride
  _compare(graph.name, options, wanted, exact)
  parts = list(network.convs)
  if not whole:
    parts = [path for path in parts if path.startswith('encoder/')]
  if VARIANTS[options.variant].last is None:
    parts = [path for path in parts if path != 'encoder/stage5/last']
  return parts


def _compare(name, options, wanted: dict, exact: dict) -> None:
  """Raises where the config differs from `wanted`; says what is not `exact`."""
  wanted = differing(options, wanted)
  exact = differing(options, exact)
  exact = {k: v for k, v in exact.items() if k not in wanted}
  more = f'{flags(exact)} to run it as it is' if exact else ''
  if wanted:
    raise WeightsError(
      f'{name} holds another network than config.model: '
      f'{words(options, wanted)}' + (f' (and {more})' if more else '')
    )
  if more:  # another stride is a choice, half a step in every pixel hardly
    level = logging.WARNING if 'input_norm' in exact else logging.INFO
    log.log(level, '%s is taken. Give %s', name, more)


def _variant(graph, network, options, whole: bool) -> str:
  """The variant that the file is; the config's own where that fits, too."""
  encoder = network.encoder
  names = encoder.variants()
  if whole:
    low = network.keys.get('low_level')
    if low:
      styled = low == 'unit'
      names = [n for n in names if bool(VARIANTS[n].style) == styled]
    names = _of_steps(graph, encoder, names)
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


def _of_steps(graph, encoder, names: list[str]) -> list[str]:
  """Those whose units have the file's strides, rates and sums."""
  found = encoder.steps()
  expected = {n: encoder.expected_steps(VARIANTS[n]) for n in names}
  fitting = [n for n in names if expected[n] == found]
  if names and not fitting:
    n, (theirs, ours) = next(
      (n, pair)
      for n, pair in enumerate(zip(found, expected[names[0]]))
      if pair[0] != pair[1]
    )
    raise WeightsError(
      f'{graph.name}: the unit of {encoder.units[n].depthwise.tensor!r} is of '
      f'{theirs}, expected {ours} in an encoder of output stride '
      f'{encoder.output_stride}: no variant of mobilenet_v2 here gives the '
      'same features.'
    )
  return fitting


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


def _grid(graph, network) -> dict[str, bool]:
  """The keys of the grid that everything is upsampled on, if it is one."""
  grids = {grid: name for name, grid in network.grids.items()}
  if len(grids) > 1:
    log.warning(
      '%s upsamples on several grids, %s; here it is one for all',
      graph.name, ', '.join(f'{name} on {g}' for g, name in grids.items()),
    )  # fmt: skip
  if len(grids) != 1:
    return {}
  (grid,) = grids
  if grid == 'corners':
    return {'align_corners': True}
  return {
    'align_corners': False,
    'half_pixel_centers': grid == 'half_pixel',
  }


def _activations(graph, network, options, whole: bool) -> dict[str, bool]:
  """Checks what follows every convolution; the key that says it for the head.

  Only layers that are taken are looked at.
  """
  wrong, found = [], {}
  for path, conv in network.convs.items():
    expected = ('relu', 'relu6', 'below6')
    if path.startswith('encoder/'):
      expected = ('relu6', 'below6')
      if path.endswith('/project'):
        expected = ('none',)
    elif path == 'logits' or not whole:
      continue
    elif _is_bare(path, network):
      expected = ('none',)
    else:
      found.setdefault(conv.activation, conv.tensor)
    if conv.activation not in expected:
      wrong.append(
        f'{conv.activation} behind {conv.tensor!r}, not {expected[0]}'
      )
  if wrong:
    raise WeightsError(
      f'{graph.name} is no network of ours: {"; ".join(wrong[:4])}.'
    )
  if {'relu', 'relu6'} <= {*found}:
    log.warning(
      '%s caps %s at 6 and not %s; here it is one for head and decoder '
      '(bounded_activation=%s): answers differ where something exceeds 6',
      graph.name, found['relu6'], found['relu'], options.bounded_activation,
    )  # fmt: skip
    return {}
  if {'relu', 'relu6'} & {*found}:
    return {'bounded_activation': 'relu6' in found}
  return {}


def _is_bare(path: str, network: Network) -> bool:
  bare = not network.keys.get('separable_inner_bn', True)
  return bare and path.endswith('/depthwise')
