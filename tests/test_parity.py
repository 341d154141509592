"""The first steps of training against PyTorch's, of golden/parity_r18.npz.

Same weights and batches, both drawn again here; PyTorch is not needed.
"""

import pathlib

import numpy as np
import pytest

from tests.side_by_side import batches, ours, recipe, weights
from tests.side_by_side.curve import difference

GOLDEN = pathlib.Path(__file__).parent / 'golden' / 'parity_r18.npz'
STEPS = 20
CLASSES = 19


@pytest.fixture(scope='module')
def golden():
  with np.load(GOLDEN) as arrays:
    return dict(arrays)


@pytest.fixture(scope='module')
def config():
  return recipe.make_config(**recipe.SMALL)


@pytest.fixture(scope='module')
def drawn(config):
  return batches.draw(config, STEPS)


@pytest.fixture(scope='module')
def start(config):
  return weights.initial(CLASSES, config.seed)


def test_it_starts_as_pytorch_did(golden, drawn, start):
  """Else golden/parity_r18_torch.py has to be run again."""
  assert weights.digest(start) == golden['weights']
  assert weights.digest(drawn) == golden['batches']


def test_losses_equal_pytorchs(golden, config, drawn, start):
  found = ours.train(config, drawn, start, evaluate=False)
  assert found.rates == pytest.approx(golden['rates'][:STEPS], rel=1e-6)
  apart = difference(found.losses, golden['losses'][:STEPS])
  print(apart)  # shown by pytest -rP
  assert apart[:5].max() <= 1e-4
  assert apart.max() <= 1e-2
