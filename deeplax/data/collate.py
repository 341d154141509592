"""What runs for each training batch, in the workers: load, augment, stack."""

import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np

from deeplax.data import ops as operations
from deeplax.data import photometric
from deeplax.data.errors import DataError
from deeplax.data.geometry import MEAN_PIXEL
from deeplax.data.info import IGNORE_LABEL

Batch = dict[str, Any]


class Load:
  """Position in the source -> example, or the error that it raised.

  With `draw`, the example also gets the numbers of a `photometric()` that
  follows on the device; they are those that it would have drawn here.
  """

  def __init__(
    self, source, ops: tuple[operations.Op, ...], *, draw: bool = False
  ):
    self._source, self._ops, self._draw = source, ops, draw

  def __call__(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
    index = int(index)
    try:
      example = dict(self._source[index])
      example = operations.apply(self._ops, example, rng, self._source)
    except DataError as error:
      return {'index': np.int64(index), 'errors': (error,)}
    except Exception as error:  # a bug, say in an operation of one's own
      error.add_note(f'It happened with example {index} of the source.')
      if _travels(error):
        raise
      words = RuntimeError(f'{type(error).__name__}: {error}')
      for note in error.__notes__:
        words.add_note(note)
      raise words from error
    if self._draw:
      example['photometric'] = photometric.draw(rng)
    return {**example, 'index': np.int64(index), 'errors': ()}


def _travels(error: Exception) -> bool:
  """Whether it reaches the trainer; else that would wait for it for ever."""
  if type(error).__module__ in ('__main__', '__mp_main__'):
    return False  # another module there than in a worker
  try:
    return type(pickle.loads(pickle.dumps(error))) is type(error)
  except Exception:  # what their constructors and reducers raise
    return False


class Collate:
  """Examples of one size -> a training batch.

  With `draw`, examples have `'photometric'`, and so has the batch: float32
  [b, 6], the fields of `photometric.Numbers`, that of a picture left as it is
  where an example is not valid.
  """

  def __init__(self, size: tuple[int, int] | None, *, draw: bool = False):
    self._size, self._draw = size, draw

  def __call__(self, examples: Sequence[dict[str, Any]]) -> Batch:
    errors = tuple(error for e in examples for error in e['errors'])
    good = [e for e in examples if not e['errors']]
    shapes = [e[key].shape[:2] for e in good for key in ('image', 'label')]
    size = self._size or (shapes[0] if shapes else None)
    other = [shape for shape in shapes if shape != size]
    if size is None or other:
      return {'errors': errors, 'fatal': _no_size(size, other, good)}
    batch = {
      'image': np.empty((len(examples), *size, 3), np.uint8),
      'label': np.empty((len(examples), *size), np.uint8),
      'valid': np.array([not e['errors'] for e in examples]),
      'index': np.array([e['index'] for e in examples], np.int64),
      'errors': errors,
    }
    for i, example in enumerate(examples):
      valid = batch['valid'][i]
      batch['image'][i] = example['image'] if valid else MEAN_PIXEL
      batch['label'][i] = example['label'] if valid else IGNORE_LABEL
    if self._draw:
      as_it_is = photometric.Numbers()
      numbers = [e.get('photometric', as_it_is) for e in examples]
      batch['photometric'] = np.array(numbers, np.float32)
    return batch


def _no_size(size, other, good) -> DataError:
  if other:
    found = (
      f'images and labels of a training batch differ in size: {size[0]}x'
      f'{size[1]} and {other[0][0]}x{other[0][1]} (height x width).'
    )
  else:
    found = 'no example of a whole training batch can be used.'
  return DataError(
    found,
    fix='End input.train with random_crop(height, width), which brings every '
    'picture to one size.',
    file=good[0].get('id', '') if good else '',
    kind='no common size',
  )
