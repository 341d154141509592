"""ONNX, for onnxruntime and most other runtimes."""

import pathlib
from collections.abc import Callable

import jax
import numpy as np

from deeplax import atomic
from deeplax.export.program import INPUT, Program

NEEDS = {'onnx': 'onnx', 'onnxruntime': 'onnxruntime'}
RUNTIME = 'onnxruntime'
FILE = 'model.onnx'
DYNAMIC_BATCH = True
USE = """import onnxruntime

model = onnxruntime.InferenceSession('model.onnx')
(labels,) = model.run(['labels'], {'image': images})"""


def write(program: Program, path: pathlib.Path) -> None:
  """Writes `model.onnx`."""
  from deeplax.export.onnx import convert

  model = convert(
    program.function,
    jax.ShapeDtypeStruct((1, *program.size, 3), np.uint8),
    input_name=INPUT,
    dynamic_batch=program.dynamic_batch,
  )
  atomic.write(path, model.SerializeToString(deterministic=True))


def load(
  path: pathlib.Path,
) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
  """The file as a function of uint8[B, H, W, 3]."""
  import onnxruntime

  session = onnxruntime.InferenceSession(
    str(path), providers=['CPUExecutionProvider']
  )
  names = [output.name for output in session.get_outputs()]
  return lambda images: dict(zip(names, session.run(names, {INPUT: images})))
