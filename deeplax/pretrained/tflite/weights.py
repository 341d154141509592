"""The arrays of our network, out of the layers of a `.tflite` file."""

from collections.abc import Iterable

import numpy as np

from deeplax.models.options import Options
from deeplax.pretrained.filling import Found
from deeplax.pretrained.tflite.network import Network
from deeplax.pretrained.tflite.nodes import Conv

_FOLDED = 'folded batch norm put back as identity'


def founds(
  network: Network, parts: Iterable[str], options: Options
) -> dict[str, Found]:
  """Where every array comes from.

  Args:
    network: Of the file.
    parts: Paths of `network.convs` that are wanted.
    options: What ours is built with.

  Returns:
    By path, such as `params/encoder/stage1/root/conv/kernel`.
  """
  found = {}
  for path in parts:
    conv, order = network.convs[path], network.orders.get(path)
    epsilon = options.style.bn_epsilon
    if path.startswith('encoder/'):
      epsilon = options.encoder_style.bn_epsilon
    bare = path.endswith('/depthwise') and not path.startswith('encoder/')
    if path == 'logits':
      found |= _scores(path, conv)
    elif bare and not options.separable_inner_bn:
      found |= _kernel(f'{path}/kernel', conv, order, scaled=True)
    else:
      found |= _kernel(f'{path}/conv/kernel', conv, order)
      found |= _batch_norm(path, conv, order, epsilon)
  return found


def _found(array, names, change) -> Found:
  return Found(tuple(names), lambda *_: array, change)


def _kernel(path, conv: Conv, order, *, scaled: bool = False):
  array, changes = conv.kernel.array, []
  if conv.op == 'DEPTHWISE_CONV_2D':
    changes.append('1HWC to HW1C')
  else:
    changes.append('OHWI to HWIO')
  if conv.kernel.quantised:
    changes.append('dequantised')
  names = list(conv.kernel.names)
  if scaled and conv.normalised:
    array = array * conv.scale
    names += conv.shift_names
    changes.append('times what multiplied its result')
  if order is not None:
    array = array[..., order] if conv.depthwise else array[:, :, order]
    changes.append('channels in the order of our concatenation')
  return {f'params/{path}': _found(array, names, ', '.join(changes))}


def _scores(path, conv: Conv):
  shift = np.broadcast_to(conv.shift, (conv.features,))
  names = conv.shift_names or conv.kernel.names
  return {
    **_kernel(f'{path}/kernel', conv, None, scaled=True),
    f'params/{path}/bias': _found(shift, names, ''),
  }


def _batch_norm(path, conv: Conv, order, epsilon: float):
  """`scale * convolution + shift` as batch norm, in `scale` and `bias`."""
  scale, shift = (
    np.broadcast_to(v, (conv.features,)) for v in (conv.scale, conv.shift)
  )
  if order is not None and conv.depthwise:
    scale, shift = scale[order], shift[order]
  names = conv.shift_names or conv.kernel.names
  words = 'what multiplied and was added' if conv.normalised else _FOLDED
  zeros = np.zeros(conv.features)
  return {
    f'params/{path}/conv/bias': _found(zeros, names, "in batch norm's"),
    f'params/{path}/bn/scale': _found(scale, names, words),
    f'params/{path}/bn/bias': _found(shift, names, words),
    f'batch_stats/{path}/bn/mean': _found(zeros, names, words),
    # scale / sqrt(var + epsilon) is then scale.
    f'batch_stats/{path}/bn/var': _found(1 - epsilon + zeros, names, words),
  }
