"""launch/evaluate.py: --compare, and what it says of wrong command lines."""

import os
import pathlib
import subprocess
import sys

import pytest
import workdirs

ROOT = pathlib.Path(__file__).resolve().parents[2]


def evaluate(*args):
  return subprocess.run(
    [sys.executable, str(ROOT / 'launch' / 'evaluate.py'), *map(str, args)],
    capture_output=True,
    text=True,
    env={**os.environ, 'JAX_PLATFORMS': 'cpu'},
    check=False,
  )


def test_compare(tmp_path, monkeypatch):
  for name in 'ab':
    workdirs.make(tmp_path / name, monkeypatch, pictures=2)
  workdirs.prepare(tmp_path / 'new')
  a, b, new = (tmp_path / name for name in ('a', 'b', 'new'))
  done = evaluate('--compare', a, new, b, f'--output={tmp_path}/page.html')
  assert done.returncode == 1, done.stderr
  said = ' '.join(done.stderr.split())
  assert 'error: left out:' in said and 'new has no evaluation.' in said
  assert 'Traceback' not in done.stderr
  assert f'Report: {tmp_path}/page.html' in done.stdout
  assert '<title>a · b –' in (tmp_path / 'page.html').read_text()
  done = evaluate(f'--compare={a},{b}')
  assert done.returncode == 0, done.stderr
  assert (tmp_path / 'report' / 'index.html').exists()


@pytest.mark.parametrize(
  ('args', 'words'),
  [
    ((), '--workdir is missing'),
    (('--workdir=x', 'y'), 'y: flags only'),
    (('--workdir=x', '--compare=y,z'), 'leave --workdir out'),
    (('--workdir=x', '--output=y'), '--output goes with --compare'),
  ],
)
def test_wrong_command_lines(args, words):
  done = evaluate(*args)
  assert done.returncode == 2 and 'Traceback' not in done.stderr
  assert words in ' '.join(done.stderr.split())
