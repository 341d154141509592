"""200 steps in segmentation_models_pytorch and in deeplax, from one start.

In float64, where both are the same to rounding. In float32 rounding alone leads
apart within five steps, PyTorch from itself, too: `tests/parity.py` shows it.
"""

import pytest

pytest.importorskip('torch')
pytest.importorskip('segmentation_models_pytorch')

from tests.side_by_side import batches, curve, recipe, runs

pytestmark = pytest.mark.peer


@pytest.fixture(scope='module')
def curves():
  config = recipe.make_config()
  drawn = batches.draw(config, config.total_steps)
  return runs.in_float64(config, drawn)


def test_schedules_are_equal(curves):
  found, expected = curves['deeplax64'].rates, curves['PyTorch64'].rates
  assert found == pytest.approx(expected, rel=1e-9)


def test_losses_are_equal(curves):
  expected = curves['PyTorch64']
  assert expected.losses[-20:].mean() < expected.losses[:5].mean() / 2
  apart = curve.compare(curves['deeplax64'], expected)
  print(apart)  # shown by pytest -rP
  assert apart['first_5_steps'] <= 1e-10
  assert apart['mean_of_last_20'] <= 0.02


def test_evaluations_are_equal(curves):
  found, expected = curves['deeplax64'], curves['PyTorch64']
  assert found.val_loss == pytest.approx(expected.val_loss, rel=0.02)
  assert found.miou == pytest.approx(expected.miou, abs=0.02)
