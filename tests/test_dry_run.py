"""`--dry_run` of every command that writes: words, and not a file."""

import pathlib
import subprocess
import sys

import pytest

from deeplax import dry_run
from tests import tiny_run

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('dry')
  tiny_run.make(folder / 'run')
  tiny_run.save(folder / 'photos' / 'street.png', tiny_run.picture(32, 48))
  return folder


def listing(folder):
  return {path: path.stat().st_mtime_ns for path in folder.rglob('*')}


@pytest.mark.parametrize(
  'command, words',
  [
    (
      'train --config=configs/demo.py --workdir={}/new',
      ['400 pictures of train', '12,254,067 parameters', 'new: a new run'],
    ),
    (
      'train --config=configs/demo.py --workdir={}/new --check=lr',
      ['400 pictures of synthetic:96x192 train', 'new/checks'],
    ),
    ('evaluate --workdir={}/run', ['3 pictures', 'run/evaluation']),
    ('evaluate --workdir={}/run --crf_search', ['3 pictures of val']),
    (
      'prepare --preview --config=configs/demo.py --output={}/preview.png',
      ['12 crops by random_scale', 'preview.png'],
    ),
    (
      'predict --workdir={}/run --input={}/photos --output={}/out',
      ['street.png -> ', 'out/street_overlay.png'],
    ),
    (
      'predict --workdir={}/run --input={}/photos --output={}/out/film.mp4',
      ['photos -> ', 'out/film.mp4'],
    ),
    (
      'prepare --dataset=synthetic:32x64x3x2 --to=memmap --output={}/out',
      ['3 of train, 2 of val', 'as memmap below'],
    ),
    (
      'export --workdir={}/run --format=stablehlo --size=64x96',
      ['run/export/stablehlo-64x96'],
    ),
  ],
  ids=lambda value: value.partition(' ')[0] if isinstance(value, str) else '',
)
def test_it_says_what_it_would_do_and_writes_nothing(folder, command, words):
  before = listing(folder)
  name, *flags = command.replace('{}', str(folder)).split()
  done = subprocess.run(
    [sys.executable, f'launch/{name}.py', *flags, '--dry_run'],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout.endswith('--dry_run: nothing is written.\n')
  for part in words:
    assert part in done.stdout
  assert listing(folder) == before


def test_outside_of_a_rehearsal_nothing_ends():
  dry_run.ends_here(lambda: 1 / 0)
  with dry_run.rehearsal(False):
    dry_run.ends_here(lambda: 1 / 0)
  with dry_run.rehearsal(), pytest.raises(dry_run.Rehearsed, match='so it is'):
    dry_run.ends_here(lambda: 'so it is')
  dry_run.ends_here(lambda: 1 / 0)
