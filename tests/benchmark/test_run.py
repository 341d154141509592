"""The command: a table, JSON, flags that mean nothing, packages not there."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from deeplax import benchmark
from deeplax.benchmark.run import run
from deeplax.benchmark.table import table
from deeplax.errors import ConfigError, RunError

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Runs a command as if these were not installed.
WITHOUT = """
import runpy, sys
absent = sys.argv.pop(1).split(',')
for name in absent:
  sys.modules[name] = None
sys.path.insert(0, 'launch')
runpy.run_path(sys.argv.pop(1), run_name='__main__')
"""
VGG = [
  '--config=configs/benchmark.py',
  *('--config.model.encoder=vgg', '--config.model.variant=16'),
  *('--config.model.head=none', '--config.model.decoder=none'),
  '--config.model.output_stride=16',
]


def launch(*words, absent=()):
  """The command, with a word on what it finds no trace of."""
  return subprocess.run(
    [
      *(sys.executable, '-c', WITHOUT, ','.join(absent) or '-'),
      *('launch/benchmark.py', *words),
    ],
    cwd=ROOT,
    env={**os.environ, 'XLA_FLAGS': ''},
    capture_output=True,
    text=True,
    check=False,
  )


ABSENT = ('tensorflow', 'grain', 'tensorflow_datasets', 'clu', 'torch')


@pytest.mark.parametrize('what', ['train', 'eval'])
def test_the_device_alone_needs_neither_input_nor_peers(what, tmp_path):
  output = tmp_path / 'rows.jsonl'
  output.write_text('{"what": "before"}\n')
  done = launch(
    *(f'--what={what}', *VGG, '--size=32x32', '--batch_size=1'),
    *('--repeats=1', f'--output={output}'),
    absent=ABSENT,
  )
  assert done.returncode == 0, done.stderr
  *lines, last = done.stdout.splitlines()
  result = json.loads(last)
  assert any(line.startswith('images_per_second ') for line in lines)
  assert result['what'] == what and result['images_per_second'] > 0
  assert result['command'].startswith('launch/benchmark.py --what=')
  assert output.read_text() == f'{{"what": "before"}}\n{last}\n'


@pytest.mark.parametrize(
  'words, absent, code, message',
  [
    (['--what=train', '--peer=smp'], ('torch',), 1, 'pip install torch'),
    (['--what=eval', '--peer=smp', *VGG], (), 2, 'no network like this one'),
    (['--what=train', '--size=48x'], (), 2, 'must be like 512x1024'),
    (['--what=input', '--size=48x48'], (), 2, '--size says nothing to'),
    (['--what=train', '--output=/no/such/folder'], (), 1, 'No such file'),
    (['--what=train'], (), 2, 'give --config'),
  ],
)
def test_mistakes_are_one_paragraph(words, absent, code, message):
  if words[-1] == '--peer=smp':
    words = [*words, '--config=configs/benchmark.py']
  done = launch(*words, absent=absent)
  assert done.returncode == code
  assert message in ' '.join(done.stderr.split())
  assert 'Traceback' not in done.stderr and not done.stdout


def measure(config=None, *, repeats: int = 5, size=None):
  return {'config': config, 'repeats': repeats, 'size': size}


@pytest.fixture
def part(monkeypatch):
  """`--what=fake`, the function above."""
  monkeypatch.setitem(benchmark.PARTS, 'fake', f'{__name__}:measure')
  monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])


def test_defaults_are_those_of_the_part(part, capsys):
  run('fake', None, repeats=None, size=(1, 2), image=None)
  result = json.loads(capsys.readouterr().out.splitlines()[-1])
  assert result['repeats'] == 5 and result['size'] == [1, 2]


def test_flags_of_other_parts_are_refused(part):
  with pytest.raises(ConfigError, match=r'takes: --config, --size, --repeats'):
    run('fake', None, image='a.jpg', size=None, repeats=None)


def test_an_output_that_can_not_be_is_said_first(part, tmp_path, capsys):
  with pytest.raises(RunError, match='can not be written'):
    run('fake', None, output=str(tmp_path))
  assert not capsys.readouterr().out


def test_table():
  found = table(
    {
      'speed': 1234567,
      'peer': {'eager': {'ms': 1.5}, 'compiled': {'failed': 'no'}},
      'kernels': [{'ms': 12.5, 'name': 'a'}, {'ms': 3.0, 'name': 'b' * 99}],
      'repeats': [1.0, 2.0],
    }
  )
  head, tail = found.split('\n\n')
  assert [line.split(None, 1) for line in head.splitlines()] == [
    ['speed', '1,234,567'],
    ['peer.eager.ms', '1.5'],
    ['peer.compiled.failed', 'no'],
    ['repeats', '[1.0, 2.0]'],
  ]
  title, names, first, second = tail.splitlines()
  assert (title, names.split()) == ('kernels:', ['ms', 'name'])
  assert first == '12.5  a' and second == f' 3.0  ...{"b" * 57}'
