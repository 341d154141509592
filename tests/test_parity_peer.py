"""200 steps of one recipe, in segmentation_models_pytorch and in deeplax."""

import pytest

pytest.importorskip('torch')
pytest.importorskip('segmentation_models_pytorch')

from tests.side_by_side import batches, curve, recipe, runs

pytestmark = pytest.mark.peer


@pytest.fixture(scope='module')
def curves():
  config = recipe.make_config(**recipe.SMALL)
  result = runs.train(config, batches.draw(config, config.total_steps))
  print(curve.table(result))  # shown by pytest -rP
  return result


def test_it_is_the_same_schedule(curves):
  found, expected = curves['deeplax'].rates, curves['PyTorch'].rates
  assert found == pytest.approx(expected, rel=1e-5)


def test_both_learn(curves):
  for found in curves.values():
    assert found.losses[-20:].mean() < found.losses[:5].mean() / 2


def test_losses_are_equal(curves):
  apart = curve.compare(curves['deeplax'], curves['PyTorch'])
  assert apart['first_5_steps'] <= 1e-4
  assert apart['mean_of_last_20'] <= 0.02
