"""Best and last are kept; what is loaded is what was saved."""

import jax
import numpy as np
import pytest

from deeplax import checkpoint, checksums, optimizers, sharding, state
from deeplax.errors import RunError


def make_state(value=1.0, *, ema=False, width=3, seed=0):
  params = {'encoder': {'kernel': np.full((2, width), value, np.float32)}}
  stats = {'bn': {'mean': np.full(2, value + 1, np.float32)}}
  tx = optimizers.make_optimizer(lambda _: 0.1, name='adam')
  mesh = sharding.make_mesh()
  made = state.create_state(
    {'params': params, 'batch_stats': stats}, tx, seed, ema=ema
  )
  return sharding.put_replicated(made, mesh), mesh


def save_all(folder, values, *, ema=False):
  saver = checkpoint.Checkpointer(folder / 'checkpoints')
  for step, miou in values.items():
    made, _ = make_state(float(step), ema=ema)
    saver.save(made, step)
    if miou is not None:
      saver.score(step, miou)
  saver.wait()
  return saver


def test_the_best_and_the_two_newest_are_kept(tmp_path):
  save_all(tmp_path, {1: 0.1, 2: 0.9, 3: None, 4: 0.3, 5: None}).close()
  assert checkpoint.steps(tmp_path) == ([2, 4, 5], 2)


def test_without_evaluations_the_newest_are_kept(tmp_path):
  save_all(tmp_path, {1: None, 2: None, 3: None}).close()
  assert checkpoint.steps(tmp_path) == ([2, 3], None)


def test_an_miou_that_is_nan_ranks_nothing(tmp_path):
  values = {1: 0.2, 2: float('nan'), 3: 0.1, 4: None}
  saver = save_all(tmp_path, values)
  assert checkpoint.steps(tmp_path) == ([1, 3, 4], 1)
  saver.close()
  # It was evaluated all the same, and another process knows.
  saver = checkpoint.Checkpointer(tmp_path / 'checkpoints')
  assert [saver.has_score(step) for step in values] == [True] * 3 + [False]
  saver.close()


def test_the_same_step_is_saved_once(tmp_path):
  saver = save_all(tmp_path, {1: None})
  saver.save(make_state(5.0)[0], 1)
  saver.close()
  variables, _ = checkpoint.load_variables(tmp_path)
  assert variables['params']['encoder']['kernel'][0, 0] == 1


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
  # The seed is the config's: it is not saved.
  like, mesh = make_state(0.0, ema=True, seed=3)
  restored = saver.restore(like, mesh)
  expected, _ = make_state(7.0, ema=True, seed=3)
  jax.tree.map(np.testing.assert_array_equal, restored, expected)
  assert jax.tree.structure(restored) == jax.tree.structure(expected)
  kernel = restored.params['encoder']['kernel']
  assert kernel.sharding == sharding.replicated(mesh)
  saver.close()


def test_averaged_parameters_are_the_ones_to_evaluate(tmp_path):
  saver = checkpoint.Checkpointer(tmp_path / 'checkpoints')
  made, _ = make_state(1.0, ema=True)
  ema = jax.tree.map(lambda x: x * 5, made.ema_params)
  saver.save(made.replace(ema_params=ema), 1)
  saver.close()
  variables, _ = checkpoint.load_variables(tmp_path)
  assert variables['params']['encoder']['kernel'][0, 0] == 5


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
  saver = save_all(tmp_path, {1: None})
  other, mesh = make_state(width=4)
  with pytest.raises(RunError, match='does not fit'):
    saver.restore(other, mesh)
  saver.close()


def test_what_a_kill_left_half_written_is_not_seen_and_deleted(tmp_path):
  save_all(tmp_path, {1: None}).close()
  part = tmp_path / 'checkpoints/2.orbax-checkpoint-tmp'
  part.mkdir()
  assert checkpoint.steps(tmp_path)[0] == [1]
  checkpoint.set_damaged_aside(tmp_path / 'checkpoints')
  assert not part.exists()
  save_all(tmp_path, {2: None}).close()
  assert checkpoint.steps(tmp_path)[0] == [1, 2]


def flip(path, at=None):
  """Changes one bit."""
  content = bytearray(path.read_bytes())
  content[len(content) // 2 if at is None else at] ^= 4
  path.write_bytes(content)


def test_one_bit_in_any_file_is_noticed(tmp_path, caplog):
  save_all(tmp_path, {1: None, 2: None}, ema=True).close()
  folder = tmp_path / 'checkpoints'
  files = [p for p in (folder / '2').rglob('*') if p.is_file()]
  files = [p for p in files if p.stat().st_size]
  assert len(files) > 8
  for path in files:
    before = path.read_bytes()
    flip(path)
    assert checksums.damage(folder / '2'), path
    caplog.clear()
    assert checkpoint.load_variables(tmp_path, best=False)[1] == 1
    assert 'step 2 is damaged' in caplog.text
    path.write_bytes(before)
  assert not checksums.damage(folder / '2')


@pytest.mark.parametrize('how', ['flip', 'cut', 'delete', 'no sums'])
def test_a_damaged_checkpoint_is_named_and_set_aside(tmp_path, how, caplog):
  save_all(tmp_path, {1: None, 2: None}).close()
  folder = tmp_path / 'checkpoints'
  model = [p for p in (folder / '2/model').rglob('*') if p.is_file()]
  largest = max(model, key=lambda p: p.stat().st_size)
  if how == 'flip':
    flip(largest)
  if how == 'cut':
    largest.write_bytes(largest.read_bytes()[:-1])
  if how == 'delete':
    largest.unlink()
  if how == 'no sums':
    (folder / '2' / checksums.FILE).write_bytes(b'\xff' * 9)
  with pytest.raises(RunError, match=r'step 2 .* is damaged'):
    checkpoint.load_variables(tmp_path, step=2)
  checkpoint.set_damaged_aside(folder)
  assert 'step 2 is damaged' in caplog.text
  assert (folder / 'damaged-2').is_dir()
  saver = save_all(tmp_path, {2: None, 3: None})  # as if it had never been
  assert saver.latest_step() == 3
  saver.close()
  assert checkpoint.load_variables(tmp_path, step=2)[1] == 2


def test_all_damaged_is_said(tmp_path):
  save_all(tmp_path, {1: None, 2: None}).close()
  for step in (1, 2):
    flip(tmp_path / f'checkpoints/{step}/model/_METADATA')
  with pytest.raises(RunError, match='is damaged'):
    checkpoint.load_variables(tmp_path)
  checkpoint.set_damaged_aside(tmp_path / 'checkpoints')
  saver = checkpoint.Checkpointer(tmp_path / 'checkpoints')
  assert saver.latest_step() is None
  saver.close()


def test_scores_that_can_not_be_read_are_said(tmp_path):
  save_all(tmp_path, {1: 0.5}).close()
  (tmp_path / 'checkpoints' / checkpoint.SCORES).write_text('[1')
  with pytest.raises(RunError, match=r'scores.json is damaged'):
    checkpoint.Checkpointer(tmp_path / 'checkpoints')


def test_no_checkpoint_says_what_to_do(tmp_path):
  with pytest.raises(RunError, match='there is no checkpoint yet'):
    checkpoint.load_variables(tmp_path)
  save_all(tmp_path, {3: None}).close()
  with pytest.raises(RunError, match=r'no checkpoint 4, only \[3\]'):
    checkpoint.load_variables(tmp_path, step=4)
