"""The train step: one device against eight, parts against the whole."""

import functools
import os
import pathlib
import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from deeplax import (
  losses,
  models,
  objective,
  optimizers,
  sharding,
  state,
  steps,
)
from deeplax.data import photometric
from deeplax.ops import photometric as ops_photometric

CLASSES = 5
SHAPE = (8, 32, 48)
LOSS = losses.CrossEntropy()


class Tiny(nn.Module):
  """A network of the same contract that compiles in a second."""

  dropout: float = 0.0
  auxiliary: bool = False
  frozen: bool = False
  scales: tuple[str, ...] = ()

  @nn.compact
  def __call__(self, image, *, train):
    x = image.astype(np.float32) / 127.5 - 1
    x = nn.Conv(8, (3, 3), 4, name='encoder')(x)
    x = nn.BatchNorm(not train or self.frozen, name='bn')(x)
    x = nn.Dropout(self.dropout, deterministic=not train)(nn.relu(x))
    endpoints = {}
    if self.auxiliary:
      endpoints['auxiliary'] = nn.Conv(CLASSES, (1, 1), name='auxiliary')(x)
    logits = nn.Conv(CLASSES, (1, 1), name='logits')(x)
    for name in self.scales:
      endpoints[name] = 2 * logits
    return logits, endpoints


def initialize(model):
  if not isinstance(model, Tiny):
    return models.initialize(model, 0)
  image = np.zeros((1, *SHAPE[1:], 3), np.uint8)
  return jax.tree.map(
    np.asarray, model.init(jax.random.key(0), image, train=False)
  )


@functools.cache
def real_model(**changes):
  return models.build(
    CLASSES,
    encoder='resnet',
    variant='18',
    head_channels=16,
    decoder_channels=16,
    **changes,
  )


def batch_of(seed, shape=SHAPE):
  rng = np.random.default_rng(seed)
  label = rng.integers(0, CLASSES, shape, dtype=np.uint8)
  label[rng.random(shape) < 0.2] = 255
  return {
    'image': rng.integers(0, 256, (*shape, 3), dtype=np.uint8),
    'label': label,
    'valid': np.ones(shape[0], bool),
  }


def run(
  model,
  batches,
  *,
  devices=1,
  spatial=1,
  loss_fn=LOSS,
  seed=0,
  **options,
):
  """Trains over the batches; returns the state and the metrics, as numpy."""
  mesh = sharding.make_mesh(spatial=spatial, devices=jax.devices()[:devices])
  schedule = optimizers.make_schedule(name='poly', peak=0.05, total_steps=100)
  tx = optimizers.make_optimizer(schedule, name='sgd', weight_decay=5e-4)
  after = {
    name: options.pop(name)
    for name in ('ema_decay', 'skip_nonfinite')
    if name in options
  }
  step = steps.make_train_step(
    objective.make_gradient_sums(model, loss_fn=loss_fn, **options),
    tx,
    mesh=mesh,
    schedule=schedule,
    **after,
  )
  variables = initialize(model)
  ema = 'ema_decay' in after
  current = state.create_state(
    sharding.put_replicated(variables, mesh), tx, seed, ema=ema
  )
  current = sharding.put_replicated(current, mesh)
  rows = []
  for batch in batches:
    current, metrics = step(current, sharding.put_batch(batch, mesh))
    rows.append({k: float(v) for k, v in metrics.items()})
  return jax.tree.map(np.asarray, current), rows


def test_eight_devices_give_the_first_loss_of_one():
  model = real_model()
  _, one = run(model, [batch_of(0)])
  _, eight = run(model, [batch_of(0)], devices=8)
  assert one[0]['loss'] == pytest.approx(eight[0]['loss'], abs=1e-5)


FLOAT64 = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
import jax, numpy as np, test_steps
model = test_steps.real_model(dtype='float64')
batches = [test_steps.batch_of(i) for i in range(5)]
one, rows = test_steps.run(model, batches)
assert jax.tree.leaves(one.params)[0].dtype == np.float64
for options in ({{'devices': 8}},):
  other, other_rows = test_steps.run(model, batches, **options)
  worst = max(
    float(np.max(np.abs(a - b)))
    for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(other.params))
  )
  print(options, worst, abs(rows[-1]['loss'] - other_rows[-1]['loss']))
  assert worst < 1e-10
"""


def test_five_steps_in_float64_agree_to_1e_10():
  here = pathlib.Path(__file__).resolve().parent
  code = FLOAT64.format(root=str(here.parent), tests=str(here))
  done = subprocess.run(
    [sys.executable, '-c', code],
    env={
      **os.environ,
      'JAX_ENABLE_X64': '1',
      'JAX_PLATFORMS': 'cpu',
      'XLA_FLAGS': '--xla_force_host_platform_device_count=8',
    },
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stdout + done.stderr


MINING = losses.CrossEntropy(
  class_weights=np.arange(1, CLASSES + 1, dtype=np.float32),
  label_smoothing=0.1,
  hard_pixels=0.4,
  hard_pixels_ramp=2,
  normalize_by='weights',
)


@pytest.mark.parametrize('loss_fn', [LOSS, MINING])
@pytest.mark.parametrize(
  'options',
  [
    {},
    dict(align_corners=True, void_id=CLASSES - 1),
    dict(accumulate=2, auxiliary_weight=0.4),
    dict(devices=8, auxiliary_weight=0.4),
    dict(devices=8, spatial=4),
  ],
)
def test_a_loss_in_tiles_trains_like_one_at_label_size(loss_fn, options):
  model = Tiny(auxiliary=True, scales=('logits_x1',))
  batches = [batch_of(8), batch_of(9)]
  batches[0]['valid'][2] = False
  in_tiles, a = run(model, batches, loss_fn=loss_fn, **options)
  # Whatever is no CrossEntropy gets logits at label size; on one device.
  options = {**options, 'devices': 1, 'spatial': 1}
  whole, b = run(model, batches, loss_fn=lambda *x: loss_fn(*x), **options)
  for one, other in zip(a, b):
    assert one == pytest.approx(other, rel=1e-5)
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, atol=2e-5),
    whole.params,
    in_tiles.params,
  )


def test_invalid_examples_and_void_do_not_count():
  model = Tiny(frozen=True)
  whole = batch_of(1)
  part = {k: v.copy() for k, v in whole.items()}
  part['valid'][4:] = False
  other = {k: v.copy() for k, v in part.items()}
  other['label'][4:] = 0
  (_, a), (_, b) = run(model, [part]), run(model, [other])
  assert a[0]['loss'] == b[0]['loss']
  assert a[0]['examples'] == 4
  assert run(model, [whole])[1][0]['loss'] != a[0]['loss']


@pytest.mark.parametrize(
  ('missing', 'loss_fn', 'accumulate'),
  [
    ('valid', LOSS, 1),
    ('valid', LOSS, 4),
    ('label', losses.cross_entropy, 1),
  ],
)
def test_a_batch_without_one_labelled_pixel_is_no_nan(
  missing, loss_fn, accumulate
):
  model = Tiny()
  empty = batch_of(1)
  if missing == 'valid':
    empty['valid'][:] = False  # as if every example had been skipped
  else:
    empty['label'][:] = 255
  options = dict(accumulate=accumulate)
  if loss_fn is not LOSS:
    options['loss_fn'] = lambda logits, labels, step: loss_fn(logits, labels)
  state, metrics = run(model, [empty, batch_of(2)], **options)
  assert metrics[0]['loss'] == metrics[0]['gradient_norm'] == 0
  assert metrics[1]['loss'] > 0 and np.isfinite(metrics[1]['gradient_norm'])
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(state))


def test_void_can_be_trained_as_the_last_class():
  label = np.array([[[0, 255]], [[255, 1]]], np.uint8)
  valid = np.array([True, False])
  np.testing.assert_array_equal(
    objective.target_labels(label, valid, void_id=4), [[[0, 4]], [[255, 255]]]
  )
  np.testing.assert_array_equal(
    objective.target_labels(label, valid), [[[0, 255]], [[255, 255]]]
  )


def test_accumulated_parts_equal_the_whole_batch():
  # Frozen statistics and no dropout: then only the sums could differ.
  model = Tiny(frozen=True)
  (whole, a), (parts, b) = (
    run(model, [batch_of(2)], accumulate=accumulate) for accumulate in (1, 4)
  )
  assert a[0]['loss'] == pytest.approx(b[0]['loss'], rel=1e-5)
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, atol=2e-5),
    whole.params,
    parts.params,
  )


def test_moving_average_follows_its_formula():
  model = Tiny()
  batches = [batch_of(i) for i in range(4)]
  expected = initialize(model)['params']
  for step, decay in enumerate((0.1, 2 / 11, 0.2, 0.2)):  # from 1 / 10 on
    params = run(model, batches[: step + 1])[0].params
    expected = optax.incremental_update(params, expected, 1 - decay)
  after, _ = run(model, batches, ema_decay=0.2)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
    after.ema_params,
    expected,
  )
  assert after.eval_variables['params'] is after.ema_params


def test_dropout_differs_by_step_and_seed_and_repeats():
  model = Tiny(dropout=0.5)
  batch = batch_of(4)
  (after, first), (_, again), (_, other) = (
    run(model, [batch], seed=seed) for seed in (0, 0, 1)
  )
  assert first == again
  assert first[0]['loss'] != other[0]['loss']
  now, then = map(objective.dropout_key, (after, after.replace(step=7)))
  assert not np.array_equal(*map(jax.random.key_data, (now, then)))


def test_auxiliary_loss_adds_its_weight():
  model = Tiny(auxiliary=True)
  batch = batch_of(5)
  losses_at = [
    run(model, [batch], auxiliary_weight=w)[1][0]['loss'] for w in (0, 1, 2)
  ]
  assert losses_at[1] - losses_at[0] == pytest.approx(
    losses_at[2] - losses_at[1], rel=1e-4
  )
  assert losses_at[1] > losses_at[0]


def test_each_scale_has_a_loss_of_its_own():
  """As in DeepLab V2: that of the maximum, and one for each scale."""
  batch = batch_of(5)
  found = [
    run(Tiny(scales=scales), [batch])[1][0]['loss']
    for scales in ((), ('logits_x1',), ('logits_x1', 'logits_x0.5'))
  ]
  assert found[1] - found[0] == pytest.approx(found[2] - found[1], rel=1e-5)
  assert found[1] - found[0] > 0.1 * found[0]


def test_a_batch_without_labels_moves_nothing_by_its_gradient():
  model = Tiny()
  batch = batch_of(6)
  batch['label'][:] = 255
  after, rows = run(model, [batch])
  assert rows[0]['loss'] == rows[0]['gradient_norm'] == 0
  assert np.isfinite(optax.tree.norm(after.params))


def bad_at(*bad):
  """A loss that is NaN at some steps."""

  def loss_fn(logits, labels, step):
    total, weight = LOSS(logits, labels, step)
    return jnp.where(jnp.isin(step, jnp.array(bad)), jnp.nan, total), weight

  return loss_fn


def test_a_bad_step_leaves_the_state_of_before_whatever_follows():
  batches = [batch_of(seed) for seed in (1, 2, 3)]
  before, _ = run(Tiny(), batches[:1], loss_fn=bad_at(1), ema_decay=0.9)
  after, rows = run(Tiny(), batches, loss_fn=bad_at(1), ema_decay=0.9)
  assert np.isnan(rows[1]['loss'])
  assert [row['bad_steps'] for row in rows] == [0, 1, 1]
  assert after.step == 1
  jax.tree.map(
    np.testing.assert_array_equal, after.replace(bad_steps=0), before
  )


def test_some_bad_steps_may_be_left_out():
  batches = [batch_of(seed) for seed in (1, 2, 3, 4, 5)]
  alike = dict(loss_fn=bad_at(9, 9), skip_nonfinite=2)
  good, _ = run(Tiny(), [batches[i] for i in (0, 2, 4)], **alike)
  after, rows = run(Tiny(), batches, loss_fn=bad_at(1, 3), skip_nonfinite=2)
  assert (after.step, after.bad_steps) == (5, 2)
  jax.tree.map(
    np.testing.assert_array_equal,
    after.replace(step=good.step, bad_steps=0),
    good,
  )
  # The optimiser has not seen the steps that were left out.
  rates = [row['learning_rate'] for row in rows]
  assert rates[1] == rates[2] and rates[3] == rates[4] < rates[2]
  halted, _ = run(Tiny(), batches, loss_fn=bad_at(1, 3), skip_nonfinite=1)
  assert (halted.step, halted.bad_steps) == (3, 2)


def test_skipped_examples_are_counted_bad_steps_or_not():
  batches = [batch_of(seed) for seed in (1, 2, 3)]
  for batch, count in zip(batches, (1, 0, 3), strict=True):
    batch['valid'][:count] = False
  _, rows = run(Tiny(), batches, loss_fn=bad_at(2), skip_nonfinite=1)
  assert [row['skipped_examples'] for row in rows] == [1, 1, 4]


def with_numbers(seed):
  batch = batch_of(seed)
  rng = np.random.default_rng(seed)
  numbers = [photometric.draw(rng) for _ in batch['image']]
  return {**batch, 'photometric': np.array(numbers, np.float32)}


def test_colours_are_distorted_before_the_network():
  batch = with_numbers(8)
  image = ops_photometric.distort(batch['image'], batch['photometric'])
  plain = {k: v for k, v in batch.items() if k != 'photometric'}
  inside, a = run(Tiny(), [batch])
  before, b = run(Tiny(), [{**plain, 'image': np.asarray(image)}])
  assert a[0]['loss'] == pytest.approx(b[0]['loss'], rel=1e-6)
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6),
    inside.params,
    before.params,
  )
  assert run(Tiny(), [plain])[1][0]['loss'] != pytest.approx(a[0]['loss'])


@pytest.mark.parametrize(
  'options',
  [{'devices': 8}, {'devices': 8, 'spatial': 2}, {'accumulate': 2}],
  ids=str,
)
def test_each_picture_gets_its_own_colours(options):
  """However the batch is split over devices, rows over them, or into parts."""
  batches = [with_numbers(9), with_numbers(10)]
  model = Tiny(frozen=True)
  one, rows = run(model, batches)
  other, other_rows = run(model, batches, **options)
  assert rows[-1]['loss'] == pytest.approx(other_rows[-1]['loss'], abs=1e-5)
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, atol=2e-5),
    one.params,
    other.params,
  )


def test_loss_falls_on_one_batch():
  batch = batch_of(7)
  # Labels that the pixels tell: five bands of brightness.
  blocks = batch['image'][:, ::8, ::8, :1]
  batch['image'][:] = blocks.repeat(8, axis=1).repeat(8, axis=2)
  batch['label'] = batch['image'][..., 0] // 52
  _, rows = run(Tiny(), [batch] * 12)
  assert rows[-1]['loss'] < 0.8 * rows[0]['loss']
