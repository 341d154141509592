"""What reads weights of others; see `readers`."""

import functools
import pathlib

import numpy as np

from tests.fuzz import mutate, seeds
from tests.fuzz.readers import Reader

# What the real files are.
_DEEPLAB = dict(
  encoder='mobilenet_v2',
  variant='0.5',
  output_stride=8,
  atrous_rates=(),
  decoder='none',
  align_corners=True,
  input_norm='symmetric',
  encoder_bn_epsilon=1e-3,
)
_CLASSIFIER = _DEEPLAB | dict(
  variant='1.0_1280', output_stride=32, head='global_pool', padding='same'
)
del _CLASSIFIER['atrous_rates'], _CLASSIFIER['align_corners']


def _check(file) -> None:
  for name, array in file.tensors.items():
    assert isinstance(name, str) and isinstance(array, np.ndarray)
    assert array.dtype.kind in 'fiub' or array.dtype.name == 'bfloat16', (
      array.dtype
    )


def read_by(source: str):
  def read(path: pathlib.Path) -> None:
    from deeplax import pretrained

    _check(pretrained.read(source, path))

  return read


@functools.cache
def _fresh(name):
  from deeplax import models

  classes, keys = {
    'deeplab': (21, _DEEPLAB),
    'classifier': (1001, _CLASSIFIER),
    'small': (5, seeds.SMALL_DEEPLAB),
  }[name]
  return keys, models.initialize(models.build(classes, **keys), 0)


def read_tflite(path: pathlib.Path) -> None:
  """As launch/convert.py does, into a network that the whole file fits."""
  from deeplax import pretrained

  file = pretrained.read('tflite', path)
  _check(file)
  kind = 'classifier' if 'imagenet' in path.name else 'deeplab'
  kind = 'small' if path.name == 'small.tflite' else kind
  keys, fresh = _fresh(kind)
  filled, _ = pretrained.fill('tflite', file, fresh, options=keys)
  assert filled.keys() == fresh.keys()


def tables(content: bytes) -> list[int]:
  """Where a flatbuffer's tables are: models, graphs, tensors, operations."""
  import tflite

  model = tflite.Model.GetRootAs(content, 0)
  graph = model.Subgraphs(0)
  parts = [model, graph]
  for i in range(graph.TensorsLength()):
    parts += [graph.Tensors(i), graph.Tensors(i).Quantization()]
  for i in range(graph.OperatorsLength()):
    parts += [graph.Operators(i), graph.Operators(i).BuiltinOptions()]
  parts += [model.Buffers(i) for i in range(model.BuffersLength())]
  parts += [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
  found = []
  for part in parts:
    if part is None:
      continue
    table = getattr(part, '_tab', part)
    found.append(table.Pos)
    # The vtable, and what the fields point at.
    found.append(table.Pos - int.from_bytes(
      content[table.Pos : table.Pos + 4], 'little', signed=True))  # fmt: skip
    for at in range(table.Pos + 4, table.Pos + 28, 4):
      away = int.from_bytes(content[at : at + 4], 'little')
      if 0 < away < len(content) - at:
        found.append(at + away)
  return found


def checkpoint(folder: pathlib.Path) -> None:
  import tensorflow as tf

  rng = np.random.default_rng(0)
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    for i in range(3):
      tf.compat.v1.get_variable(
        f'xception_65/entry_flow/conv{i}/weights',
        initializer=rng.normal(size=(3, 3, 2, 4)).astype(np.float32),
      )
    session.run(tf.compat.v1.global_variables_initializer())
    saver = tf.compat.v1.train.Saver()
    saver.save(session, str(folder / 'model'), write_meta_graph=False)


@functools.cache
def checkpoint_files() -> list[tuple[str, bytes]]:
  import tempfile

  with tempfile.TemporaryDirectory() as folder:
    checkpoint(pathlib.Path(folder))
    paths = sorted(pathlib.Path(folder).glob('model.*'))
    return [(p.name, p.read_bytes()) for p in paths]


READERS = {
  'safetensors': Reader(
    seeds.safetensors,
    read_by('torchvision'),
    (mutate.mutate, mutate.mutate_safetensors),
  ),
  'torch': Reader(
    seeds.torch_files,
    read_by('torchvision'),
    (mutate.mutate, mutate.mutate_zip),
  ),
  # A process for each file.
  'keras': Reader(
    seeds.keras_files,
    read_by('keras'),
    (mutate.mutate, mutate.mutate_zip),
    cost=8,
  ),
  'tflite': Reader(seeds.tflite_files, read_tflite, places=tables),
  'tf_deeplab': Reader(
    checkpoint_files, read_by('tf_deeplab'), beside=checkpoint
  ),
}
