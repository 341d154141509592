"""Freed memory stays with the process."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from deeplax import host_memory
if sys.argv[1] == 'keep':
  assert host_memory.keep_freed_memory()
import jax, jax.numpy as jnp

@jax.jit
def step(x):
  return (x @ x.T) @ x  # scratch of 64 MiB

def faults():
  return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

x = jnp.zeros((4096, 8))
for _ in range(3):
  step(x).block_until_ready()
before = faults()
for _ in range(4):
  step(x).block_until_ready()
print((faults() - before) / 4)
"""


@pytest.mark.skipif(
  not sys.platform.startswith('linux'), reason='glibc on Linux only'
)
def test_a_step_finds_its_memory_again():
  clean = {k: v for k, v in os.environ.items() if k != 'XLA_FLAGS'}

  def faults(how):
    done = subprocess.run(
      [sys.executable, '-c', PROGRAM, how],
      env={**clean, 'JAX_PLATFORMS': 'cpu', 'GLIBC_TUNABLES': ''},
      capture_output=True,
      text=True,
      check=True,
    )
    return float(done.stdout)

  kept, left = faults('keep'), faults('leave')
  # What products allocate for themselves is mapped anew in both.
  assert kept < 0.7 * left and left > 1000, (kept, left)


def test_an_accelerator_is_left_alone(monkeypatch):
  from deeplax import host_memory

  monkeypatch.setenv('JAX_PLATFORMS', 'cuda,cpu')
  assert not host_memory.keep_freed_memory()
