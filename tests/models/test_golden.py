"""The networks against stored figures of PyTorch: `golden/models_torch.py`.

Both sides draw the same weights by name; PyTorch is not needed here.
"""

import pathlib

import numpy as np
import pytest

from deeplax import models
from tests.models import torch_weights
from tests.models.torch_weights import picture

GOLDEN = pathlib.Path(__file__).parents[1] / 'golden' / 'models.npz'
SEED = 0
TOLERANCE = 1e-4
COURSE = dict(variant='18_course', decoder='none', head_bias=True, dropout=0.0)


@pytest.fixture(scope='module')
def golden():
  with np.load(GOLDEN) as arrays:
    return dict(arrays)


def error(found, expected) -> float:
  """Largest difference, as a part of the largest value expected."""
  assert found.shape == expected.shape
  return float(np.abs(found - expected).max() / np.abs(expected).max())


def course_r18(**changes):
  model = models.build(20, **{**COURSE, **changes})
  variables, _ = torch_weights.ours(model, 'own', seed=SEED)
  # Not jitted as a whole: equal layers then share what was compiled.
  return model.apply(variables, picture(33, 321), train=False)[0]


def test_course_r18(golden):
  assert error(course_r18(), golden['course_r18']) < TOLERANCE


@pytest.mark.parametrize(
  'changes',
  [
    dict(variant='18'),  # rate 1 in one convolution instead of 2
    dict(atrous_rates=(6, 12, 17)),
    dict(input_norm='symmetric'),
    dict(bn_epsilon=1e-3),
  ],
  ids=str,
)
def test_a_small_change_is_found_out(golden, changes):
  assert error(course_r18(**changes), golden['course_r18']) > 3 * TOLERANCE


def test_resnet50_at_output_stride_8(golden):
  model = models.build(2, variant='50', output_stride=8)
  variables, _ = torch_weights.ours(model, 'classifier', seed=SEED)
  encoder = {name: tree['encoder'] for name, tree in variables.items()}
  mean, deviation = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
  x = ((picture(48, 64) / 255 - mean) / deviation).astype(np.float32)
  features = model.encoder.apply(encoder, x, train=False)
  for i in range(1, 6):
    found = features[f'stage{i}'][..., :: 16 if i == 1 else 64]
    expected = golden[f'resnet50_stage{i}']
    assert error(found, expected) < TOLERANCE, f'stage{i}'
