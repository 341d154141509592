"""Eight CPU devices for the whole suite, set before jax starts."""

import os
import pathlib

os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ['XLA_FLAGS'] = (
  os.environ.get('XLA_FLAGS', '') + ' --xla_force_host_platform_device_count=8'
)

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(scope='session')
def camvid_dir() -> pathlib.Path:
  """The CamVid pictures beside the checkout; they are not part of it."""
  folder = ROOT.parent / 'shared' / 'data' / 'camvid'
  if not folder.is_dir():
    pytest.skip('no CamVid beside the checkout')
  return folder
