"""What losses of regions share: how they join cross-entropy, what counts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deeplax import losses
from deeplax.losses.dice import soft_dice
from deeplax.losses.lovasz import lovasz_softmax
from tests import test_steps as training

REGIONS = {'lovasz': lovasz_softmax, 'dice': soft_dice}
WEIGHTS = np.array([0.5, 1.0, 2.0, 4.0], np.float32)
WEIGHTED = dict(
  class_weights=WEIGHTS, normalize_by='weights', label_smoothing=0.1
)

each = pytest.mark.parametrize('name', REGIONS)


@pytest.fixture(name='batch')
def make_batch():
  """Four pictures; the third has no labelled pixel."""
  rng = np.random.default_rng(5)
  logits = 2 * rng.normal(size=(4, 6, 5, 4)).astype(np.float32)
  labels = rng.integers(0, 4, (4, 6, 5))
  labels[rng.random(labels.shape) < [[[0.1]], [[0.7]], [[1.0]], [[0.3]]]] = 255
  return logits, labels


def sum_weight_gradient(loss, logits, labels):
  (total, weight), grad = jax.jit(
    jax.value_and_grad(lambda x: loss(x, labels, 0), has_aux=True)
  )(logits)
  return float(total), float(weight), np.asarray(grad)


@each
def test_what_is_all_right_is_zero(name, batch):
  labels = batch[1]
  right = np.eye(4, dtype=np.float32)[np.minimum(labels, 3)]
  np.testing.assert_array_equal(REGIONS[name](right, labels), 0)


@each
def test_gradient_equals_finite_differences(name, batch):
  with jax.enable_x64(True):
    logits, labels = batch[0].astype(np.float64), batch[1]

    @jax.jit
    def total(x):
      return jnp.sum(REGIONS[name](jax.nn.softmax(x), labels))

    grad = np.asarray(jax.jit(jax.grad(total))(logits))
    assert np.abs(grad[:2]).max() > 1e-3
    for index in np.ndindex(2, 3, 5, 4):
      step = np.zeros_like(logits)
      step[index] = 1e-6
      numeric = (total(logits + step) - total(logits - step)) / 2e-6
      assert grad[index] == pytest.approx(float(numeric), abs=1e-8)


@each
@pytest.mark.parametrize('options', [{}, WEIGHTED, dict(hard_pixels=0.2)])
def test_joins_cross_entropy(name, options, batch):
  logits, labels = batch
  total, weight = losses.build(name, region_weight=0.3, **options)(*batch, 0)
  ce_total, ce_weight = losses.CrossEntropy(**options)(logits, labels)
  regions = np.asarray(REGIONS[name](jax.nn.softmax(logits), labels))
  counted = (labels != 255).astype(float)
  if 'class_weights' in options:
    counted *= WEIGHTS[np.minimum(labels, 3)]
  shares = counted.sum((1, 2)) / counted.sum()
  expected = ce_total / ce_weight + 0.3 * np.sum(shares * regions)
  assert float(total / weight) == pytest.approx(float(expected), rel=1e-5)
  assert float(weight) == pytest.approx(float(ce_weight), rel=1e-6)


@each
@pytest.mark.parametrize('options', [{}, WEIGHTED])
def test_a_batch_in_parts_is_the_whole(name, options, batch):
  loss = losses.build(name, region_weight=0.7, **options)
  total, weight, grad = sum_weight_gradient(loss, *batch)
  parts = [
    sum_weight_gradient(loss, *(x[part] for x in batch))
    for part in (slice(0, 1), slice(1, 4))
  ]
  assert total == pytest.approx(sum(p[0] for p in parts), rel=1e-6)
  assert weight == pytest.approx(sum(p[1] for p in parts), rel=1e-6)
  np.testing.assert_allclose(
    grad, np.concatenate([p[2] for p in parts]), atol=1e-6
  )


@functools.cache
def one_step(name, **options):
  """Parameters and loss after a step with all that goes by the pixel."""
  # Frozen statistics: they would differ by part.
  model = training.Tiny(frozen=True, auxiliary=True)
  weights = np.arange(1, training.CLASSES + 1, dtype=np.float32)
  loss = losses.build(name, class_weights=weights, normalize_by='weights')
  batch = training.batch_of(11)
  batch['valid'][2] = False
  state, rows = training.run(
    model,
    [batch],
    loss_fn=loss,
    auxiliary_weight=0.4,
    void_id=training.CLASSES - 1,
    **options,
  )
  return state.params, rows[0]['loss']


@each
@pytest.mark.parametrize(
  'options',
  [dict(devices=8), dict(devices=8, spatial=2, accumulate=2)],
  ids=str,
)
def test_a_step_is_the_same_on_eight_devices_and_in_parts(name, options):
  params, loss = one_step(name)
  other_params, other_loss = one_step(name, **options)
  assert loss == pytest.approx(other_loss, rel=1e-5)
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, atol=2e-6),
    params,
    other_params,
  )


@each
def test_ignored_pixels_do_not_count_whatever_their_logits(name, batch):
  logits, labels = batch
  other = logits.copy()
  ignored = labels == 255
  other[ignored] = 1e30 * np.random.default_rng(6).normal(
    size=(ignored.sum(), 4)
  )
  loss = losses.build(name)
  total, weight, grad = sum_weight_gradient(loss, logits, labels)
  other_total, other_weight, other_grad = sum_weight_gradient(
    loss, other, labels
  )
  assert (total, weight) == (other_total, other_weight)
  np.testing.assert_array_equal(grad, other_grad)
  assert np.all(grad[ignored] == 0) and np.any(grad[0] != 0)
  # Nor do they count as pixels of no class: the rest alone is the same.
  alone = loss(
    logits[0][~ignored[0]][None, None], labels[0][~ignored[0]][None, None], 0
  )
  picture = loss(logits[:1], labels[:1], 0)
  np.testing.assert_allclose(picture, alone, rtol=1e-6)


@each
def test_the_order_of_pixels_is_nothing(name, batch):
  logits, labels = (x.reshape(4, 5, 6, *x.shape[3:]) for x in batch)
  order = np.random.default_rng(7).permutation(30)

  def moved(x):
    return x.reshape(4, 30, *x.shape[3:])[:, order].reshape(x.shape)

  loss = losses.build(name)
  total, _, grad = sum_weight_gradient(loss, logits, labels)
  other, _, other_grad = sum_weight_gradient(loss, moved(logits), moved(labels))
  assert total == pytest.approx(other, rel=1e-6)
  np.testing.assert_allclose(moved(grad), other_grad, atol=1e-6)


@each
def test_no_labelled_pixel_gives_zero_and_no_nan(name, batch):
  logits, labels = batch
  assert REGIONS[name](jax.nn.softmax(logits), labels)[2] == 0
  for options in ({}, dict(hard_pixels=0.5)):
    total, weight, grad = sum_weight_gradient(
      losses.build(name, **options), logits, np.full_like(labels, 255)
    )
    assert (total, weight) == (0, 0)
    np.testing.assert_array_equal(grad, 0)


@each
def test_logits_that_are_sure_of_something_wrong(name):
  logits = np.zeros((1, 2, 2, 3), np.float32)
  logits[..., 0] = 1e4
  labels = np.array([[[0, 1], [1, 0]]])
  total, _, grad = sum_weight_gradient(losses.build(name), logits, labels)
  assert np.isfinite(total) and np.all(np.isfinite(grad))


@each
def test_narrow_logits_are_summed_in_float32(name, batch):
  logits, labels = jnp.asarray(batch[0], jnp.bfloat16), batch[1]
  loss = losses.build(name)
  total, weight = loss(logits, labels, 0)
  assert total.dtype == weight.dtype == jnp.float32
  assert total == loss(logits.astype(jnp.float32), labels, 0)[0]


def test_no_region_weight_is_cross_entropy(batch):
  total, _ = losses.build('lovasz', region_weight=0.0, **WEIGHTED)(*batch, 0)
  expected, _ = losses.CrossEntropy(**WEIGHTED)(*batch)
  assert total == expected


def test_a_changed_region_weight_needs_a_region():
  assert {'cross_entropy', 'dice', 'lovasz'} <= {*losses.available()}
  assert not any(name.startswith('_') for name in losses.available())
  losses.build('cross_entropy', region_weight=1.0)
  message = r"'cross_entropy' has no region_weight, which is 0.5.*Leave.*1\.0"
  with pytest.raises(ValueError, match=message):
    losses.build('cross_entropy', region_weight=0.5)
