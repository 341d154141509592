"""The first steps of training against PyTorch's, of golden/parity_r18.npz.

Same weights and batches, both drawn again here; PyTorch is not needed.
"""

import pathlib

import jax
import numpy as np
import pytest

from tests.side_by_side import batches, ours, recipe, weights
from tests.side_by_side.curve import difference

GOLDEN = pathlib.Path(__file__).parent / 'golden' / 'parity_r18.npz'
CLASSES = 19
STEPS = 12  # whose batches the golden has a digest of


@pytest.fixture(scope='module')
def golden():
  with np.load(GOLDEN) as arrays:
    return dict(arrays)


@pytest.fixture(scope='module')
def config():
  return recipe.make_config(dtype='float64')


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
  with jax.enable_x64(True):
    found = ours.train(config, drawn, start, evaluate=False, in_a_hurry=True)
  assert found.rates == pytest.approx(golden['rates'][:STEPS], rel=1e-9)
  apart = difference(found.losses, golden['losses'][:STEPS])
  print(apart)  # shown by pytest -rP
  # Rounding grows a hundred thousand times over these steps, in PyTorch too.
  assert apart[:5].max() <= 1e-10
  assert apart.max() <= 1e-8
