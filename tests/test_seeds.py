"""Several seeds of one config: each is the run it would be alone."""

import itertools
import json
import logging
import math
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

import deeplax
from configs import common
from deeplax import (
  checkpoint,
  dry_run,
  evaluate_seeds,
  init_from,
  loop,
  report,
  seeds,
  summaries,
  train,
  train_command,
  workdir,
)
from deeplax.data import DataError
from deeplax.errors import ConfigError, RunError, Stopped
from tests.checks import small_network

ROOT = pathlib.Path(__file__).resolve().parents[1]


def config(**changes):
  """Three steps of a network of three layers, from seed 5."""
  result = common.base()
  common.smoke(result)
  result.dataset.name = 'synthetic:32x48x6x3'
  result.input.train = 'random_crop(32, 48)|random_flip()'
  result.model.output_stride = 8
  result.schedule.peak = 0.3
  result.total_steps = 3
  result.eval_every = 2
  result.checkpoint_every = 1
  result.seed = 5
  result.update_from_flattened_dict(changes)
  return result.lock()


@pytest.fixture(scope='module', autouse=True)
def small():
  with pytest.MonkeyPatch.context() as patch:
    small_network.use(patch)
    # TensorBoard's files are of no concern here, and cost seconds.
    patch.setattr(summaries, '_tensorboard_writer', lambda _: None)
    patch.setattr(logging.getLogger('deeplax'), 'propagate', True)
    yield


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """A folder of the seeds 5, 6 and 7, and what memory each of them met."""
  folder = tmp_path_factory.mktemp('seeds') / 'three'
  met, original = [], seeds.train_and_evaluate

  def looking(*args):
    met.append(sum(x.nbytes for x in jax.live_arrays()))
    return original(*args)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(seeds, 'train_and_evaluate', looking)
    seeds.train_seeds(config(), folder, 3)
  return folder, met


@pytest.fixture
def three(trained, tmp_path):
  """A copy, to be changed."""
  return shutil.copytree(trained[0], tmp_path / 'three')


def rows(folder):
  return [
    {k: v for k, v in row.items() if k not in summaries.TIMINGS}
    for row in summaries.read(folder)
  ]


def parameters(folder):
  return checkpoint.load_variables(folder, best=False)[0]


def assert_same_run(a, b):
  assert rows(a) == rows(b)
  assert (a / 'config.json').read_text() == (b / 'config.json').read_text()
  jax.tree.map(np.testing.assert_array_equal, parameters(a), parameters(b))


def test_seeds_differ_and_each_is_a_lone_run(trained, tmp_path):
  folder, _ = trained
  train.train_and_evaluate(config(seed=6), tmp_path / 'lone')
  assert_same_run(tmp_path / 'lone', folder / 'seed_6')
  losses = [
    [r['train/loss'] for r in rows(folder / f'seed_{n}') if 'train/loss' in r]
    for n in (5, 6, 7)
  ]
  assert len(losses[0]) == 3
  for one, other in itertools.combinations(losses, 2):
    assert all(a != b for a, b in zip(one, other))


def test_the_scores(trained):
  folder, _ = trained
  tree = json.loads((folder / 'seeds.json').read_text())
  assert [row['seed'] for row in tree['seeds']] == [5, 6, 7]
  for key, pick in (('last', lambda v: v[-1]), ('best', max)):
    values = []
    for row in tree['seeds']:
      found = [r for r in rows(folder / row['folder']) if 'val/miou' in r]
      values.append(pick([r['val/miou'] for r in found]))
      assert row[key] == values[-1]
    assert tree[key]['n'] == 3
    np.testing.assert_allclose(tree[key]['mean'], np.mean(values), rtol=1e-12)
    np.testing.assert_allclose(tree[key]['std'], np.std(values, ddof=1), 1e-9)
    assert tree[key]['std'] > 0
  words = seeds.table(seeds.read(folder))
  mean, std = (100 * tree['last'][k] for k in ('mean', 'std'))
  assert re.search(rf'mean of 3, ± std +{mean:.2f} ± {std:.2f} ', words)
  assert words.count('\n') == 4


def test_a_seeds_state_is_freed(trained):
  _, met = trained
  assert met[1] == met[2]


def test_it_goes_on_and_more_can_be_added(trained, tmp_path, monkeypatch):
  folder = tmp_path / 'seeds'

  def at(when, place, name, count):
    """Trains with a SIGTERM after the `when`-th call of a method."""
    original, calls = getattr(place, name), itertools.count(1)

    def told(self, *args):
      result = original(self, *args)
      if next(calls) == when:
        signal.raise_signal(signal.SIGTERM)
      return result

    with monkeypatch.context() as patch:
      patch.setattr(place, name, told)
      with pytest.raises(Stopped) as stopped:
        seeds.train_seeds(config(), folder, count)
    return str(stopped.value)

  # The last score of seed 5: too late for that run, in time for the next one.
  words = at(2, checkpoint.Checkpointer, 'score', 2)
  assert words.startswith('SIGTERM: stopped after seed 5, which is complete')
  assert [*workdir.seeds(folder)] == [5]
  words = at(1, loop.Loop, 'report', 2)
  assert words.startswith('seed 6: SIGTERM: stopped after step 1 of 3')
  assert not (folder / 'seeds.json').exists()
  assert [s.seed for s in seeds.read(folder)] == [5]
  ran, original = [], loop.Loop.run
  monkeypatch.setattr(
    loop.Loop,
    'run',
    lambda self, *a: ran.append(self.workdir.name) or original(self, *a),
  )
  for count in (2, 3):
    seeds.train_seeds(config(), folder, count)
  assert ran == ['seed_6', 'seed_7']
  for n in (5, 6, 7):
    assert_same_run(folder / f'seed_{n}', trained[0] / f'seed_{n}')
  assert (folder / 'seeds.json').read_text() == (
    trained[0] / 'seeds.json'
  ).read_text()


@pytest.mark.parametrize(
  'error', [RunError('loss is nan'), DataError('torn', file='a.png')]
)
def test_a_seed_that_fails_is_named_and_the_others_stay(
  three, monkeypatch, error
):
  shutil.rmtree(three / 'seed_6')
  original = seeds.train_and_evaluate

  def failing(changed, folder):
    if changed.seed == 6:
      raise error
    return original(changed, folder)

  monkeypatch.setattr(seeds, 'train_and_evaluate', failing)
  with pytest.raises(type(error), match=r'^seed 6: (loss is nan|a.png: torn)'):
    seeds.train_seeds(config(), three, 3)
  assert [found.seed for found in seeds.read(three)] == [5, 7]


def test_one_seed_is_a_folder_too_and_is_printed(trained, tmp_path, capsys):
  folder = tmp_path / 'one'
  shutil.copytree(trained[0] / 'seed_5', folder / 'seed_5')
  train_command.train_command(config(), folder, 1)
  said = capsys.readouterr().out
  assert 'seed 5' in said and 'mean of 1, ± std' in said and '± -' in said
  assert said.endswith(f'\nEverything lies in {folder}\n')
  assert json.loads((folder / 'seeds.json').read_text())['last']['std'] is None


def test_dry_run_speaks_of_each_seed(three):
  shutil.rmtree(three / 'seed_6')
  shutil.rmtree(three / 'seed_7' / 'checkpoints' / '3')
  before = {p: p.stat().st_mtime_ns for p in three.rglob('*')}
  with dry_run.rehearsal(), pytest.raises(dry_run.Rehearsed) as end:
    seeds.train_seeds(config(), three, 3)
  words = str(end.value)
  assert words.count('network') == 1
  assert re.findall(r'seed_(\d): (.*)', words) == [
    ('5', 'complete, 3 steps'),
    ('6', 'a new run'),
    ('7', 'goes on from step 2'),
  ]
  assert before == {p: p.stat().st_mtime_ns for p in three.rglob('*')}


def test_folders_of_another_kind_are_refused(three):
  with pytest.raises(RunError, match=r'seed_5 is a run itself'):
    seeds.train_seeds(config(), three / 'seed_5', 2)
  assert not workdir.seeds(three / 'seed_5')
  with pytest.raises(RunError, match=r'one for each seed.* Go on with --seeds'):
    train.train_and_evaluate(config(), three)
  assert not (three / 'config.json').exists()
  # Another config's seeds would not be comparable, whichever they are.
  other = config(**{'schedule.peak': 0.1, 'seed': 8})
  with pytest.raises(RunError, match=r'(?s)seed_5 holds .*schedule.peak: 0.3'):
    seeds.train_seeds(other, three, 1)
  assert [*workdir.seeds(three)] == [5, 6, 7]


def test_what_needs_one_run_names_the_seeds(trained):
  folder, _ = trained
  words = r'Choose one of them: .*seed_5, .*seed_6, .*seed_7'
  for use in (
    deeplax.load,
    workdir.load_run,
    lambda f: init_from.load_initial(str(f), {}, strict=False),
  ):
    with pytest.raises(RunError, match=words):
      use(folder)


def test_a_seed_too_large_is_seen_at_once(tmp_path):
  with pytest.raises(ConfigError, match='seed'):
    seeds.train_seeds(config(seed=2**32 - 2), tmp_path / 'x', 3)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  'flags, words',
  [
    (['--seeds=0'], 'not a positive integer'),
    (['--seeds=-1'], 'not a positive integer'),
    (['--seeds=2', '--check=lr'], 'leave --seeds out'),
    (['--seeds=2', '--replay=x'], 'leave --seeds out'),
  ],
)
def test_flags_that_can_not_be(flags, words):
  demo = '--config=configs/demo.py'
  done = subprocess.run(
    [sys.executable, 'launch/train.py', demo, *flags],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 2 and 'Traceback' not in done.stderr
  assert words in ' '.join(done.stderr.split())


@pytest.fixture(scope='module')
def evaluated(trained, tmp_path_factory):
  """A copy whose seeds were evaluated, at two strides."""
  folder = tmp_path_factory.mktemp('evaluated') / 'three'
  shutil.copytree(trained[0], folder)
  return folder, evaluate_seeds.evaluate(folder, output_strides=(16, 8))


def stored(folder, stride=8):
  """The figures of each seed, as evaluation wrote them."""
  paths = sorted(folder.glob(f'seed_*/evaluation/val-*-os{stride}.json'))
  trees = [json.loads(path.read_text()) for path in paths]
  return [
    {k.removeprefix('val/'): v for k, v in tree['scalars'].items()}
    for tree in trees
  ]


def test_seeds_are_evaluated(evaluated):
  folder, code = evaluated
  assert code == 0
  for stride in (8, 16):
    path = folder / 'evaluation' / f'val-os{stride}.json'
    tree = json.loads(path.read_text())
    assert tree['split'] == 'val' and tree['output_stride'] == stride
    for seed in tree['seeds']:
      assert (folder / seed['file']).is_file()
    found = stored(folder, stride)
    assert len(found) == len(tree['seeds']) == 3
    for name in ('miou', 'pixel_accuracy', 'iou/road', 'iou/sky', 'iou/train'):
      values = [f[name] for f in found if f[name] is not None]
      spread = tree['figures'][name]
      assert spread['n'] == len(values)
      if values:
        np.testing.assert_allclose(spread['mean'], np.mean(values), 1e-9)
      if len(values) > 1:
        np.testing.assert_allclose(
          spread['std'], np.std(values, ddof=1), 1e-9, 1e-15
        )


def test_seeds_are_compared_with_a_run(evaluated, tmp_path, capsys):
  folder, _ = evaluated
  run, page = tmp_path / 'plain', tmp_path / 'page.html'
  shutil.copytree(folder / 'seed_6', run)
  assert report.compare([run, folder], page) == 0
  found = stored(folder)
  values = 100 * np.array([f['miou'] for f in found])
  mean, std = values.mean(), values.std(ddof=1)
  said = capsys.readouterr().out
  assert re.search(r'seeds +- +3\n', said)
  assert re.search(rf'mIoU % +{values[1]:.2f} +{mean:.2f} ± {std:.2f}\n', said)
  text = page.read_text()
  assert f'{mean:.1f} ± {std:.1f}' in text
  road = 100 * np.array([f['iou/road'] for f in found])
  assert f'{road.mean():.1f} ± {road.std(ddof=1):.1f}' in text
  assert 'mean ± standard deviation of 3 seeds' in text


def test_what_can_not_be_evaluated_is_left_out(three, caplog):
  shutil.rmtree(three / 'seed_5' / 'checkpoints' / '3')
  for path in (three / 'seed_6' / 'checkpoints').rglob('manifest.ocdbt'):
    path.write_bytes(b'torn')
  assert evaluate_seeds.evaluate(three) == 1
  assert 'not trained to the end, left out: seeds 5' in caplog.text
  assert re.search(r'left out: seed 6: .*damaged', caplog.text)
  tree = json.loads((three / 'evaluation' / 'val-os8.json').read_text())
  assert [row['seed'] for row in tree['seeds']] == [7]
  assert tree['figures']['miou']['std'] is None
  assert not math.isnan(tree['figures']['miou']['mean'])
  shutil.rmtree(three / 'seed_7' / 'checkpoints')
  shutil.rmtree(three / 'seed_6' / 'checkpoints')
  with pytest.raises(RunError, match=r'no seed is trained to its end'):
    evaluate_seeds.evaluate(three)
