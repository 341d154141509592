"""The same random weights under PyTorch's names and under ours; numpy only.

A draw depends on a seed and on PyTorch's name of the array, so that two
programs that share no process get the same network.
"""

import hashlib

import jax
import numpy as np

from deeplax import models
from deeplax.pretrained import pytorch, torchvision

_OWN = (  # of torch_networks.py
  (
    r'decoder/(\w+)/(conv|bn)',
    lambda m: f'{m[1]}.{int(m[2] == "bn")}',
  ),
  (r'logits', 'logits'),
)
NAMES = {
  'classifier': torchvision.resnet(''),  # torchvision.models.resnet*
  'own': (
    *torchvision.resnet('backbone.'),
    *torchvision.aspp('aspp.'),
    *_OWN,
  ),
}


def torch_name(path: str, names: str) -> str | None:
  """PyTorch's name of `encoder/stage2/unit1/conv1/kernel`, None without one."""
  found = pytorch.find(f'params/{path}', NAMES[names])
  return found and found.names[0]


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
