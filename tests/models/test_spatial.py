"""Rows of a picture on several devices, in float64: as on one device."""

import functools

import jax
import numpy as np
import pytest

from deeplax import models, sharding, steps
from deeplax.models.encoders import resnet
from tests import test_steps

# Keys beyond those of DeepLabV3+.
SCALES = dict(
  head='aspp_sum',
  atrous_rates=(3, 6, 9, 12),
  decoder='none',
  output_stride=8,
  input_scales=(1.0, 0.5),
)


@pytest.fixture
def build(monkeypatch):
  """One unit a stage: every kind of operation; compiled in a hurry."""
  variant = resnet.Variant(False, (1, 1, 1, 1), '')
  monkeypatch.setitem(resnet.VARIANTS, 'short', variant)
  jax.config.update('jax_disable_most_optimizations', True)
  with jax.enable_x64(True):
    yield functools.partial(
      models.build,
      test_steps.CLASSES,
      encoder='resnet',
      variant='short',
      head_channels=8,
      decoder_channels=8,
      dtype='float64',
    )
  jax.config.update('jax_disable_most_optimizations', False)


def assert_equal(trees, others, atol):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=atol, rtol=0),
    trees,
    others,
  )


# At output stride 16 there are 2 rows, fewer than devices or than a kernel
# has, or 7, of 100 at first, which no stride leaves divisible by 4. In float32
# such gradients differ by percents from the order of summation alone.
@pytest.mark.parametrize(
  'height, devices, keys',
  [(32, (2, 4), {}), (100, (4,), {}), (37, (2,), SCALES)],
  ids=str,
)
def test_rows_over_devices_train_like_one_device(build, height, devices, keys):
  model = build(**keys)
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
      assert_equal(getattr(other, part), getattr(one, part), 1e-11)


@pytest.mark.parametrize('options', [{}, dict(scales=(0.5, 1.0), flip=True)])
def test_rows_over_devices_are_evaluated_like_on_one(build, options):
  model = build(align_corners=True, output_stride=8)
  step = steps.make_eval_step(
    model,
    num_classes=test_steps.CLASSES,
    loss_fn=test_steps.LOSS,
    align_corners=True,
    with_probs=bool(options),
    **options,
  )
  # As every size that corners fall on corners of, no multiple of devices.
  batch = test_steps.batch_of(0, (2, 65, 33))
  found = []
  for data, spatial in ((1, 1), (2, 4)):
    mesh = sharding.make_mesh(data, spatial, jax.devices()[: data * spatial])
    variables = sharding.put_replicated(models.initialize(model, 0), mesh)
    out = step(variables, sharding.put_batch(batch, mesh))
    found.append(jax.tree.map(np.asarray, out))
  assert_equal(found[1], found[0], 1e-10)
  assert found[0]['loss_sum'].min() > 1
