"""The same random weights under PyTorch's names and under ours; numpy only.

A draw depends on a seed and on PyTorch's name of the array, so that two
programs that share no process get the same network.
"""

import hashlib
import re

import jax
import numpy as np

from deeplax import models

# Prefixes of our paths -> of PyTorch's names.
_RESNET = (
  (r'encoder/stage1/(conv|bn)(\d)', r'{backbone}\1\2'),
  (
    r'encoder/stage(\d)/unit(\d+)/(conv\d|bn\d)',
    lambda m: f'{{backbone}}layer{int(m[1]) - 1}.{int(m[2]) - 1}.{m[3]}',
  ),
  (
    r'encoder/stage(\d)/unit(\d+)/shortcut/(conv|bn)',
    lambda m: (
      f'{{backbone}}layer{int(m[1]) - 1}.{int(m[2]) - 1}.downsample.'
      f'{int(m[3] == "bn")}'
    ),
  ),
)
_ASPP = (
  (
    r'head/aspp/branch(\d)/(conv|bn)',
    lambda m: f'{{aspp}}convs.{m[1]}.{int(m[2] == "bn")}',
  ),
  (
    r'head/aspp/image_pooling/(conv|bn)',
    lambda m: f'{{aspp}}convs.4.{1 + (m[1] == "bn")}',
  ),
  (
    r'head/project/(conv|bn)',
    lambda m: f'{{aspp}}project.{int(m[1] == "bn")}',
  ),
)
_TORCHVISION = (
  (
    r'head/conv3x3/(conv|bn)',
    lambda m: f'classifier.{1 + (m[1] == "bn")}',
  ),
  (r'logits', 'classifier.4'),
  (
    r'auxiliary/conv1/(conv|bn)',
    lambda m: f'aux_classifier.{int(m[1] == "bn")}',
  ),
  (r'auxiliary/logits', 'aux_classifier.4'),
)
_OWN = (  # of torch_networks.py
  (
    r'decoder/(\w+)/(conv|bn)',
    lambda m: f'{m[1]}.{int(m[2] == "bn")}',
  ),
  (r'logits', 'logits'),
)
NAMES = {
  'classifier': (_RESNET, {'backbone': ''}),  # torchvision.models.resnet*
  'torchvision': (
    _RESNET + _ASPP + _TORCHVISION,
    {'backbone': 'backbone.', 'aspp': 'classifier.0.'},
  ),
  'own': (_RESNET + _ASPP + _OWN, {'backbone': 'backbone.', 'aspp': 'aspp.'}),
}
_LEAVES = {
  'kernel': 'weight',
  'scale': 'weight',
  'bias': 'bias',
  'mean': 'running_mean',
  'var': 'running_var',
}


def torch_name(path: str, names: str) -> str | None:
  """PyTorch's name of `encoder/stage2/unit1/conv1/kernel`, None without one."""
  rules, prefixes = NAMES[names]
  module, _, leaf = path.rpartition('/')
  for pattern, replacement in rules:
    match = re.fullmatch(pattern, module)
    if match:
      if callable(replacement):
        name = replacement(match)
      else:
        name = match.expand(replacement)
      return f'{name.format(**prefixes)}.{_LEAVES[leaf]}'
  return None


def draw(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
  """An array for PyTorch's name and shape: float64.

  Kernels have variance 2 / fan_in, all else is far from what networks start
  with: a layer that forgets its bias or statistics is found out.
  """
  digest = hashlib.sha256(f'{seed} {name}'.encode()).digest()
  # Only `random_raw` of a bit generator is fixed over numpy's versions.
  bits = np.random.PCG64(int.from_bytes(digest[:8], 'little'))
  raw = bits.random_raw(int(np.prod(shape))) >> np.uint64(11)
  uniform = 2 * raw.reshape(shape) * 2.0**-53 - 1
  if name.endswith('running_var'):
    return 1 + 0.5 * uniform
  if len(shape) == 4:
    return uniform * np.sqrt(6 / np.prod(shape[1:]))
  if name.endswith('weight'):
    return 1 + 0.3 * uniform
  return 0.3 * uniform


def ours(
  model, names: str, *, seed: int, dtype: str = 'float32'
) -> tuple[dict, set[str]]:
  """Variables of one of our networks.

  Args:
    model: From `deeplax.models.build`.
    names: Key of `NAMES`.
    seed: Of the draw.
    dtype: Of the arrays.

  Returns:
    `{'params': ..., 'batch_stats': ...}`, with zeros where there is no name,
    and the names that were used.
  """
  used = set()

  def fill(path, leaf):
    path = '/'.join(key.key for key in path[1:])  # less the collection
    name, shape = torch_name(path, names), leaf.shape
    if name is None:
      return np.zeros(shape, dtype)
    used.add(name)
    if len(shape) == 4:
      rows, columns, inputs, outputs = shape
      drawn = draw(name, (outputs, inputs, rows, columns), seed)
      return drawn.transpose(2, 3, 1, 0).astype(dtype)
    return draw(name, shape, seed).astype(dtype)

  shapes = models.abstract_variables(model)
  return jax.tree_util.tree_map_with_path(fill, shapes), used


def picture(height: int, width: int, batch: int = 1) -> np.ndarray:
  """uint8 `[batch, height, width, 3]`, the same for ever."""
  bits = np.random.PCG64(height * 1000 + width)
  raw = bits.random_raw(batch * height * width * 3) >> np.uint64(56)
  return raw.astype(np.uint8).reshape(batch, height, width, 3)
