"""What the sources with PyTorch's files share: reading, names, layouts."""

import pathlib
import re
from collections.abc import Callable, Sequence

import numpy as np

from deeplax.errors import WeightsError
from deeplax.pretrained.filling import File, Found

# Pattern of our module's path -> PyTorch's name of the module.
Rules = Sequence[tuple[str, str | Callable[[re.Match], str]]]

LEFT_OUT = (
  (r'.*num_batches_tracked', 'a counter of PyTorch, not used for anything'),
)
_LEAVES = {
  'kernel': 'weight',
  'scale': 'weight',
  'bias': 'bias',
  'mean': 'running_mean',
  'var': 'running_var',
}
# What a training script may have wrapped the weights in.
_WRAPPERS = ('state_dict', 'model_state_dict', 'model_state', 'model')


def read(path: pathlib.Path, left_out: Sequence[tuple[str, str]] = ()) -> File:
  """Reads `.safetensors`, or anything `torch.save` wrote.

  The latter by PyTorch itself, which must be installed, with
  `weights_only=True`: it refuses whatever is more than tensors.

  Raises:
    WeightsError: The file is damaged, holds something else, or needs PyTorch.
  """
  if path.suffix == '.safetensors':
    tensors = _read_safetensors(path)
  else:
    tensors = _read_torch(path)
  names = [
    n.removeprefix('module.') for n in tensors
  ]  # DistributedDataParallel
  arrays = dict(zip(names, tensors.values()))
  return File(path.name, arrays, (*left_out, *LEFT_OUT))


def _read_safetensors(path):
  import safetensors
  import safetensors.numpy

  try:
    return safetensors.numpy.load_file(path)
  except (safetensors.SafetensorError, OSError, KeyError, TypeError) as error:
    raise WeightsError(
      f'{path} is no whole .safetensors file ({error}). Copy it again.'
    ) from error


def _read_torch(path):
  try:
    import torch
  except ImportError as error:
    raise WeightsError(
      f'{path.name} is read by PyTorch, which is not installed: pip install '
      'torch (the build for CPUs will do), or give a .safetensors file.'
    ) from error
  import pickle

  try:
    tree = torch.load(path, map_location='cpu', weights_only=True)
  except (pickle.UnpicklingError, RuntimeError, EOFError, OSError,
          ValueError, KeyError) as error:  # fmt: skip
    reason = ' '.join(str(error).split())[:200]
    raise WeightsError(
      f'{path} holds no weights, or more than weights, or is cut short '
      f'({reason}). Expected a state_dict, written by torch.save.'
    ) from error
  for key in _WRAPPERS:
    if isinstance(tree, dict) and isinstance(tree.get(key), dict):
      tree = tree[key]
  if not isinstance(tree, dict):
    raise WeightsError(
      f'{path} holds a {type(tree).__name__}, expected a state_dict.'
    )
  tensors = {k: v for k, v in tree.items() if isinstance(v, torch.Tensor)}
  if not tensors:
    raise WeightsError(f'{path} holds no tensors, expected a state_dict.')
  return {
    k: (v.float() if v.dtype == torch.bfloat16 else v).numpy()
    for k, v in tensors.items()
  }


def finder(rules: Rules) -> Callable[[str, File], Found | None]:
  """`find` of a source whose modules are named by rules.

  A rule is a pattern for the whole path of one of our modules, such as
  `encoder/stage(\\d)/unit(\\d+)/conv1`, and PyTorch's name of that module: a
  template for `re.Match.expand`, or a function of the match.
  """

  def find(path: str, file: File) -> Found | None:
    del file
    module, _, leaf = path.partition('/')[2].rpartition('/')
    for pattern, name in rules:
      match = re.fullmatch(pattern, module)
      if match:
        name = name(match) if callable(name) else match.expand(name)
        return found(f'{name}.{_LEAVES[leaf]}', leaf)
    return None

  return find


def found(name: str, leaf: str) -> Found:
  """One tensor of PyTorch as our `leaf`."""
  if leaf == 'kernel':
    return Found((name,), to_hwio, 'OIHW to HWIO')
  return Found((name,), np.asarray)


def to_hwio(kernel: np.ndarray) -> np.ndarray:
  """`[O, I, H, W]` to `[H, W, I, O]`; a matrix `[O, I]` to `[1, 1, I, O]`."""
  if kernel.ndim == 2:
    kernel = kernel[:, :, None, None]
  return kernel.transpose(2, 3, 1, 0)
