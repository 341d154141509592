"""Arrays of Keras' HDF5 files, read by a process of its own.

The library crashes on some damaged files and never comes back from others; a
child may do both. It is this very file, run as a program: it imports nothing of
ours, and gives back its arrays as `.safetensors`.
"""

import io
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import zipfile

import numpy as np

_BN = ('gamma', 'beta', 'moving_mean', 'moving_variance')
_SECONDS = 5  # of the processor, and one more for every 20 MB
_ROOM = 1 << 30  # bytes of memory beyond three times the file


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
  """All arrays of a file as `layer/kernel`.

  Raises:
    OSError: There is no such file.
    ValueError: It is damaged, or holds other things than arrays of numbers.
  """
  import safetensors.numpy

  seconds = _SECONDS + path.stat().st_size // 20_000_000
  with tempfile.TemporaryDirectory() as folder:
    result = os.path.join(folder, 'arrays')
    done = subprocess.run(
      # -P: the modules beside this one are named like libraries.
      [sys.executable, '-P', __file__, str(path), result, str(seconds)],
      capture_output=True,
      check=False,
    )
    if done.returncode < 0:
      raise ValueError(
        f'reading it took too long, or ended by signal {-done.returncode}'
      )
    if done.returncode:
      lines = done.stderr.decode(errors='replace').split('\n')
      raise ValueError(' '.join(lines)[-300:].strip())
    return safetensors.numpy.load_file(result)


def _main(path: pathlib.Path, result: str, seconds: int) -> None:
  import h5py
  import safetensors.numpy

  size = path.stat().st_size
  resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
  if sys.platform == 'linux':
    pages = int(pathlib.Path('/proc/self/statm').read_text().split()[0])
    limit = pages * resource.getpagesize() + 3 * size + _ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
  data = path
  if path.suffix == '.keras':
    with zipfile.ZipFile(path) as archive:
      entry = archive.getinfo('model.weights.h5')
      if entry.file_size > size:
        raise ValueError(
          f'{entry.filename} would unpack to {entry.file_size} bytes, where '
          'Keras packs nothing'
        )
      data = io.BytesIO(archive.read(entry))
  with h5py.File(data, 'r') as h5:
    safetensors.numpy.save_file(_tensors(h5, size), result)


def _tensors(h5, size: int) -> dict[str, np.ndarray]:
  """All arrays as `layer/kernel`, whichever version wrote them.

  Raises:
    ValueError: One that `size` bytes can't hold, or that is in another file.
  """
  root = h5.get('model_weights', h5)
  found, left = {}, size

  def visit(path, item):
    if not hasattr(item, 'shape') or path.startswith('optimizer'):
      return
    *parents, leaf = path.split('/')
    if parents and parents[-1] == 'vars':  # Keras 3: numbered, named beside
      layer = item.parent.attrs.get('name')
      if layer is None:
        return
      if not isinstance(layer, str):
        layer = layer.decode()
      leaf = _leaf(leaf, item)
    else:
      layer = parents[-1] if parents else ''
      leaf = _plain(leaf)
    found[f'{layer}/{leaf}'] = take(item)

  def take(item):
    nonlocal left
    if item.external or item.is_virtual:
      raise ValueError(f'{item.name} is stored in another file')
    left -= item.nbytes
    if item.dtype.kind not in 'fiub' or left < 0:
      raise ValueError(
        f'{item.name} is {item.dtype}{list(item.shape)} in {size} bytes'
      )
    array = np.asarray(item)
    return array.astype(array.dtype.newbyteorder('='))

  root.visititems(visit)
  return found


def _leaf(number: str, item) -> str:
  """What a numbered array of Keras 3 is."""
  if len(item.parent) == len(_BN) and number.isdecimal():
    return _BN[int(number)]
  return {'0': 'kernel', '1': 'bias'}.get(number, number)


def _plain(leaf: str) -> str:
  """`kernel` of `kernel:0`, `depthwise_kernel:0` or `block1_conv1_W_1:0`."""
  leaf = leaf.partition(':')[0]
  if leaf == 'depthwise_kernel' or re.fullmatch(r'.+_W(_\d+)?', leaf):
    return 'kernel'
  return 'bias' if re.fullmatch(r'.+_b(_\d+)?', leaf) else leaf


if __name__ == '__main__':
  try:
    _main(pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
  except Exception as error:  # what damaged bytes lead to is not documented
    sys.exit(ascii(f'{type(error).__name__}: {error}')[1:-1])
