"""Folders of runs that are none, or are damaged: one clear error each."""

import json
import shutil

import ml_collections
import pytest

from deeplax import checkpoint, workdir
from deeplax.data.datasets import cityscapes
from deeplax.errors import RunError


@pytest.fixture
def run(tmp_path):
  config = {'dataset': {}, 'input': {}, 'model': {}, 'loss': {}}
  (tmp_path / 'config.json').write_text(json.dumps(config))
  (tmp_path / 'dataset.json').write_text(json.dumps(cityscapes.INFO.to_json()))
  return tmp_path


def fails(run, *words):
  with pytest.raises(RunError) as error:
    workdir.load_run(run)
  for word in words:
    assert word in str(error.value)
  assert '\n' not in str(error.value)


def test_a_file_is_no_workdir(tmp_path):
  (tmp_path / 'file').write_text('')
  fails(tmp_path / 'file', 'not the workdir of a run')


@pytest.mark.parametrize('text', ['[]', '{}', '{"a":', '"\xff"'])
def test_another_config_json(run, text):
  (run / 'config.json').write_text(text, encoding='latin1')
  fails(run, 'config.json')


@pytest.mark.parametrize('text', ['[]', '{}', '{"labels": [{}], "name": ""}'])
def test_another_dataset_json(run, text):
  (run / 'dataset.json').write_text(text)
  fails(run, 'dataset.json', 'class table')


def test_no_checkpoint(run):
  fails(run, 'no checkpoint', 'launch/train.py')
  (run / 'checkpoints').mkdir()
  fails(run, 'no checkpoint', 'launch/train.py')


@pytest.mark.parametrize('damage', ['empty', 'no model', 'cut'])
def test_a_damaged_checkpoint(run, damage, monkeypatch):
  (run / 'checkpoints' / '3').mkdir(parents=True)
  if damage == 'no model':
    (run / 'checkpoints' / '3' / 'optimizer').mkdir()
  if damage == 'cut':  # what Orbax raises for a short file

    def load(*_, **__):
      raise Exception('while reading') from ValueError('OUT_OF_RANGE')

    monkeypatch.setattr(checkpoint, 'load_variables', load)
  fails(run, 'is damaged', '--step')
  shutil.rmtree(run / 'checkpoints')


def test_a_folder_that_is_there_but_not_ours_is_written(tmp_path):
  config = ml_collections.ConfigDict({'seed': 1})
  (tmp_path / 'config.json').write_text('{"seed": 2}')
  workdir.prepare(tmp_path, config, cityscapes.INFO)
  assert json.loads((tmp_path / 'config.json').read_text()) == {'seed': 1}
