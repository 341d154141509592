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
counts = []
for _ in range(12):
  before = faults()
  step(x).block_until_ready()
  counts.append(faults() - before)
print(min(counts))
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
    return int(done.stdout)

  kept, left = faults('keep'), faults('leave')
  # The fewest of a step: another thread's small piece may lie in the hole that
  # a step has left, and the next step then grows the heap.
  assert kept < 0.5 * left and left > 1000, (kept, left)


def test_an_accelerator_is_left_alone(monkeypatch):
  from deeplax import host_memory

  monkeypatch.setenv('JAX_PLATFORMS', 'cuda,cpu')
  assert not host_memory.keep_freed_memory()
