"""Whole runs: exact resume after SIGKILL, bad numbers, bad workdirs."""

import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import jax
import ml_collections
import numpy as np
import pytest

from configs import common
from deeplax import (
  checkpoint,
  cli,
  config,
  init_from,
  loop,
  recipe,
  replay,
  saved_config,
  summaries,
  tally,
  train,
  workdir,
)
from deeplax.data import DataError, pipeline
from deeplax.errors import ConfigError, RunError, Stopped

pytestmark = pytest.mark.usefixtures('small_network')
ROOT = pathlib.Path(__file__).resolve().parents[1]


def tiny_config(**changes) -> ml_collections.ConfigDict:
  """Six steps of the smallest network on 32x64 scenes."""
  result = common.base()
  common.smoke(result)
  result.dataset.name = 'synthetic:32x64x12'
  result.input.train = (
    'random_scale(0.5, 2.0)|random_crop(32, 64)|random_flip()'
  )
  result.input.eval_batch_size = 4
  result.model.encoder = 'small'
  result.model.variant = '8'
  result.model.head_channels = 8
  result.model.decoder = 'none'
  result.batch_size = 4
  result.total_steps = 6
  result.eval_every = 3
  result.checkpoint_every = 1
  with result.unlocked():
    result.update_from_flattened_dict(changes)
  return result.lock()


@pytest.fixture(scope='module')
def finished(tmp_path_factory, small_network) -> pathlib.Path:
  """The workdir of an unbroken run."""
  folder = tmp_path_factory.mktemp('finished') / 'run'
  train.train_and_evaluate(tiny_config(), folder)
  return folder


def rows_without_timings(folder: pathlib.Path) -> list[dict]:
  return [
    {k: v for k, v in row.items() if k not in summaries.TIMINGS}
    for row in summaries.read(folder)
  ]


def parameters(folder: pathlib.Path) -> dict:
  return checkpoint.load_variables(folder, best=False)[0]


def assert_same_run(a: pathlib.Path, b: pathlib.Path) -> None:
  assert rows_without_timings(a) == rows_without_timings(b)
  jax.tree.map(np.testing.assert_array_equal, parameters(a), parameters(b))


def test_what_a_run_writes(finished):
  rows = summaries.read(finished)
  last = rows[-1]
  assert last['step'] == 6
  assert 0 <= last['val/miou'] <= 1
  assert 'val/iou/road' in last
  assert 'val/one_minus_soft_iou' in last
  training = [row for row in rows if 'train/loss' in row]
  assert [row['step'] for row in training] == [1, 2, 3, 4, 5, 6]
  assert {'train/learning_rate', 'train/gradient_norm'} <= training[0].keys()
  assert training[-1].keys() >= {*summaries.TIMINGS}
  saved = saved_config.load(finished / workdir.CONFIG)
  assert saved_config.differences(saved, tiny_config()) == []
  steps, best = checkpoint.steps(finished)
  assert steps[-1] == 6
  assert best in (3, 6)
  assert list(finished.glob('events.out.tfevents.*'))


def test_a_finished_run_is_left_as_it_is(finished):
  before = (finished / summaries.FILE).read_bytes()
  scalars = train.train_and_evaluate(tiny_config(), finished)
  assert (finished / summaries.FILE).read_bytes() == before
  assert scalars['val/miou'] == summaries.read(finished)[-1]['val/miou']


RUN = """
import pathlib, sys
sys.path[:0] = [{root!r}, {tests!r}]
if __name__ == '__main__':
  import test_train
  from deeplax import cli, train
  from tests import small_encoder
  small_encoder.add()
  def main(_):
    train.train_and_evaluate(
      test_train.tiny_config(**{changes!r}), pathlib.Path({folder!r})
    )
  sys.argv = sys.argv[:1]
  cli.run(main)
"""


def start(tmp_path, folder, **changes):
  """A training process as a user's: own interpreter, own main module."""
  script = tmp_path / 'run.py'
  script.write_text(
    RUN.format(
      root=str(ROOT),
      tests=str(ROOT / 'tests'),
      folder=str(folder),
      changes=changes,
    )
  )
  return subprocess.Popen(
    [sys.executable, str(script)],
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
  )


def children(pid: int) -> set[int]:
  """Processes below `pid`, from /proc."""
  found = set()
  for path in pathlib.Path('/proc').glob('[0-9]*/stat'):
    try:
      fields = path.read_text().rsplit(')', 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
      continue  # it ended while we looked
    if int(fields[1]) == pid and fields[0] != 'Z':
      child = int(path.parent.name)
      found |= {child} | children(child)
  return found


def alive(pid: int) -> bool:
  try:
    state = pathlib.Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1]
  except FileNotFoundError:
    return False
  return state.split()[0] != 'Z'


def run_until(process, folder, step):
  """Waits for a checkpoint; returns the workers that were met."""
  workers = set()
  while process.poll() is None:
    workers |= children(process.pid)
    found = folder.glob('checkpoints/[0-9]*')
    if any(p.name.isdigit() and int(p.name) >= step for p in found):
      break
    time.sleep(0.02)
  return workers


@pytest.mark.skipif(not pathlib.Path('/proc').is_dir(), reason='needs /proc')
def test_killed_stopped_and_damaged_it_ends_bit_identical(finished, tmp_path):
  folder = tmp_path / 'run'
  changes = {'input.workers': 2}
  for sent, after in ((signal.SIGKILL, 1), (signal.SIGTERM, 3)):
    process = start(tmp_path, folder, **changes)
    workers = run_until(process, folder, after)
    process.send_signal(sent)
    _, errors = process.communicate(timeout=300)
    if sent == signal.SIGTERM:
      assert process.returncode == cli.STOPPED, errors
      assert 'SIGTERM: the step is finished and saved' in errors
      assert 'The same command goes on from there.' in errors
    assert len(workers) >= 2
    deadline = time.monotonic() + 10
    while any(map(alive, workers)) and time.monotonic() < deadline:
      time.sleep(0.1)
    assert not [pid for pid in workers if alive(pid)]
  newest = checkpoint.steps(folder)[0][-1]
  damage(folder, newest)
  process = start(tmp_path, folder, **changes)
  _, errors = process.communicate(timeout=300)
  assert process.returncode == 0, errors
  assert f'checkpoint of step {newest} is damaged' in errors
  assert_same_run(finished, folder)


def damage(folder, step):
  """Flips a bit of a checkpoint's largest file."""
  files = (folder / f'checkpoints/{step}').rglob('*')
  path = max((p for p in files if p.is_file()), key=lambda p: p.stat().st_size)
  content = bytearray(path.read_bytes())
  content[len(content) // 3] ^= 1
  path.write_bytes(content)


def stopped_at(
  monkeypatch, place, name, when, folder, number=signal.SIGTERM, **changes
):
  """Trains with a signal at the `when`-th call of a function."""
  calls = itertools.count(1)
  original = getattr(place, name)

  def wrapped(*args, **kwargs):
    if next(calls) == when:
      signal.raise_signal(number)
    return original(*args, **kwargs)

  with monkeypatch.context() as patch:
    patch.setattr(place, name, wrapped)
    with pytest.raises(Stopped) as stopped:
      train.train_and_evaluate(tiny_config(**changes), folder)
  return str(stopped.value)


def test_a_step_that_is_done_again_is_evaluated_again(
  finished, tmp_path, monkeypatch
):
  folder = tmp_path / 'run'
  shutil.copytree(finished, folder)
  damage(folder, 6)
  found = stopped_at(monkeypatch, tally.Tally, 'add', 1, folder)
  assert 'in the evaluation of step 6' in found
  train.train_and_evaluate(tiny_config(), folder)
  assert_same_run(finished, folder)


def test_a_signal_finishes_the_step_and_the_run_goes_on(
  finished, tmp_path, monkeypatch
):
  folder = tmp_path / 'run'
  for when, (place, name), words in (
    (1, (recipe, 'make_step'), 'before a step was done'),
    (2, (loop.Loop, 'report'), 'after step 2 of 6'),
    (1, (tally.Tally, 'add'), 'in the evaluation of step 3'),
    (1, (loop.Loop, 'report'), 'after step 4 of 6'),
    (3, (tally.Tally, 'add'), 'in the evaluation of step 6'),
  ):
    found = stopped_at(monkeypatch, place, name, when, folder, signal.SIGINT)
    assert words in found
    assert found.startswith('SIGINT')
  train.train_and_evaluate(tiny_config(), folder)
  assert_same_run(finished, folder)
  assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_clock_that_is_set_back_changes_nothing(
  finished, tmp_path, monkeypatch
):
  folder = tmp_path / 'run'
  stopped_at(monkeypatch, loop.Loop, 'report', 4, folder)
  years = itertools.count(1)
  monkeypatch.setattr(time, 'time', lambda: 1.5e9 - 3e7 * next(years))
  monkeypatch.setattr(time, 'time_ns', lambda: int(1.5e18) - next(years))
  train.train_and_evaluate(tiny_config(), folder)
  assert_same_run(finished, folder)
  assert checkpoint.steps(folder)[0][-2:] == [5, 6]


def test_the_second_signal_ends_it_at_once(tmp_path, monkeypatch):
  def save(*_):
    signal.raise_signal(signal.SIGTERM)

  monkeypatch.setattr(loop.Loop, 'save', save)
  monkeypatch.setattr(loop.Loop, 'report', save)
  with pytest.raises(KeyboardInterrupt) as error:
    train.train_and_evaluate(tiny_config(), tmp_path)
  assert error.value.args == (signal.SIGTERM,)


def test_two_runs_do_not_share_a_folder(finished):
  with (
    workdir.locked(finished),
    pytest.raises(RunError, match=r'another run is at work .*process \d+ on'),
  ):
    train.train_and_evaluate(tiny_config(), finished)


def test_without_more_batches_what_was_done_is_saved(tmp_path, monkeypatch):
  calls = itertools.count(1)
  original = pipeline.Batches.__next__

  def up_to_three(self):
    if next(calls) > 3:
      raise DataError('gone', file='x.png')
    return original(self)

  monkeypatch.setattr(pipeline.Batches, '__next__', up_to_three)
  config_ = tiny_config(checkpoint_every=100, eval_every=100)
  with pytest.raises(DataError, match=r'x.png: gone'):
    train.train_and_evaluate(config_, tmp_path)
  assert checkpoint.steps(tmp_path) == ([3], None)


def test_another_config_is_not_mixed_in(finished):
  with pytest.raises(RunError, match=r'batch_size: 4 -> 2'):
    train.train_and_evaluate(tiny_config(batch_size=2), finished)
  with pytest.raises(RunError, match=r'schedule.peak'):
    train.train_and_evaluate(tiny_config(**{'schedule.peak': 0.5}), finished)


def test_workers_and_logging_may_change(finished):
  changes = {'input.workers': 1, 'log_every': 5}
  train.train_and_evaluate(tiny_config(**changes), finished)


RATES = {
  'schedule.name': 'step',
  'schedule.boundaries': (0.5,),
  'schedule.factor': 1e30,
}


@pytest.fixture(scope='module')
def gone_bad(tmp_path_factory, small_network):
  """The workdir of a run that ended in numbers that are not finite."""
  folder = tmp_path_factory.mktemp('bad') / 'run'
  with pytest.raises(RunError) as error:
    train.train_and_evaluate(tiny_config(**RATES), folder)
  return folder, str(error.value)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good(gone_bad):
  folder, message = gone_bad
  found = re.search(
    r'is (nan|-?inf) at step (\d) \(learning rate .*checkpoint of step (\d) is '
    r'good.*--replay=(\S+)',
    message,
  )
  bad, good = int(found[2]), int(found[3])
  assert 3 <= good == bad - 1
  assert checkpoint.steps(folder)[0][-1] == good
  finite = jax.tree.map(
    lambda x: np.isfinite(x).all(), parameters(folder)['params']
  )
  assert all(jax.tree.leaves(finite))
  for line in (folder / summaries.FILE).read_text().splitlines():
    assert 'NaN' not in line
  kept = json.loads(pathlib.Path(found[4], 'step.json').read_text())
  assert kept['step'] == bad
  assert len(kept['ids']) == 4
  # The state from before the step, not the one that it would have led to.
  before = checkpoint.load_variables(pathlib.Path(found[4]))
  assert before[1] == good
  jax.tree.map(np.testing.assert_array_equal, before[0], parameters(folder))


def test_a_bad_step_can_be_replayed(gone_bad):
  folder, message = gone_bad
  kept = pathlib.Path(re.search(r'--replay=(\S+)', message)[1])
  words = replay.replay(kept)
  assert re.search(r'before the step, params: (\d+) of \1 arrays', words)
  assert re.search(r'the FIRST output that is not finite is that of \w+', words)
  assert 'NOT FINITE: encoder/' in words
  found = json.loads((kept / 'step.json').read_text())
  assert found['ids'][0] in words
  (kept / 'step.json').write_text(json.dumps(found | {'ids': ['other']}))
  with pytest.raises(RunError, match=r'they were other.*data .* has changed'):
    replay.replay(kept)
  with pytest.raises(RunError, match=r'step.json is missing'):
    replay.replay(folder)


def test_fewer_than_were_left_out_is_refused(tmp_path, monkeypatch):
  changes = {'schedule.name': 'constant', 'schedule.peak': 1e35}
  stopped_at(
    *(monkeypatch, loop.Loop, 'report', 3, tmp_path),
    **{'optimizer.skip_nonfinite': 3, **changes},
  )
  with pytest.raises(RunError, match=r'left out 2 steps .* 2 or more'):
    train.train_and_evaluate(tiny_config(**changes), tmp_path)


def test_bad_steps_may_be_left_out(tmp_path, caplog):
  # One step too large to be finite, then small ones again.
  changes = {
    'schedule.name': 'constant',
    'optimizer.skip_nonfinite': 3,
    'total_steps': 3,
    'schedule.peak': 1e35,
  }
  train.train_and_evaluate(tiny_config(**changes), tmp_path)
  rows = [r for r in summaries.read(tmp_path) if 'train/bad_steps' in r]
  assert [row['train/bad_steps'] for row in rows] == [0, 1, 2]
  assert 'loss is nan at step 2' in caplog.text
  assert 'left out, 1 of 3' in caplog.text


def test_unwritable_workdir(tmp_path):
  blocked = tmp_path / 'file'
  blocked.write_text('in the way')
  with pytest.raises(RunError, match='can not be written'):
    train.train_and_evaluate(tiny_config(), blocked / 'run')


def test_frozen_statistics_of_fresh_weights_are_refused_at_once(tmp_path):
  with pytest.raises(ConfigError, match=r'freeze_bn \(=True\) needs weights'):
    train.train_and_evaluate(
      tiny_config(**{'model.freeze_bn': True}), tmp_path / 'run'
    )
  assert not list(tmp_path.iterdir())


def test_frozen_statistics_may_go_on(finished, tmp_path):
  """A run with a checkpoint has its weights, wherever they came from."""
  shutil.copytree(finished, tmp_path / 'run')
  frozen = tiny_config(**{'model.freeze_bn': True})
  resolved = config.resolve(frozen, 12)
  saved_config.save(resolved, tmp_path / 'run' / workdir.CONFIG)
  scalars = train.train_and_evaluate(frozen, tmp_path / 'run')
  assert scalars == train.train_and_evaluate(tiny_config(), finished)


def test_init_from_takes_what_fits(finished, tmp_path, caplog):
  wider = tiny_config(
    **{
      'model.head_channels': 16,
      'init_from': str(finished),
      'total_steps': 1,
    }
  )
  workdir.log.propagate = True
  with caplog.at_level('INFO', 'deeplax'):
    train.train_and_evaluate(wider, tmp_path / 'wider')
  assert 'other shape, kept fresh: params/head' in caplog.text
  strict = tiny_config(
    **{
      'model.head_channels': 16,
      'init_from': f'{finished}@latest',
      'init_strict': True,
    }
  )
  with pytest.raises(RunError, match='init_strict'):
    train.train_and_evaluate(strict, tmp_path / 'strict')


def test_init_from_gives_the_other_runs_weights(finished):
  target = jax.tree.map(np.zeros_like, parameters(finished))
  loaded = init_from.load_initial(f'{finished}@6', target, strict=True)
  jax.tree.map(np.testing.assert_array_equal, loaded, parameters(finished))
  with pytest.raises(RunError, match='what follows @'):
    init_from.load_initial(f'{finished}@newest', target, strict=True)
  with pytest.raises(RunError, match='no checkpoint 99'):
    init_from.load_initial(f'{finished}@99', target, strict=True)
  with pytest.raises(RunError, match='does not fit'):
    init_from.load_initial(str(finished), {'params': {}}, strict=False)


def test_given_class_weights_must_be_one_a_class(tmp_path):
  weights = tiny_config(**{'loss.class_weights': (1.0, 2.0)})
  with pytest.raises(ConfigError, match='2 numbers, expected 19'):
    train.train_and_evaluate(weights, tmp_path)


def test_class_weights_from_the_data(tmp_path):
  from deeplax import data
  from deeplax.data import check

  config_ = tiny_config(
    **{'loss.class_weights_from_data': True, 'loss.void_class': True}
  )
  info = data.info('synthetic:32x64x12')
  source = data.source('synthetic:32x64x12', 'train')
  recipe.count_class_weights(config_, info, source, tmp_path)
  weights = recipe.class_weights(config_, info, tmp_path)
  counts = check.class_pixel_counts(source)[[*range(19), 255]]
  shares = counts / counts.sum()
  np.testing.assert_allclose(weights, 1 / np.log(1.02 + shares), rtol=1e-6)
  again = recipe.class_weights(config_, info, tmp_path)
  np.testing.assert_array_equal(again, weights)


def test_without_tensorflow_a_run_goes_on(tmp_path):
  code = (
    'import importlib.util as u; real = u.find_spec\n'
    'u.find_spec = lambda n, *a: None if n == "tensorflow" else real(n, *a)\n'
    'import sys; sys.modules["tensorflow"] = None\n'
  )
  folder = tmp_path / 'run'
  script = tmp_path / 'lean.py'
  script.write_text(
    code
    + RUN.format(
      root=str(ROOT),
      tests=str(ROOT / 'tests'),
      folder=str(folder),
      changes={'total_steps': 1},
    )
  )
  done = subprocess.run(
    [sys.executable, str(script)],
    capture_output=True,
    text=True,
    check=False,
    env={**os.environ, 'JAX_PLATFORMS': 'cpu'},
  )
  assert done.returncode == 0, done.stderr
  assert 'TensorBoard files are not written' in done.stderr
  assert not list(folder.glob('events*'))
  assert summaries.read(folder)[-1]['val/miou'] >= 0
