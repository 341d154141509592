"""What an evaluation leaves is all that a report needs."""

import json
import math

import numpy as np
import pytest
import workdirs

from deeplax.errors import RunError
from deeplax.report import saved


@pytest.fixture
def run(tmp_path, monkeypatch):
  return workdirs.make(tmp_path / 'run', monkeypatch)


def test_a_run_is_read_back(run):
  found = saved.load(run)
  assert found.name == 'run' and found.file == 'val-7-os16'
  assert found.info.class_names == workdirs.NAMES
  assert found.confusion.shape == (5, 5) and found.confusion.sum() > 0
  stored = json.loads((run / 'evaluation' / 'val-7-os16.json').read_text())
  assert found.figure('miou') == stored['scalars']['val/miou'] > 0.3
  assert stored['scalars']['val/iou/bus'] is None
  assert math.isnan(found.figure('iou/bus'))
  assert math.isnan(found.measures['boundary']['iou'][4])
  assert math.isnan(found.figure('no such figure'))
  assert found.measures['distance']['to'][-1] is None
  assert found.config['model.output_stride'] == 16
  assert len(found.pictures) == 20
  assert found.pictures[0].miou <= found.pictures[-1].miou
  assert stored['versions']['jax'] and stored['device']


def test_no_distance_is_none(tmp_path, monkeypatch):
  run = workdirs.make(tmp_path / 'run', monkeypatch, disparity=False)
  assert saved.load(run).measures['distance'] is None


def test_the_last_evaluation_counts(run, monkeypatch):
  workdirs.evaluate(run, monkeypatch, step=5)
  assert saved.load(run).result['step'] == 5
  first = run / 'evaluation' / 'val-7-os16.json'
  assert saved.load(run, first).result['step'] == 7
  # One of an older version, written later, is no report.
  workdirs.evaluate(run, monkeypatch, step=6, measured=False)
  assert saved.load(run).result['step'] == 5


def test_pictures_of_another_evaluation_are_not_shown(run):
  path = run / 'evaluation' / 'val-7-os16' / 'worst.json'
  tree = json.loads(path.read_text())
  path.write_text(json.dumps({**tree, 'written': 'before'}))
  assert saved.load(run).pictures == []
  path.unlink()
  assert saved.load(run).pictures == []


def test_no_evaluation_is_one_line(tmp_path, monkeypatch):
  workdirs.prepare(tmp_path / 'run')
  with pytest.raises(RunError, match=r'run has no evaluation\. Make one first'):
    saved.load(tmp_path / 'run')
  workdirs.evaluate(tmp_path / 'run', monkeypatch, measured=False)
  with pytest.raises(RunError, match=r'1 of an older version.*--workdir='):
    saved.load(tmp_path / 'run')


@pytest.mark.parametrize(
  'change',
  [
    lambda tree: tree.pop('scalars'),
    lambda tree: tree.update(confusion=[[1, 2]]),
    lambda tree: tree.update(confusion='x'),
    lambda tree: tree.update(classes=['other']),
    lambda tree: tree.update(refined=3),
    lambda tree: tree['scalars'].update({'val/miou': 'much'}),
  ],
)
def test_a_damaged_evaluation_is_one_line(run, change):
  path = run / 'evaluation' / 'val-7-os16.json'
  tree = json.loads(path.read_text())
  change(tree)
  path.write_text(json.dumps(tree))
  with pytest.raises(RunError, match=r'val-7-os16\.json .*Evaluate again'):
    saved.load(run)


@pytest.mark.parametrize('file', ['val-7-os16.json', 'val-7-os16/worst.json'])
def test_a_broken_file_is_one_line(run, file):
  (run / 'evaluation' / file).write_text('{"half')
  with pytest.raises(RunError, match=r'json can not be read'):
    saved.load(run)


def test_figures_are_those_after_the_crf(tmp_path, monkeypatch):
  run = workdirs.make(tmp_path / 'run', monkeypatch, refined=True)
  path = run / 'evaluation' / 'val-7-os16.json'
  tree = json.loads(path.read_text())
  tree['refined']['scalars']['val/miou'] = 0.99
  path.write_text(json.dumps(tree))
  assert saved.load(run).figure('miou') == 0.99
  assert np.isfinite(tree['scalars']['val/miou'])
