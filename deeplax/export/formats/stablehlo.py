"""StableHLO, as `jax.export` keeps it: one file for CPU, GPU and TPU.

It is promised to be read by versions of JAX that are half a year younger.
"""

import pathlib
from collections.abc import Callable

import jax
import numpy as np
from jax import export

from deeplax import atomic
from deeplax.export.program import Program

NEEDS = {'jax': 'jax'}
RUNTIME = 'jax'
FILE = 'model.stablehlo'
DYNAMIC_BATCH = True
PLATFORMS = ('cpu', 'cuda', 'tpu')
USE = """from jax import export

model = export.deserialize(bytearray(open('model.stablehlo', 'rb').read()))
labels = model.call(images)['labels']"""


def write(program: Program, path: pathlib.Path) -> None:
  """Writes `model.stablehlo`, the same bytes each time."""
  shape = program.shape
  if program.dynamic_batch:
    shape = export.symbolic_shape('b, _, _, _', like=shape)
  exported = export.export(jax.jit(program.function), platforms=PLATFORMS)(
    jax.ShapeDtypeStruct(shape, np.uint8)
  )
  atomic.write(path, exported.serialize())


def load(
  path: pathlib.Path,
) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
  """The file as a function of uint8[B, H, W, 3]."""
  call = jax.jit(export.deserialize(bytearray(path.read_bytes())).call)
  return lambda images: jax.tree.map(np.asarray, call(images))
