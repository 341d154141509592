"""Commands in documents: each parses, and what one makes the next can use."""

import ast
import json
import pathlib
import re
import shlex
import subprocess
import sys

import ml_collections
import pytest

from deeplax import config as config_lib
from deeplax import config_files, open_keys, pretrained, saved_config

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = ROOT / 'README.md'
CONFIGS = sorted((ROOT / 'configs').glob('[!_]*.py'))
PIECES = ('camvid', 'common', 'course')  # recipes that configs share
DOCUMENTS = (
  README,
  *CONFIGS,
  *sorted((ROOT / 'launch').glob('*.py')),
)
# Each command in a process of its own, as absl's flags are global; forked from
# one that has the imports already, so that all of them take a second or two.
READ = """
import contextlib, io, json, os, runpy, sys
from absl import flags
from ml_collections import ConfigDict
from deeplax import cli, config_files
for words in json.load(sys.stdin):
  if os.fork():
    os.wait()
    continue
  sys.argv = words
  errors = io.StringIO()
  result = {'words': words}
  try:
    with contextlib.redirect_stderr(errors):
      runpy.run_path(words[0])
      cli._parse(words)
      values = flags.FLAGS.flag_values_dict()
      config = values.get('config')
      result['config'] = config and ConfigDict(config).to_dict()
      if 'configs' in values:
        config_files.load_all(values['configs'])
      result['flags'] = {
        k: v for k, v in values.items() if not k.startswith('config')
      }
  except (Exception, SystemExit) as error:
    result['error'] = f'{errors.getvalue()} {error!r}'
  print(json.dumps(result, default=str), flush=True)
  os._exit(0)
"""


def text(path: pathlib.Path) -> str:
  """What of a file is written for people."""
  content = path.read_text()
  if path.suffix == '.md':
    return '\n'.join(re.findall(r'```sh\n(.*?)```', content, re.DOTALL))
  return ast.get_docstring(ast.parse(content))


def commands(path: pathlib.Path) -> list[list[str]]:
  """The words of each command line, from `launch/...` on."""
  lines = text(path).replace('\\\n', ' ').splitlines()
  found = [
    re.fullmatch(r'\s*(?:\S*/)?python3? (launch/.*)', line) for line in lines
  ]
  return [shlex.split(match[1], comments=True) for match in found if match]


def parse(lines: list[list[str]]) -> list[dict]:
  """Of each command: `words`, and `flags` and `config`, or an `error`."""
  done = subprocess.run(
    [sys.executable, '-c', READ],
    cwd=ROOT,
    input=json.dumps(lines),
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  parsed = [json.loads(line) for line in done.stdout.splitlines()]
  assert [command['words'] for command in parsed] == lines
  return parsed


@pytest.fixture(scope='module')
def documents():
  """{document: its commands, parsed}."""
  words = {path: commands(path) for path in DOCUMENTS}
  parsed = iter(parse([line for lines in words.values() for line in lines]))
  return {path: [next(parsed) for _ in lines] for path, lines in words.items()}


def name(path):
  return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize('path', DOCUMENTS, ids=name)
def test_they_parse(path, documents):
  assert documents[path] or path.stem in PIECES, 'no command is documented'
  for command in documents[path]:
    assert 'error' not in command, command


def test_a_mistake_would_be_seen():
  good = ['launch/train.py', '--config=configs/demo.py:smoke']
  wrong = (
    [*good, '--wokrdir=x'],
    [*good, '--config.model.varient=18'],
    [*good, '--config.batch_size=many'],
    ['launch/train.py', '--config=configs/demo.py:smok'],
    ['launch/train.py', '--config=configs/nothing.py'],
    ['launch/convert.py', '--config=configs/demo.py', '--source=timm'],
    ['launch/describe.py', '--compare', '--configs=unet,r101:os15'],
  )
  found = ['error' in command for command in parse([good, *wrong])]
  assert found == [False, *(True for _ in wrong)]


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
def test_every_config_says_how_it_is_trained(path, documents):
  if path.stem in PIECES:
    return
  trained = {
    word.partition('=')[2].partition(':')[0]
    for command in documents[path]
    if command['words'][0] == 'launch/train.py'
    for word in command['words']
  }
  assert f'configs/{path.name}' in trained


def test_what_is_trained_may_be(documents, tmp_path):
  for command in (c for found in documents.values() for c in found):
    if command['words'][0] == 'launch/train.py' and command['config']:
      path = tmp_path / 'config.json'
      # What is left open is chosen when there is data.
      config = open_keys.filled(ml_collections.ConfigDict(command['config']))
      path.write_text(config.to_json())
      config = saved_config.load(path)
      config.mesh.data = 1  # whatever devices the suite pretends to have
      config_lib.validate(config)
      config_lib.validate_start(config)


@pytest.mark.parametrize('path', [README, *CONFIGS], ids=name)
def test_folders_that_are_read_were_written(path, documents):
  """And weights go into the network that they were converted for.

  With its normalisation, epsilon and strides, which no shape tells of.
  """
  converted, runs = {}, set()
  for command in documents[path]:
    flags = command['flags']
    kind = pathlib.Path(command['words'][0]).stem
    if kind == 'convert':
      assert flags['source'] in pretrained.sources()
      converted[flags['output']] = command['config']['model']
    elif kind == 'train':
      start = command['config']['init_from'].partition('@')[0]
      if start in converted:
        assert command['config']['model'] == converted[start]
      else:
        assert not start or start in runs, f'nothing makes {start}'
      (file,) = (w for w in command['words'] if w.startswith('--config='))
      runs.add(f'runs/{config_files.run_name(file.partition("=")[2])}')
    elif kind in ('evaluate', 'predict'):
      wanted = {flags['workdir']}
      if flags.get('compare'):
        wanted = {w for w in command['words'][1:] if not w.startswith('-')}
      assert wanted <= runs | {*converted}
