"""The benchmark runs, and says what it measured on."""

import json
import pathlib
import subprocess
import sys

from configs import demo
from deeplax.benchmark.input import benchmark_input
from deeplax.benchmark.table import table

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_input_of_a_config():
  result = benchmark_input(
    demo.get_config(), workers=0, batch_size=2, seconds=0.2, repeats=3
  )
  rates = result['repeats']
  assert len(rates) == 3 and min(rates) > 0
  assert result['crops_per_second'] == sorted(rates)[1]
  assert (result['slowest'], result['fastest']) == (min(rates), max(rates))
  assert result['ops'] == demo.get_config().input.train
  assert (result['workers'], result['batch_size']) == (0, 2)
  assert all(key in table(result) for key in result)


def test_command_prints_a_table_and_json():
  command = [
    sys.executable,
    str(ROOT / 'launch' / 'benchmark.py'),
    *('--what=input', '--pictures=1', '--seconds=0.2', '--repeats=1'),
    *('--workers=0', '--batch_size=1'),
  ]
  done = subprocess.run(command, capture_output=True, text=True, timeout=120)
  assert done.returncode == 0, done.stderr
  *lines, last = done.stdout.splitlines()
  result = json.loads(last)
  assert any(line.startswith('crops_per_second') for line in lines)
  assert 'random_crop(512, 1024)' in result['ops']
  assert result['cores'] and result['grain'] and result['crops_per_second'] > 0
