"""Files of ResNets as torchvision names them, written without PyTorch."""

import jax
import numpy as np
import safetensors.numpy

from deeplax import models, pretrained
from deeplax.pretrained import filling, torchvision

CLASSIFIER = dict(head='global_pool', decoder='none', output_stride=32)


def keys(depth):
  """Of an encoder and scores, as classifiers are."""
  return dict(variant=depth, **CLASSIFIER)


def fill(path, keys, source='torchvision', classes=3, **more):
  """Variables of a network of `keys`, with that file in them; the report."""
  file = pretrained.read(source, path)
  model = models.build(classes, **keys)
  return pretrained.fill(source, file, zeros(model), options=keys, **more)


def zeros(model):
  """Variables that cost no time to make."""
  shapes = models.abstract_variables(model)
  return jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)


def tensors(depth, classes=3):
  """Name -> zeros, of all that torchvision's state_dict has."""
  result = {
    'fc.weight': np.zeros((classes, 512 if depth in ('18', '34') else 2048)),
    'fc.bias': np.zeros(classes),
  }
  nothing = filling.File('', {})
  variables = zeros(models.build(classes, **keys(depth)))
  for path, x in jax.tree_util.tree_leaves_with_path(variables):
    path = jax.tree_util.keystr(path, simple=True, separator='/')
    found = torchvision.find(path, nothing)
    if found:
      name = found.names[0]
      result[name] = x.transpose(3, 2, 0, 1) if x.ndim == 4 else x
      if name.endswith('running_mean'):
        counter = name.replace('running_mean', 'num_batches_tracked')
        result[counter] = np.zeros((), np.int64)
  return {n: np.asarray(x, x.dtype, order='C') for n, x in result.items()}


def save(path, depth='18', **changes):
  """Writes a file; `changes` replace tensors, None leaves them out."""
  content = {**tensors(depth), **changes}
  safetensors.numpy.save_file(
    {n: x for n, x in content.items() if x is not None}, path
  )
  return path
