"""Weights drawn by TensorFlow's names, and a picture; numpy only."""

import hashlib

import numpy as np


def draw(name: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
  """An array for TensorFlow's name and shape: float32.

  Kernels have variance 1 / fan_in; all else is far from what networks start
  with: a layer that forgets its bias or statistics is found out.
  """
  digest = hashlib.sha256(f'{seed} {name}'.encode()).digest()
  # Only `random_raw` of a bit generator is fixed over numpy's versions.
  bits = np.random.PCG64(int.from_bytes(digest[:8], 'little'))
  raw = bits.random_raw(int(np.prod(shape))) >> np.uint64(11)
  uniform = 2 * raw.reshape(shape) * 2.0**-53 - 1
  leaf = name.rpartition('/')[2]
  if leaf == 'moving_variance':
    drawn = 1 + 0.5 * uniform
  elif leaf == 'gamma':
    drawn = 1 + 0.3 * uniform
  elif leaf.endswith('weights'):
    inputs = shape[:2] if leaf.startswith('depthwise') else shape[:-1]
    drawn = uniform * np.sqrt(3 / np.prod(inputs))
  else:
    drawn = 0.3 * uniform
  return drawn.astype(np.float32)


def picture(height: int, width: int) -> np.ndarray:
  """uint8 `[1, height, width, 3]`, the same for ever."""
  bits = np.random.PCG64(height * 1000 + width)
  raw = bits.random_raw(height * width * 3) >> np.uint64(56)
  return raw.astype(np.uint8).reshape(1, height, width, 3)
