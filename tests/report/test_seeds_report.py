"""Evaluations of several seeds as one: means, deviations, and what is not."""

import json
import math

import numpy as np
import pytest
import workdirs

from deeplax import report
from deeplax.errors import RunError
from deeplax.report import page, saved, seeds


def seed(workdir, number, monkeypatch, **options):
  """A complete run in a folder of seeds, evaluated."""
  folder = workdir / f'seed_{number}'
  workdirs.make(folder, monkeypatch, pictures=3, seed=number, **options)
  path = folder / 'config.json'
  config = json.loads(path.read_text()) | {'total_steps': 7, 'seed': number}
  path.write_text(json.dumps(config))
  (folder / 'checkpoints' / '7').mkdir(parents=True)
  (folder / 'checkpoints' / 'scores.json').write_text('{"7": 0.5}')
  return folder


@pytest.fixture
def workdir(tmp_path, monkeypatch):
  for number, share in enumerate((0.7, 0.6, 0.8)):
    seed(tmp_path / 'three', number, monkeypatch, share=share)
  return tmp_path / 'three'


def change(folder, **figures):
  """Other figures in a run's evaluation; None: there is none."""
  (path,) = (folder / 'evaluation').glob('*.json')
  tree = json.loads(path.read_text())
  tree['scalars'] |= {f'val/{name}': value for name, value in figures.items()}
  path.write_text(json.dumps(tree))


def test_means_and_deviations(workdir):
  runs = [saved.load(workdir / f'seed_{n}') for n in range(3)]
  found = seeds.load(workdir)
  assert (found.name, found.workdir) == ('three', workdir)
  assert found.config['seed'] == [0, 1, 2]
  for name in ('miou', 'pixel_accuracy', 'iou/car', 'category_iou/flat'):
    values = [run.figure(name) for run in runs]
    np.testing.assert_allclose(found.figure(name), np.mean(values), 1e-12)
    spread = found.spreads[name]
    np.testing.assert_allclose(spread.std, np.std(values, ddof=1), 1e-9)
    assert spread.n == 3
  assert math.isnan(found.figure('iou/bus'))  # neither there nor predicted
  np.testing.assert_array_equal(
    found.confusion, sum(run.confusion for run in runs)
  )
  curves = [run.measures['trimap']['miou'] for run in runs]
  np.testing.assert_allclose(
    found.measures['trimap']['miou'], np.mean(curves, 0)
  )
  bands = [run.measures['distance']['iou'] for run in runs]
  np.testing.assert_allclose(
    found.measures['distance']['iou'], np.mean(bands, 0)
  )
  assert (
    found.measures['trimap']['radius'] == runs[0].measures['trimap']['radius']
  )


def test_a_class_that_a_seed_lacks(workdir):
  change(workdir / 'seed_1', **{'iou/car': None})
  found = seeds.load(workdir)
  assert found.spreads['iou/car'].n == 2
  assert '(n = 2)' in seeds.table([found])
  assert 'nan' not in seeds.table([found])


def test_the_page_and_the_table(workdir, tmp_path, monkeypatch, capsys):
  plain = workdirs.make(tmp_path / 'plain', monkeypatch, pictures=3)
  assert report.compare([workdir, plain]) == 0
  found = seeds.load(workdir)
  content = (tmp_path / 'report' / 'index.html').read_text()
  said = capsys.readouterr().out
  for name in ('miou', 'iou/car'):
    spread = found.spreads[name]
    mean, std = 100 * spread.mean, 100 * spread.std
    assert f'{mean:.1f} ± {std:.1f}</span>' in content
    assert f'{mean:.2f} ± {std:.2f}' in said
  assert 'mean ± standard deviation of 3 seeds' in content
  assert '[0, 1, 2]' in content
  assert f'{100 * saved.load(plain).figure("miou"):.2f}\n' in said
  # Of one seed there is no deviation.
  alone = seeds.mean(workdir, {0: saved.load(workdir / 'seed_0')})
  assert '±</' not in page.render([alone, found]).decode()
  assert ' ± -' in seeds.table([alone])


def test_without_distance_in_one(workdir, monkeypatch):
  workdirs.evaluate(
    workdir / 'seed_1', monkeypatch, pictures=3, disparity=False
  )
  assert seeds.load(workdir).measures['distance'] is None


def test_only_complete_seeds_count(workdir, caplog):
  (workdir / 'seed_1' / 'checkpoints' / 'scores.json').unlink()
  assert seeds.load(workdir).config['seed'] == [0, 2]


def test_seeds_that_were_not_evaluated_alike(workdir, monkeypatch):
  workdirs.evaluate(workdir / 'seed_2', monkeypatch, pictures=2)
  with pytest.raises(RunError, match=r'pictures: 3 of seed_0, 2 of seed_2\)'):
    seeds.load(workdir)
  seed(workdir, 3, monkeypatch)
  (path,) = (workdir / 'seed_3' / 'evaluation').glob('*.json')
  path.unlink()
  with pytest.raises(RunError, match=r'seed_3 has no evaluation'):
    seeds.load(workdir)
