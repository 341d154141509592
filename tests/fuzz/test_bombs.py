"""Files that claim to be huge are refused before memory is taken for them."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest

from deeplax.data import DataError, colours, files
from deeplax.data.datasets import camvid
from deeplax.errors import WeightsError
from deeplax.pretrained import hdf5
from deeplax.pretrained.tflite import network
from deeplax.pretrained.tflite.nodes import Node
from tests.fuzz import bombs
from tests.fuzz.seeds import ROOT

# Chunks that do not concern the pixels may be left unread.
HARMLESS = ('zTXt', 'iTXt', 'iCCP')
LIMIT = 256 << 20  # bytes, above what is there once libraries are loaded

READ = f"""
import json, pathlib, resource, sys, time
from tests.fuzz.batch import ALL, CLEAR, _memory, _ran_out
for library in json.loads(next(sys.stdin)):
  __import__(library)
for name, path in map(json.loads, sys.stdin):
  (size, _), start, path = _memory(), time.monotonic(), pathlib.Path(path)
  resource.setrlimit(
    resource.RLIMIT_AS, (size + {LIMIT}, resource.RLIM_INFINITY)
  )
  kind, words = 'read', ''
  try:
    ALL[name].read(path)
  except CLEAR as error:
    kind = 'memory' if _ran_out(error) else 'refused'
    words = str(error)
  except BaseException as error:
    kind, words = type(error).__name__, str(error)
  print(json.dumps([path.name, kind, words, time.monotonic() - start]))
"""


@pytest.fixture(scope='module')
def results(tmp_path_factory):
  """What became of each, by name: kind, words, seconds; in one process."""
  folder = tmp_path_factory.mktemp('bombs')
  pictures = [*bombs.pictures(), *bombs.chunks()]
  there = [(r, n, c) for n, c in pictures for r in ('picture', 'mask')]
  there += [w for w in bombs.weights() if w[0] != 'torch' or _has_torch()]
  there.append(('keras', 'again.h5', bombs._h5()))
  there.append(('tflite', 'overlap.tflite', bombs.overlapping_tflite()))
  # The limit is for what is read, not for what reads.
  loads = ['h5py', 'safetensors.numpy', 'deeplax.pretrained.tflite']
  loads += [f'deeplax.pretrained.{s}' for s in ('torchvision', 'keras')]
  lines = [json.dumps(loads + ['torch'] * _has_torch())]
  for reader, name, content in there:
    path = folder / reader / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    assert path.stat().st_size < 20_000_000
    lines.append(json.dumps([reader, str(path)]))
  done = subprocess.run(
    [sys.executable, '-c', READ],
    input='\n'.join(lines),
    capture_output=True,
    text=True,
    cwd=ROOT,
    env={**os.environ, 'JAX_PLATFORMS': 'cpu'},
    timeout=200,
    check=False,
  )
  assert done.returncode == 0, done.stderr[-2000:]
  rows = [json.loads(line) for line in done.stdout.splitlines()]
  assert len(rows) == len(there)
  return [(r, *row) for (r, *_), row in zip(there, rows)]


def _has_torch() -> bool:
  return importlib.util.find_spec('torch') is not None


def test_every_bomb_is_refused(results):
  for reader, name, kind, words, seconds in results:
    may_be_read = any(h in name for h in HARMLESS)
    assert kind == 'refused' or (kind == 'read' and may_be_read), (
      f'{reader} {name}: {kind} {words}'
    )
    assert seconds < 10, f'{reader} {name}: {seconds} s'


@pytest.mark.parametrize(
  'name, words',
  [
    ('huge.png', 'refused before decoding'),
    ('huge.jpg', 'refused before decoding'),
    ('huge.webp', 'refused before decoding'),
    ('huge.tif', 'refused before decoding'),
    ('huge.gif', 'Expected PNG, JPEG, BMP, WebP or TIFF'),
    ('bomb.keras', 'would unpack to 314572800 bytes'),
    ('claims.h5', 'float32[1000000000000]'),
    ('claims.safetensors', 'no whole .safetensors file'),
    ('overlap.tflite', 'larger than the file'),
  ],
)
def test_the_error_says_why(results, name, words):
  found = [row for row in results if row[1] == name]
  assert found and all(words in row[3] for row in found), found


def test_a_colour_mask_of_the_largest_size_takes_no_more_than_its_pixels():
  tall = np.zeros((3000, 1000, 3), np.uint8)
  tall[7, 8] = 1, 2, 3
  error = colours.colour_mask(tall, 'RGB', 'm.png', camvid.INFO)
  assert '2 colours: (0, 0, 0), (1, 2, 3)' in str(error)
  ids = colours.colours_to_ids(tall[:7], camvid.INFO)
  assert ids.shape == (7, 1000) and (ids == 11).all()


def test_a_file_of_two_gigabytes_is_not_read(tmp_path):
  path = tmp_path / 'x.png'
  with path.open('wb') as file:
    file.truncate(2**31)
  start = time.monotonic()
  with pytest.raises(DataError, match='refused before reading'):
    files.read_image(path)
  assert time.monotonic() - start < 5


def test_what_never_comes_back_is_ended(tmp_path, monkeypatch):
  path = tmp_path / 'x.h5'
  path.write_bytes(bombs._h5())
  monkeypatch.setattr(hdf5, '_SECONDS', 0)
  with pytest.raises(ValueError, match='took too long'):
    hdf5.read(path)


def test_a_tower_of_concatenations_has_an_end():
  node = Node('conv', 'CONV_2D', 'x', (1, 2, 2, 3))
  for i in range(60):
    node = Node('concat', 'CONCATENATION', f'{i}', (1, 2, 2, 3), [node, node])
  reader = network._Reader.__new__(network._Reader)

  class Graph:
    name = 'x.tflite'

  reader.graph = Graph
  with pytest.raises(WeightsError, match='at most 32 branches'):
    reader._branches(node)


def test_programs_that_pictures_may_start_are_not_asked(tmp_path, monkeypatch):
  """Pillow hands EPS to Ghostscript, whatever the name of the file ends in."""
  monkeypatch.setattr(subprocess, 'Popen', None)
  monkeypatch.setattr(os, 'system', None)
  eps = b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n'
  path = pathlib.Path(tmp_path, 'x.png')
  path.write_bytes(eps)
  with pytest.raises(DataError) as error:
    files.read_image(path)
  assert error.value.kind == 'not a picture'
