"""The benchmark of the CRF runs, and says what it measured."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from deeplax.benchmark import crf
from deeplax.errors import RunError

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_command_prints_a_table_and_json():
  command = [
    sys.executable,
    str(ROOT / 'launch' / 'benchmark.py'),
    *('--what=crf', '--size=48x64', '--preset=v2', '--repeats=3'),
  ]
  done = subprocess.run(command, capture_output=True, text=True, timeout=120)
  assert done.returncode == 0, done.stderr
  *lines, last = done.stdout.splitlines()
  result = json.loads(last)
  assert any(line.startswith('seconds ') for line in lines)
  assert (result['size'], result['preset']) == ('48x64', 'v2')
  assert result['seconds'] == sorted(result['repeats']['lattice'])[1] > 0
  assert result['picture'] == 'synthetic:48x64' and result['device']


@pytest.mark.peer
def test_both_sides_infer_the_same():
  pytest.importorskip('pydensecrf')
  result = crf.benchmark_crf(size=(48, 64), repeats=1)
  assert result['pydensecrf2_max_difference'] < 1e-3
  assert result['pydensecrf2_equal_labels'] >= 0.999
  fraction = result['pydensecrf2_seconds'] / result['seconds']
  assert result['times_as_fast'] == pytest.approx(fraction, rel=0.2)


def test_without_the_peer(monkeypatch):
  monkeypatch.setitem(sys.modules, 'pydensecrf', None)
  result = crf.benchmark_crf(size=(48, 64), repeats=1)
  assert result['pydensecrf2_seconds'] is None
  assert 'pydensecrf2' not in result['repeats'] and result['seconds'] > 0


def test_a_photograph_of_ones_own(tmp_path):
  path = str(tmp_path / 'no.jpg')
  with pytest.raises(RunError, match='is no picture'):
    crf.benchmark_crf(image=path, size=(48, 64))
  import cv2

  path = str(tmp_path / 'yes.png')
  cv2.imwrite(path, np.zeros((10, 12, 3), np.uint8))
  result = crf.benchmark_crf(image=path, size=(48, 64), repeats=1)
  assert result['picture'] == path


@pytest.mark.parametrize('size', ((0, 48), (48, 0)))
def test_size(size):
  with pytest.raises(RunError, match='expected at least 1x1'):
    crf.benchmark_crf(size=size)
