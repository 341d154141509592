"""TensorFlow Lite (LiteRT): one file for telephones and small computers.

In float32, or with weights and features as whole numbers of 8 bits, whose
ranges are found on calibration pictures.
"""

import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from deeplax import atomic
from deeplax.data.errors import DataError
from deeplax.errors import RunError, UserError
from deeplax.export.formats import _tensorflow
from deeplax.export.program import INPUT, Program
from deeplax.export.quiet import quiet

NEEDS = {**_tensorflow.NEEDS, 'ai_edge_litert': 'ai-edge-litert'}
RUNTIME = 'ai_edge_litert'
FILE = 'model.tflite'
DYNAMIC_BATCH = False
USE = """from ai_edge_litert.interpreter import Interpreter

model = Interpreter('model.tflite').get_signature_runner()
labels = model(image=images)['labels']"""


def write(program: Program, path: pathlib.Path) -> None:
  """Writes `model.tflite` in float32."""
  _convert(program, path, {})


def write_int8(
  program: Program,
  path: pathlib.Path,
  calibration: Callable[[], Iterator[np.ndarray]],
) -> None:
  """Writes `model.tflite` in 8 bits; what has no such kernel stays in float."""
  tf = _tensorflow.import_tensorflow()
  options = dict(
    optimizations=[tf.lite.Optimize.DEFAULT],
    representative_dataset=lambda: ([images] for images in calibration()),
  )
  _convert(program, path, options)


def _convert(program: Program, path: pathlib.Path, options: dict[str, Any]):
  tf = _tensorflow.import_tensorflow()
  module = _tensorflow.as_module(program, ('cpu',))
  function = module.segment.get_concrete_function()
  converter = tf.lite.TFLiteConverter.from_concrete_functions(
    [function], module
  )
  for key, value in options.items():
    setattr(converter, key, value)
  try:
    with quiet():
      content = converter.convert()
  except (UserError, DataError, MemoryError):
    raise
  except Exception as error:  # the converter raises many kinds
    # After the places of each line that led there, a page each; or no word.
    reasons = re.findall(r'error: (.+)', str(error)) or [repr(error)]
    form, advice = 'form', 'Export it'
    if options:
      form, advice = 'form in 8 bits', 'Leave out --int8, or export it'
    raise RunError(
      f'TensorFlow Lite has no {form} of this network ({reasons[0][:300]}). '
      f'{advice} as stablehlo, saved_model or onnx.'
    ) from error
  atomic.write(path, content)


def load(
  path: pathlib.Path,
) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
  """The file as a function of uint8[1, H, W, 3]."""
  from ai_edge_litert.interpreter import Interpreter

  with quiet():
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    run = interpreter.get_signature_runner()
  return lambda images: run(**{INPUT: images})
