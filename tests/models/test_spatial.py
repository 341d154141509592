"""Training with the rows of a picture on several devices, in float64."""

import jax
import numpy as np
import pytest

from deeplax import models
from deeplax.models.encoders import resnet
from tests import test_steps


@pytest.fixture
def model(monkeypatch):
  """One unit a stage: every kind of operation; compiled in a hurry."""
  variant = resnet.Variant(False, (1, 1, 1, 1), '')
  monkeypatch.setitem(resnet.VARIANTS, 'short', variant)
  jax.config.update('jax_disable_most_optimizations', True)
  with jax.enable_x64(True):
    yield models.build(
      test_steps.CLASSES,
      encoder='resnet',
      variant='short',
      head_channels=8,
      decoder_channels=8,
      dtype='float64',
    )
  jax.config.update('jax_disable_most_optimizations', False)


# At output stride 16 there are 2 rows, fewer than devices or than a kernel
# has, or 8. In float32 such gradients differ by percents from the order of
# summation alone.
@pytest.mark.parametrize('height, devices', [(32, (2, 4)), (128, (4,))])
def test_rows_over_devices_train_like_one_device(model, height, devices):
  batches = [test_steps.batch_of(0, (4, height, 32))]
  one, one_rows = test_steps.run(model, batches)
  for spatial in devices:
    other, other_rows = test_steps.run(
      model, batches, devices=8, spatial=spatial
    )
    assert other_rows[0]['loss'] == pytest.approx(
      one_rows[0]['loss'], abs=1e-12
    )
    for part in ('params', 'batch_stats'):
      jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-11, rtol=0),
        getattr(other, part),
        getattr(one, part),
      )
