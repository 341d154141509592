"""Eight CPU devices for the whole suite, set before jax starts.

Compiled programs are kept, since many tests run the same small networks, in
processes of their own too.
"""

import contextlib
import os
import pathlib
import tempfile

os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ['XLA_FLAGS'] = (
  os.environ.get('XLA_FLAGS', '') + ' --xla_force_host_platform_device_count=8'
)
os.environ.setdefault(
  'JAX_COMPILATION_CACHE_DIR',
  str(pathlib.Path(tempfile.gettempdir()) / f'deeplax-xla-{os.getuid()}'),
)
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0.5')

import pytest

# Of PyTorch's CUDA builds; loaded after TensorFlow it ends the process.
with contextlib.suppress(ImportError):
  import triton  # noqa: F401

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(scope='module')
def small_network():
  """Makes `tests/small_encoder` known to the tests of a file."""
  from tests import small_encoder

  with small_encoder.known():
    yield


@pytest.fixture(scope='session')
def camvid_dir() -> pathlib.Path:
  """The CamVid pictures beside the checkout; they are not part of it."""
  folder = ROOT.parent / 'shared' / 'data' / 'camvid'
  if not folder.is_dir():
    pytest.skip('no CamVid beside the checkout')
  return folder
