"""`python -m deeplax`."""

import pathlib
import subprocess
import sys

from deeplax import __main__ as main

ROOT = pathlib.Path(__file__).resolve().parents[1]


def test_it_lists_every_command_without_importing_jax():
  done = subprocess.run(
    [sys.executable, '-X', 'importtime', '-m', 'deeplax'],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
  )
  for path in (ROOT / 'launch').glob('*.py'):
    assert f'launch/{path.name}' in done.stdout
  assert all(len(line) <= 100 for line in done.stdout.splitlines())
  assert 'jax' not in {
    line.split('|')[-1].strip() for line in done.stderr.splitlines()
  }


def test_words_are_refused():
  done = subprocess.run(
    [sys.executable, '-m', 'deeplax', 'train'],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 2
  assert "takes no 'train'" in done.stderr


def test_outside_of_a_checkout(tmp_path):
  assert 'has none' in main.listing(tmp_path)
