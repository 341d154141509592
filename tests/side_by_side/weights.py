"""Initial weights of SMP's DeepLabV3Plus, drawn by name; without PyTorch."""

import hashlib

import numpy as np

from tests.models import torch_weights
from tests.pretrained import torch_configs

_FILE = 'smp_deeplabv3plus_resnet18'
_LOGITS = 'segmentation_head'


def initial(classes: int, seed: int) -> dict[str, np.ndarray]:
  """Every tensor of the network's state_dict, by PyTorch's name.

  Kernels are uniform with variance 2 / fan_in, all else is what batch norm
  starts with.
  """
  tensors = {}
  for name, shape in torch_configs.shapes(_FILE).items():
    part, _, leaf = name.rpartition('.')
    if part.startswith('classification_head'):
      continue  # of the golden alone
    if part.startswith(_LOGITS):
      shape = (classes, *shape[1:])
    if len(shape) == 4:
      tensor = torch_weights.draw(name, tuple(shape), seed)
    else:
      tensor = np.full(shape, leaf in ('weight', 'running_var'), float)
    counts = leaf == 'num_batches_tracked'
    tensors[name] = np.ascontiguousarray(
      tensor, np.int64 if counts else np.float32
    )
  return tensors


def nudged(
  tensors: dict[str, np.ndarray], size: float, seed: int
) -> dict[str, np.ndarray]:
  """Every kernel's numbers changed by up to `size` of their own."""
  result = dict(tensors)
  for name, tensor in tensors.items():
    if tensor.ndim == 4:
      rng = np.random.default_rng([seed, len(name), tensor.size])
      factor = 1 + size * rng.uniform(-1, 1, tensor.shape)
      result[name] = (tensor * factor).astype(tensor.dtype)
  return result


def digest(arrays: dict[str, np.ndarray]) -> str:
  """Of names and contents: what must not have changed since a golden."""
  total = hashlib.sha256()
  for name, array in sorted(arrays.items()):
    total.update(f'{name} {array.dtype} {array.shape}'.encode())
    total.update(array.tobytes())
  return total.hexdigest()
