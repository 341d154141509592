"""What the sources with PyTorch's files share: reading, names, layouts."""

import argparse
import functools
import io
import pathlib
import pickletools
import re
import zipfile
from collections.abc import Callable, Sequence

import numpy as np

from deeplax.errors import WeightsError
from deeplax.pretrained.filling import File, Found

# Pattern of our module's path -> PyTorch's name of the module: a template for
# `re.Match.expand`, or a function of the match.
Rules = Sequence[tuple[str, str | Callable[[re.Match], str]]]

LEFT_OUT = (
  (
    r'.*num_batches_tracked|n_averaged',
    'a counter of PyTorch, not used for anything',
  ),
  (
    r'(loss|loss_fn|criterion)\..*',
    'of the loss it was trained with, no part of the network',
  ),
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
_DEEPEST = 8
# Wrappers of modules: DistributedDataParallel, Lightning, torch.compile.
_PREFIXES = r'((module|model|_orig_mod)\.)+'


def read(path: pathlib.Path) -> File:
  """Reads `.safetensors`, or anything `torch.save` wrote.

  The latter by PyTorch itself, which must be installed, with
  `weights_only=True`: it refuses whatever is more than tensors, numbers, text
  and the arguments of a command line.

  Raises:
    WeightsError: The file is not there, is damaged, holds something else, or
      needs PyTorch.
  """
  if not path.is_file():
    raise WeightsError(f'there is no file {path}.')
  if _is_safetensors(path):
    tensors = _read_safetensors(path)
  else:
    tensors = _read_torch(path)
  arrays = {}
  for name, array in tensors.items():
    short = re.sub(rf'^{_PREFIXES}', '', name)
    if short in arrays:
      raise WeightsError(
        f'{path.name} has {short} twice, as {name} too: it holds more than one '
        'network. Save the state_dict of one.'
      )
    arrays[short] = array
  return File(path.name, arrays, LEFT_OUT)


def _is_safetensors(path) -> bool:
  """By what is in the file, whose name may be another's."""
  with path.open('rb') as file:
    start = file.read(9)
  if start[8:] == b'{':  # eight bytes of length, and JSON
    return True
  of_torch = start.startswith((b'PK', b'\x80'))  # a zip archive, or a pickle
  return path.suffix == '.safetensors' and not of_torch


def _read_safetensors(path):
  import safetensors
  import safetensors.numpy

  try:
    return safetensors.numpy.load_file(path)
  except (safetensors.SafetensorError, OSError) as error:
    raise WeightsError(
      f'{path} is no whole .safetensors file ({error}). Copy it again.'
    ) from error
  # Of eight-bit floats, and of more axes than an array may have.
  except (KeyError, AttributeError, TypeError, ValueError) as error:
    raise WeightsError(
      f'{path} has a tensor that numpy does not have ({error}). Expected '
      'arrays of float32, float16 or bfloat16.'
    ) from error


def _read_torch(path):
  try:
    import torch
    from torch.serialization import safe_globals
  except ImportError as error:
    raise WeightsError(
      f'{path.name} is read by PyTorch 2.5 or newer, which is not installed: '
      'pip install torch (the build for CPUs will do), or give a .safetensors '
      'file.'
    ) from error

  try:
    # The scripts of torchvision and timm save theirs: names and values alone.
    with _opened(path) as file, safe_globals([argparse.Namespace]):
      tree = torch.load(file, map_location='cpu', weights_only=True)
  except Exception as error:  # damaged bytes lead the unpickler anywhere
    raise WeightsError(
      f'{path} holds no weights, or more than weights, or is cut short '
      f'({_reason(error)}). Expected what torch.save(model.state_dict(), ...) '
      'writes.'
    ) from error
  if not isinstance(tree, dict):
    raise WeightsError(
      f'{path} holds a {type(tree).__name__}, expected a state_dict.'
    )
  tree = _unwrapped(tree)
  tensors = {
    k: v
    for k, v in tree.items()
    if isinstance(k, str) and isinstance(v, torch.Tensor)
  }
  if not tensors:
    keys = ', '.join(str(key) for key in [*tree][:8])
    raise WeightsError(
      f'{path} holds no tensors, but {keys or "nothing"}. Expected a '
      f'state_dict, as it is or under one of {", ".join(_WRAPPERS)}.'
    )
  return {name: _to_numpy(path, name, v) for name, v in tensors.items()}


def _opened(path) -> io.BufferedIOBase:
  """The file, if it can't grow in memory beyond what it is on the disk.

  Raises:
    ValueError, zipfile.BadZipFile: It is packed.
  """
  with path.open('rb') as file:
    packed = file.read(4) == b'PK\3\4'  # as PyTorch tells them apart
  if not packed:
    # The old format says how much to read, before which a file takes memory
    # for all of it; bytes that are there give what there is.
    content = io.BytesIO(path.read_bytes())
    _check_storages(content)
    content.seek(0)
    return content
  with zipfile.ZipFile(path) as archive:
    unpacked = sum(entry.file_size for entry in archive.infolist())
  if unpacked > path.stat().st_size:
    raise ValueError(
      f'it would unpack to {unpacked} bytes, where torch.save packs nothing'
    )
  return path.open('rb')


def _check_storages(content: io.BytesIO) -> None:
  """Raises a ValueError for an array larger than all of an old file.

  It is four pickles and then numbers; the last of the four tells of arrays, in
  tuples that end in their sizes. They are read as a list of instructions.
  """
  size, numbers = len(content.getbuffer()), []
  for _ in range(4):
    if content.tell() == size:
      return
    for code, argument, _ in pickletools.genops(content):
      if code.name == 'MARK':
        numbers = []
      elif isinstance(argument, int):
        numbers.append(argument)
      elif code.name == 'BINPERSID' and max(numbers, default=0) > size:
        raise ValueError(f'an array of {max(numbers)} in {size} bytes')


def _reason(error: Exception) -> str:
  """What PyTorch says, less its advice to read the file without care."""
  words = ' '.join(str(error).split())
  match = re.search(r'GLOBAL ([\w.]+)', words)
  if match:
    return f'it has a {match[1]}, which is not read: it may hold code'
  words = words.partition(' In PyTorch 2.6, we changed')[0]
  return f'{type(error).__name__}: {words[:200]}'


def _unwrapped(tree):
  """The innermost of dicts like `{'epoch': 3, 'state_dict': {...}}`."""
  for _ in range(_DEEPEST):  # a dict of a file may hold itself
    inner = [tree[k] for k in _WRAPPERS if isinstance(tree.get(k), dict)]
    if not inner:
      break
    tree = inner[0]
  return tree


def _to_numpy(path, name, tensor) -> np.ndarray:
  needed = tensor.numel() * tensor.element_size()
  if needed > path.stat().st_size:  # one number, repeated without end
    raise WeightsError(
      f'{path}: {name} has the shape {tuple(tensor.shape)}, and the whole file '
      f'{path.stat().st_size} bytes. It is damaged; copy it again.'
    )
  try:
    if tensor.is_floating_point() and tensor.element_size() < 4:
      tensor = tensor.float()  # numpy does not have all of these
    return tensor.detach().numpy()
  except (RuntimeError, TypeError, NotImplementedError) as error:
    raise WeightsError(
      f'{path}: {name} is no plain array of numbers ({tensor.dtype}, '
      f'{tensor.layout}, {tensor.device}). Expected the weights before they '
      'were quantised.'
    ) from error


def find(path: str, rules: Rules) -> Found | None:
  """What becomes our `path`, by the first rule that matches its module.

  A pattern matches the whole path of a module without its collection, such as
  `encoder/stage2/unit1/conv1`.
  """
  module, _, leaf = path.partition('/')[2].rpartition('/')
  for pattern, name in rules:
    match = re.fullmatch(pattern, module)
    if match:
      name = name(match) if callable(name) else match.expand(name)
      return found(f'{name}.{_LEAVES[leaf]}', leaf)
  return None


def found(name: str, leaf: str) -> Found:
  """One tensor of PyTorch as our `leaf`."""
  if leaf == 'kernel':
    return Found((name,), lambda x: to_hwio(_floats(name, x)), 'OIHW to HWIO')
  return Found((name,), functools.partial(_floats, name))


def _floats(name: str, array: np.ndarray) -> np.ndarray:
  # bfloat16 is a type of its own, which numpy knows by name only.
  if array.dtype.kind != 'f' and array.dtype.name != 'bfloat16':
    raise WeightsError(
      f'{name} holds numbers of type {array.dtype}, expected floats: weights '
      'before they were quantised.'
    )
  return array


def to_hwio(kernel: np.ndarray) -> np.ndarray:
  """`[O, I, H, W]` to `[H, W, I, O]`; a matrix `[O, I]` to `[1, 1, I, O]`.

  What has other axes stays as it is: its shape will be found wrong.
  """
  if kernel.ndim == 2:
    kernel = kernel[:, :, None, None]
  return kernel.transpose(2, 3, 1, 0) if kernel.ndim == 4 else kernel
