"""The report as a file: of one run, of several, and what is said if not."""

import logging

import pytest
import workdirs

from deeplax import report
from deeplax.data import DatasetInfo, Label
from deeplax.errors import RunError


def test_a_page_is_written_beside_the_run(tmp_path, monkeypatch):
  run = workdirs.make(tmp_path / 'run', monkeypatch)
  path = report.write(run)
  assert path == run / 'report' / 'index.html'
  assert path.read_text().startswith('<!doctype html>')
  assert [p.name for p in path.parent.iterdir()] == ['index.html']


def test_a_run_without_evaluation(tmp_path):
  workdirs.prepare(tmp_path / 'run')
  with pytest.raises(RunError, match='has no evaluation'):
    report.write(tmp_path / 'run')
  assert not (tmp_path / 'run' / 'report').exists()


@pytest.fixture
def runs(tmp_path, monkeypatch):
  for name, share in (('a', 0.8), ('b', 0.5), ('c', 0.6)):
    workdirs.make(tmp_path / name, monkeypatch, share=share, pictures=4)
  return tmp_path


def test_runs_are_compared(runs, capsys):
  assert report.compare([runs / 'a', runs / 'b', runs / 'c']) == 0
  path = runs / 'report' / 'index.html'
  assert str(path) in capsys.readouterr().out
  page = path.read_text()
  assert '<title>a · b · c' in page and 'The configs are the same.' in page
  other = runs / 'deep' / 'page.html'
  assert report.compare([runs / 'a', runs / 'b'], other) == 0
  assert '<title>a · b –' in other.read_text()


def test_runs_that_can_not_be_compared_are_left_out(runs, monkeypatch, caplog):
  monkeypatch.setattr(logging.getLogger('deeplax'), 'propagate', True)
  workdirs.prepare(runs / 'new')
  two = tuple(Label(n, i, i, n, (i, i, i)) for i, n in enumerate('xyz'))
  workdirs.make(runs / 'other', monkeypatch, info=DatasetInfo('other', two))
  names = ('a', 'new', 'nowhere', 'other', 'b')
  assert report.compare([runs / n for n in names]) == 1
  said = [record.getMessage() for record in caplog.records]
  assert len(said) == 3
  assert 'new has no evaluation' in said[0]
  assert 'nowhere' in said[1]
  assert 'other has other classes (3)' in said[2]
  assert '<title>a · b –' in (runs / 'report' / 'index.html').read_text()


def test_less_than_two_runs_are_no_comparison(runs):
  workdirs.prepare(runs / 'new')
  with pytest.raises(RunError, match='two workdirs'):
    report.compare([runs / 'a'])
  with pytest.raises(RunError, match='new has no evaluation'):
    report.compare([runs / 'a', runs / 'new'])
  assert not (runs / 'report').exists()


def test_runs_of_one_name_show_their_folders(runs, monkeypatch):
  workdirs.make(runs / 'x' / 'a', monkeypatch, pictures=2)
  report.compare([runs / 'a', runs / 'x' / 'a'])
  page = (runs / 'report' / 'index.html').read_text()
  assert f'{runs / "a"}</th>' in page.replace('<small>', '</th>')


def test_a_place_that_can_not_be_written(runs):
  (runs / 'file').write_text('')
  with pytest.raises(RunError, match=r'page\.html can not be written'):
    report.compare([runs / 'a', runs / 'b'], runs / 'file' / 'page.html')
