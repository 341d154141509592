"""Imports point one way, and the core needs no tensorflow."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / 'deeplax').rglob('*.py'))

# What a package may import of its siblings; a package not named here joins the
# others and may import them all, launch/ excepted.
ALONE = {
  'ops',
  'models.atrous',
  'data.info',
  'metrics',
  'state',
  'errors',
  'atomic',
  'dry_run',
  'spread',
}
ALLOWED = {
  'checksums': {'atomic'},
  'models': {'models', 'ops', 'crf'},
  'data': {'data', 'errors', 'atomic', 'dry_run'},
  'pretrained': {'pretrained', 'errors', 'models', 'ops'},
  'losses': {'losses'},
  'optimizers': set(),
  'checkpoint': {
    'checkpoint',
    'atomic',
    'checksums',
    'errors',
    'sharding',
    'state',
  },
  'crf': {'crf', 'errors'},
  'sharding': set(),
  'inference': {'ops'},
  'network_summary': {'models.atrous'},
  'recipe_summary': {'config', 'data', 'evaluate', 'network_summary'},
  'papers_table': {'config_files', 'recipe_summary'},
  'summaries': {'atomic', 'errors'},
  'visualize': set(),
  'measures': {'data.geometry', 'data.info', 'measures', 'metrics', 'tally'},
  'report': {
    'dry_run',
    'atomic',
    'data',
    'errors',
    'evaluation_files',
    'evaluation_table',
    'measures',
    'metrics',
    'report',
    'spread',
    'workdir',
  },
  'upsampled': {'losses', 'metrics', 'ops'},
  'objective': {'losses', 'ops', 'state', 'upsampled'},
  'steps': {
    'losses',
    'metrics',
    'objective',
    'sharding',
    'state',
    'inference',
    'ops',
    'upsampled',
  },
}
# Third-party packages and the only places where they may be imported.
ROOMS = {
  'flax.linen': ('models/',),
  'orbax': ('checkpoint/',),
  'tensorflow': ('pretrained/tf_deeplab.py', 'export/formats/'),
  'torch': ('pretrained/pytorch.py', 'benchmark/peers/'),
  'clu': ('summaries.py',),
  'absl': ('cli.py', 'cli_flags.py', 'data/'),
}


def name_of(path: pathlib.Path) -> str:
  parts = path.relative_to(ROOT / 'deeplax').with_suffix('').parts
  return '.'.join(p for p in parts if p != '__init__')


def imports(path: pathlib.Path) -> set[str]:
  """Dotted names that a file imports, `from a import b` as a.b."""
  found = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f'{path}: relative import'
      found |= {f'{node.module}.{alias.name}' for alias in node.names}
  return found


def is_in(name: str, packages: set[str]) -> bool:
  return any(name == p or name.startswith(f'{p}.') for p in packages)


@pytest.mark.parametrize('path', FILES, ids=name_of)
def test_imports_point_one_way(path):
  name = name_of(path)
  siblings = {
    i.removeprefix('deeplax.')
    for i in imports(path)
    if i.startswith('deeplax.')
  }
  if is_in(name, ALONE):
    own = {next(p for p in ALONE if is_in(name, {p}))}
    wrong = {s for s in siblings if not is_in(s, own)}
  elif (top := name.split('.')[0]) in ALLOWED:
    wrong = {s for s in siblings if not is_in(s, ALLOWED[top])}
  else:
    wrong = set()
  assert not wrong, f'deeplax.{name} must not import {sorted(wrong)}'


@pytest.mark.parametrize('path', FILES, ids=name_of)
def test_packages_stay_in_their_rooms(path):
  place = path.relative_to(ROOT / 'deeplax').as_posix()
  for package, rooms in ROOMS.items():
    used = {i for i in imports(path) if is_in(i, {package})}
    assert not used or place.startswith(rooms), (
      f'{place} imports {sorted(used)}; only {rooms} may'
    )


@pytest.mark.parametrize(
  'code',
  [
    'import deeplax; deeplax.load, deeplax.build',
    'import deeplax.train, deeplax.predict',
    'from deeplax import models; models.build(19, variant="18")',
    'from deeplax.data import pipeline, check',
  ],
)
def test_no_tensorflow(code):
  code += "; import sys; assert 'tensorflow' not in sys.modules"
  done = subprocess.run(
    [sys.executable, '-c', code],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr


def test_entry_points_hold_no_logic():
  for path in (ROOT / 'launch').glob('*.py'):
    assert len(path.read_text().splitlines()) <= 60, path
