"""The cache of compiled programs: on by default, and never in the way."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from deeplax import compilation_cache

ROOT = pathlib.Path(__file__).resolve().parents[1]

START = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
from deeplax import cli
"""

SMALL = """
def work():
  import jax, jax.numpy as jnp
  def program(x): return jnp.sin(x) @ x
  jax.block_until_ready(jax.jit(program)(jnp.ones((8, 8))))
"""

STEP = """
def work():
  import test_steps
  test_steps.run(test_steps.Tiny(dropout=0.5), [test_steps.batch_of(0)])
"""

COUNT = """
def main(argv):
  import jax, json
  from jax import monitoring
  counts = {'hits': 0, 'misses': 0}
  def count(event, **_):
    place, _, name = event.rpartition('/cache_')
    if place == '/jax/compilation_cache':
      counts[name] += 1
  monitoring.register_event_listener(count)
  work()
  counts['seconds'] = jax.config.jax_persistent_cache_min_compile_time_secs
  print(json.dumps(counts))
cli.run(main)
"""


def run(tmp_path, work=SMALL, **variables):
  """What a command counts in a process of its own, and what it says."""
  script = tmp_path / 'command.py'
  start = START.format(root=str(ROOT), tests=str(ROOT / 'tests'))
  script.write_text(start + work + COUNT)
  environment = {
    key: value
    for key, value in os.environ.items()
    if 'CACHE' not in key and key != 'XLA_FLAGS'
  }
  done = subprocess.run(
    [sys.executable, str(script)],
    env={**environment, 'HOME': str(tmp_path / 'home'), **variables},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  return json.loads(done.stdout.splitlines()[-1]), done.stderr


ALL = {'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0'}


def entries(folder):
  return sorted(folder.glob('*-cache'))


def test_a_second_start_compiles_nothing(tmp_path):
  first, _ = run(tmp_path, STEP, **ALL)
  second, _ = run(tmp_path, STEP, **ALL)
  assert first['hits'] == 0
  assert (second['hits'], second['misses']) == (first['misses'], 0)
  folder = tmp_path / 'home' / '.cache' / 'deeplax' / 'jax'
  names = [path.name for path in entries(folder)]
  assert len(names) == first['misses']
  assert any(name.startswith('jit_train_step-') for name in names)


def test_what_compiles_in_no_time_is_not_kept(tmp_path):
  counts, _ = run(tmp_path)
  assert counts['seconds'] == 0.5
  assert not entries(tmp_path / 'home' / '.cache' / 'deeplax' / 'jax')


def test_where_it_lies_is_the_users_choice(tmp_path):
  xdg, own = tmp_path / 'xdg', tmp_path / 'own'
  run(tmp_path, XDG_CACHE_HOME=str(xdg), **ALL)
  assert entries(xdg / 'deeplax' / 'jax')
  run(tmp_path, JAX_COMPILATION_CACHE_DIR=str(own), **ALL)
  assert entries(own)
  off, _ = run(tmp_path, JAX_ENABLE_COMPILATION_CACHE='0', **ALL)
  assert off['misses'] == 0
  assert not (tmp_path / 'home').exists()


@pytest.mark.parametrize('content', [b'', b'half'], ids=['empty', 'cut short'])
def test_damaged_entries_are_made_anew_with_a_word(tmp_path, content):
  folder = tmp_path / 'cache'
  variables = {'JAX_COMPILATION_CACHE_DIR': str(folder), **ALL}
  first, said = run(tmp_path, **variables)
  assert first['misses'] > 1
  assert said == ''
  for path in entries(folder):
    path.write_bytes(path.read_bytes()[:100] if content else b'')
  second, said = run(tmp_path, **variables)
  assert second == {**first, 'hits': 0}
  assert said.count('compiled again') == 1
  assert 'Warning' not in said
  third, said = run(tmp_path, **variables)
  assert third == {**first, 'hits': first['misses'], 'misses': 0}
  assert said == ''


def test_a_folder_that_can_not_be_made_costs_one_line(tmp_path):
  blocked = tmp_path / 'file'
  blocked.write_text('in the way')
  counts, said = run(tmp_path, XDG_CACHE_HOME=str(blocked), **ALL)
  assert (counts['hits'], counts['misses']) == (0, 0)
  assert said.count('compiled again') == 1
  assert 'Warning' not in said


def test_without_a_home_there_is_none(monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', 'relative')
  monkeypatch.setattr(os.path, 'expanduser', lambda path: path)
  assert compilation_cache.default_folder() is None


def test_the_entries_that_were_not_used_longest_go_first(tmp_path):
  for i, name in enumerate(('old', 'read', 'new')):
    path = tmp_path / f'{name}-cache'
    path.write_bytes(bytes(100))
    os.utime(path, (1000 + i, 1000 + i))
  os.utime(tmp_path / 'old-cache', (1000, 1000))
  os.utime(tmp_path / 'read-cache', (5000, 1001))  # atime, mtime
  other = tmp_path / 'notes.txt'
  other.write_bytes(bytes(1000))
  compilation_cache.cut_back(tmp_path, 300)
  assert len(entries(tmp_path)) == 3
  compilation_cache.cut_back(tmp_path, 150)
  assert entries(tmp_path) == [tmp_path / 'read-cache']
  assert other.exists()
  compilation_cache.cut_back(tmp_path / 'nowhere', 0)
