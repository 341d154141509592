"""Best and last are kept; what is loaded is what was saved."""

import jax
import numpy as np
import pytest

from deeplax import checkpoint, optimizers, sharding, state
from deeplax.errors import RunError


def make_state(value=1.0, *, ema=False, width=3):
  params = {'encoder': {'kernel': np.full((2, width), value, np.float32)}}
  stats = {'bn': {'mean': np.full(2, value + 1, np.float32)}}
  tx = optimizers.make_optimizer(lambda _: 0.1, name='adam')
  mesh = sharding.make_mesh()
  made = state.create_state(
    {'params': params, 'batch_stats': stats}, tx, ema=ema
  )
  return sharding.put_replicated(made, mesh), mesh


def save_all(folder, values, *, ema=False):
  saver = checkpoint.Checkpointer(folder / 'checkpoints')
  for step, miou in values.items():
    made, _ = make_state(float(step), ema=ema)
    saver.save(made, step, None if miou is None else {'val/miou': miou})
  saver.wait()
  return saver


def test_best_and_last_are_kept(tmp_path):
  save_all(tmp_path, {1: 0.1, 2: 0.9, 3: None, 4: 0.3, 5: None}).close()
  assert checkpoint.steps(tmp_path) == ([2, 5], 2)


def test_without_evaluations_the_last_is_kept(tmp_path):
  save_all(tmp_path, {1: None, 2: None, 3: None}).close()
  assert checkpoint.steps(tmp_path) == ([3], None)


def test_an_miou_that_is_nan_ranks_nothing(tmp_path):
  save_all(tmp_path, {1: 0.2, 2: float('nan'), 3: 0.1}).close()
  assert checkpoint.steps(tmp_path) == ([1, 3], 1)


def test_best_by_default_last_or_step_on_request(tmp_path):
  save_all(tmp_path, {1: 0.9, 2: 0.1}).close()

  def kernel(**options):
    variables, step = checkpoint.load_variables(tmp_path, **options)
    return float(variables['params']['encoder']['kernel'][0, 0]), step

  assert kernel() == (1.0, 1)
  assert kernel(best=False) == (2.0, 2)
  assert kernel(step=2) == (2.0, 2)


def test_restored_state_is_equal_and_on_the_mesh(tmp_path):
  saver = save_all(tmp_path, {7: 0.5}, ema=True)
  like, mesh = make_state(0.0, ema=True)
  restored = saver.restore(like, mesh)
  expected, _ = make_state(7.0, ema=True)
  jax.tree.map(np.testing.assert_array_equal, restored, expected)
  assert jax.tree.structure(restored) == jax.tree.structure(expected)
  kernel = restored.params['encoder']['kernel']
  assert kernel.sharding == sharding.replicated(mesh)
  saver.close()


def test_averaged_parameters_are_the_ones_to_evaluate(tmp_path):
  saver = checkpoint.Checkpointer(tmp_path / 'checkpoints')
  made, _ = make_state(1.0, ema=True)
  ema = jax.tree.map(lambda x: x * 5, made.ema_params)
  saver.save(made.replace(ema_params=ema), 1, None)
  saver.close()
  variables, _ = checkpoint.load_variables(tmp_path)
  assert variables['params']['encoder']['kernel'][0, 0] == 5


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
  saver = save_all(tmp_path, {1: None})
  other, mesh = make_state(width=4)
  with pytest.raises(RunError, match='does not fit'):
    saver.restore(other, mesh)
  saver.close()


def test_a_half_written_checkpoint_is_not_seen(tmp_path):
  save_all(tmp_path, {1: None}).close()
  # What a kill in the middle of a save leaves behind.
  (tmp_path / 'checkpoints/2.orbax-checkpoint-tmp-0').mkdir()
  assert checkpoint.steps(tmp_path)[0] == [1]


def test_no_checkpoint_says_what_to_do(tmp_path):
  with pytest.raises(RunError, match='there is no checkpoint yet'):
    checkpoint.load_variables(tmp_path)
  save_all(tmp_path, {3: None}).close()
  with pytest.raises(RunError, match=r'no checkpoint 4, only \[3\]'):
    checkpoint.load_variables(tmp_path, step=4)


def test_merge_lists_what_fits_and_what_does_not():
  target = {'params': {'a': np.zeros(2), 'b': np.zeros(3), 'c': np.zeros(1)}}
  source = {'params': {'a': np.ones(2), 'b': np.ones(4), 'd': np.ones(1)}}
  merged, report, complete = checkpoint.merge(target, source)
  np.testing.assert_array_equal(merged['params']['a'], [1, 1])
  np.testing.assert_array_equal(merged['params']['b'], [0, 0, 0])
  assert report.splitlines() == [
    '1 of 3 arrays taken',
    '  other shape, kept fresh: params/b: (4,) there, (3,) here',
    '  not there, kept fresh: params/c (1,)',
    '  there, not used: params/d (1,)',
  ]
  assert not complete
