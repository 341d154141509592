"""ResNet and ASPP written again in numpy, from a tree of weights."""

import numpy as np

from tests.ops import reference


def conv_bn(x, params, stats, stride=1, rate=1, relu=True):
  """`conv`, `bn` below one name."""
  x = reference.conv(x, params['conv']['kernel'], stride, rate)
  x = x + params['conv'].get('bias', 0)
  return norm(x, params['bn'], stats['bn'], relu)


def norm(x, params, stats, relu=True):
  x = reference.batch_norm(
    x, params['scale'], params['bias'], stats['mean'], stats['var']
  )
  return np.maximum(x, 0) if relu else x


def unit(x, params, stats, strides, rates):
  """A residual unit; stride and rate of each of its convolutions."""
  y, last = x, len(strides)
  for n, (stride, rate) in enumerate(zip(strides, rates), start=1):
    y = reference.conv(y, params[f'conv{n}']['kernel'], stride, rate)
    y = norm(y, params[f'bn{n}'], stats[f'bn{n}'], relu=n < last)
  stride = int(np.prod(strides))
  if 'shortcut' in params:
    x = conv_bn(x, params['shortcut'], stats['shortcut'], stride, relu=False)
  else:
    x = x[:, ::stride, ::stride]
  return np.maximum(x + y, 0), y


def resnet(x, params, stats, strides, rates):
  """The encoder; strides and rates by stage, unit and convolution.

  Returns:
    Endpoints, and the residual branches of the first stage of units.
  """
  endpoints = {}
  for n in range(1, len(params['stage1']) // 2 + 1):
    root, stride = params['stage1'], 2 if n == 1 else 1
    x = reference.conv(x, root[f'conv{n}']['kernel'], stride)
    x = norm(x, root[f'bn{n}'], stats['stage1'][f'bn{n}'])
  endpoints['stage1'] = x
  x = reference.max_pool(x)
  early = []
  for s in range(2, 6):
    for u, (unit_strides, unit_rates) in enumerate(
      zip(strides[s - 2], rates[s - 2]), start=1
    ):
      path = (f'stage{s}', f'unit{u}')
      x, branch = unit(
        x,
        params[path[0]][path[1]],
        stats[path[0]][path[1]],
        unit_strides,
        unit_rates,
      )
      if s == 2:
        early.append(branch)
    endpoints[f'stage{s}'] = x
  return endpoints, early


def aspp(x, params, stats, rates):
  """The head without dropout."""
  pyramid, running = params['aspp'], stats['aspp']
  branches = [conv_bn(x, pyramid['branch0'], running['branch0'])]
  for i, rate in enumerate(rates, start=1):
    name = f'branch{i}'
    branches.append(conv_bn(x, pyramid[name], running[name], rate=rate))
  if 'image_pooling' in pyramid:
    y = x.mean((1, 2), keepdims=True)
    y = conv_bn(y, pyramid['image_pooling'], running['image_pooling'])
    branches.append(np.broadcast_to(y, branches[0].shape))
  x = np.concatenate(branches, axis=-1)
  return conv_bn(x, params['project'], stats['project'])
