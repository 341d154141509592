"""What a `.tflite` file does to pixels, as `input_norm`."""

import types

import numpy as np
import pytest

from deeplax.errors import WeightsError
from deeplax.pretrained.tflite import normalisation
from deeplax.pretrained.tflite.nodes import Input

IMAGENET = (
  1 / (255 * np.array([0.229, 0.224, 0.225])),
  -np.array([0.485, 0.456, 0.406]) / np.array([0.229, 0.224, 0.225]),
)


def find(scale, shift, input_norm, *, unit=False):
  picture = Input('input', 'input', 'picture', (1, 8, 8, 3), unit=unit)
  picture.scale, picture.shift = np.atleast_1d(scale), np.atleast_1d(shift)
  graph = types.SimpleNamespace(name='a.tflite', input=picture)
  return normalisation.find(graph, input_norm)


@pytest.mark.parametrize(
  'scale, shift, own, unit, wanted, exact',
  [
    (1.0, 0.0, 'vgg', False, 'vgg', 'vgg'),  # the file says nothing
    (1 / 127.5, -1.0, 'symmetric', False, 'symmetric', 'symmetric'),
    (1 / 127.5, -1.0, 'imagenet', False, 'symmetric', 'symmetric'),
    (2.0, -1.0, 'imagenet', False, 'symmetric', 'symmetric'),  # of 0..1
    (*IMAGENET, 'imagenet', False, 'imagenet', 'imagenet'),
    # As bytes are read: half a step beside what it was trained with.
    (1 / 128, -1.0, 'symmetric', True, 'symmetric', '128/128'),
    (1 / 128, -1.0, '128/128', True, '128/128', '128/128'),
    (1 / 128, -1.0, 'imagenet', True, '128/128', '128/128'),
    (1 / 255, 0.0, 'imagenet', True, '0/255', '0/255'),
    (1.0, -100.0, 'imagenet', True, '100/1', '100/1'),
  ],
)
def test_what_a_file_wants(scale, shift, own, unit, wanted, exact):
  assert find(scale, shift, own, unit=unit) == (wanted, exact)


@pytest.mark.parametrize('scale', [-1.0, [1.0, 2.0]])
def test_no_normalisation(scale):
  with pytest.raises(WeightsError, match='one or three positive numbers'):
    find(scale, 0.0, 'imagenet')
