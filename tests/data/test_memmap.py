"""Memory maps: equal to their source, views, resumable, never mistaken."""

import json
import os
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import preparing
import pytest

from deeplax import data
from deeplax.data.datasets import memmap
from deeplax.data.write_memmap import ensure_memmap, write_memmap

_NAME = 'synthetic:40x64x70x7'


class Sizes:
  """Pictures of many sizes."""

  shapes = ((5, 7), (1, 1), (33, 20), (8, 64), (2, 3), (16, 16))

  def __len__(self):
    return len(self.shapes)

  def __getitem__(self, index):
    rng = np.random.default_rng(index)
    shape = self.shapes[index]
    return {
      'image': rng.integers(0, 256, (*shape, 3), np.uint8),
      'label': rng.integers(0, 19, shape, np.uint8),
      'id': f'picture {index}',
    }


def _info():
  return data.info('synthetic')


def test_equals_its_source(tmp_path):
  source = data.source('synthetic:40x64x9', 'train')
  mapped = ensure_memmap(source, _info(), tmp_path / 'cache')
  preparing.assert_same_examples(source, mapped)
  assert mapped.info == _info()
  np.testing.assert_array_equal(mapped.label(3), source[3]['label'])


def test_pictures_of_many_sizes(tmp_path):
  mapped = ensure_memmap(Sizes(), _info(), tmp_path)
  preparing.assert_same_examples(Sizes(), mapped)
  with pytest.raises(IndexError):
    mapped[6]


def test_module_reads_info_and_extras(tmp_path):
  extras = ('instance', 'disparity')
  source = data.source('synthetic:40x64x3', 'train', extras=extras)
  write_memmap(source, _info(), tmp_path / 'train', extras=extras)
  assert data.info('memmap', tmp_path) == _info()
  mapped = data.source('memmap', 'train', tmp_path, extras=extras)
  preparing.assert_same_examples(source, mapped, ('label', *extras))
  assert mapped[0]['instance'].dtype == np.int32
  assert 'instance' not in data.source('memmap', 'train', tmp_path)[0]


def test_examples_are_read_only_views(tmp_path):
  mapped = ensure_memmap(Sizes(), _info(), tmp_path)
  first, again = mapped[2], mapped[2]
  for key in ('image', 'label'):
    assert np.shares_memory(first[key], again[key])
    assert not first[key].flags.writeable
    assert not first[key].flags.owndata


def test_pickles_by_path_only(tmp_path):
  source = data.source('synthetic:40x64x9', 'train')
  mapped = ensure_memmap(source, _info(), tmp_path)
  assert mapped[0]['image'].any()  # opened: must not travel
  blob = pickle.dumps(mapped)
  assert len(blob) < 400
  preparing.assert_same_examples(mapped, pickle.loads(blob))


def test_same_bytes_after_a_kill(tmp_path):
  source = data.source(_NAME, 'train')
  write_memmap(source, _info(), tmp_path / 'whole')
  cut = tmp_path / 'cut'
  code = f"""
import preparing
from deeplax import data
from deeplax.data.write_memmap import write_memmap
source = preparing.Slow(data.source({_NAME!r}, 'train'), 0.01)
write_memmap(source, data.info('synthetic'), {str(cut)!r})
"""
  images = cut / 'images.bin'

  def lines(count):
    journal = cut / 'journal.jsonl'
    return lambda: (
      journal.exists() and len(journal.read_bytes().splitlines()) > count
    )

  def pixels():  # beyond the last sync: bytes that no journal knows
    return images.exists() and images.stat().st_size > 40 * 64 * 3

  assert preparing.run_and_kill(code, pixels)
  assert not memmap.is_finished(cut)
  with pytest.raises(data.DataError, match='cut short'):
    memmap.MemmapSource(cut)
  assert preparing.run_and_kill(code, lines(32))
  # Half a line, and bytes that were never promised.
  with open(cut / 'journal.jsonl', 'ab') as file:
    file.write(b'[40, 64, "synthet')
  with open(cut / 'labels.bin', 'ab') as file:
    file.write(b'rubbish')
  write_memmap(source, _info(), cut)
  assert preparing.contents(cut) == preparing.contents(tmp_path / 'whole')


def test_goes_on_behind_what_is_there(tmp_path):
  """After a kill, only the missing examples are read again."""
  source = data.source(_NAME, 'train')

  class Broken(preparing.Slow):
    def __getitem__(self, index):
      if index == 40:
        raise data.DataError('bad', file='picture.png')
      return super().__getitem__(index)

  with pytest.raises(data.DataError, match=r'picture\.png'):
    write_memmap(Broken(source, 0), _info(), tmp_path)
  read = []

  class Noting(preparing.Slow):
    def __getitem__(self, index):
      read.append(index)
      return super().__getitem__(index)

  write_memmap(Noting(source, 0), _info(), tmp_path)
  assert read[5:] == list(range(32, 70))  # the first five identify it
  preparing.assert_same_examples(source, memmap.MemmapSource(tmp_path))


def test_two_processes_at_once(tmp_path):
  code = f"""
import preparing
from deeplax import data
from deeplax.data.write_memmap import ensure_memmap
source = preparing.Slow(data.source({_NAME!r}, 'val'), 0.05)
print(len(ensure_memmap(source, data.info('synthetic'), {str(tmp_path)!r})))
"""
  env = {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}
  both = [
    subprocess.Popen([sys.executable, '-c', code], env=env, stdout=-1)
    for _ in range(2)
  ]
  assert [p.communicate(timeout=120)[0] for p in both] == [b'7\n', b'7\n']
  preparing.assert_same_examples(
    data.source(_NAME, 'val'), memmap.MemmapSource(tmp_path)
  )


@pytest.mark.parametrize(
  'other', ['synthetic:40x64x70', 'synthetic:48x64x9', 'synthetic:64x64x9']
)
def test_refuses_another_source(tmp_path, other):
  info = _info()
  ensure_memmap(data.source('synthetic:40x64x9', 'train'), info, tmp_path)
  with pytest.raises(data.DataError, match='another source'):
    ensure_memmap(data.source(other, 'train'), info, tmp_path)
  with pytest.raises(data.DataError, match='another source'):
    same = data.source('synthetic:40x64x9x9', 'val')
    ensure_memmap(same, info, tmp_path)


def test_refuses_unfinished_work_of_another_source(tmp_path):
  class Broken(preparing.Slow):
    def __getitem__(self, index):
      if index == 1:
        raise KeyboardInterrupt
      return super().__getitem__(index)

  source = data.source('synthetic:40x64x9', 'train')
  with pytest.raises(KeyboardInterrupt):
    write_memmap(Broken(source, 0), _info(), tmp_path)
  with pytest.raises(data.DataError, match='unfinished work on something else'):
    write_memmap(data.source('synthetic:40x72x9', 'train'), _info(), tmp_path)


def _truncate(path: pathlib.Path):
  os.truncate(path, path.stat().st_size - 1)


def _flip(path: pathlib.Path):
  content = bytearray(path.read_bytes())
  content[-3] ^= 1
  path.write_bytes(content)


@pytest.mark.parametrize(
  'name, spoil, words',
  [
    ('images.bin', _truncate, r'images\.bin.* bytes, expected'),
    ('labels.bin', os.remove, r'labels\.bin.*missing'),
    ('index.npy', _flip, r'index\.npy.*not what was written'),
    ('ids.json', _flip, r'ids\.json.*not what was written'),
    ('info.json', _truncate, None),
    ('info.json', os.remove, 'cut short'),
  ],
)
def test_refuses_damage(tmp_path, name, spoil, words):
  ensure_memmap(Sizes(), _info(), tmp_path / 'train')
  spoil(tmp_path / 'train' / name)
  if words is None:  # a final newline more or less is no damage
    (tmp_path / 'train' / name).write_text('{"format": 7}')
    words = r'info\.json.*format 7'
  with pytest.raises(data.DataError, match=words):
    data.source('memmap', 'train', tmp_path)


def test_missing_split_and_extra_say_what_there_is(tmp_path):
  ensure_memmap(Sizes(), _info(), tmp_path / 'train')
  with pytest.raises(data.DataError, match=r'splits there: train'):
    data.source('memmap', 'val', tmp_path)
  with pytest.raises(data.DataError, match='no extra'):
    data.source('memmap', 'train', tmp_path, extras=('instance',))
  with pytest.raises(data.DataError, match=r'prepare\.py'):
    data.info('memmap', tmp_path / 'nowhere')


def test_bad_arrays_are_named(tmp_path):
  class Wrong(Sizes):
    def __getitem__(self, index):
      example = super().__getitem__(index)
      return {**example, 'label': example['label'].T[:1]}

  with pytest.raises(data.DataError, match='picture 0'):
    write_memmap(Wrong(), _info(), tmp_path)


def test_disk_space_is_checked_first(tmp_path, monkeypatch):
  import shutil

  monkeypatch.setattr(
    shutil, 'disk_usage', lambda _: shutil._ntuple_diskusage(10, 9, 1000)
  )
  with pytest.raises(data.DataError, match=r'still to be written.*free'):
    write_memmap(data.source(_NAME, 'train'), _info(), tmp_path)
  assert not (tmp_path / 'images.bin').exists()


def test_head_is_plain_json(tmp_path):
  ensure_memmap(Sizes(), _info(), tmp_path)
  head = json.loads((tmp_path / 'info.json').read_text())
  assert head['length'] == 6 and head['extras'] == []
  names = {p.name for p in tmp_path.iterdir()}
  assert names == {
    '.lock', 'info.json', 'index.npy', 'ids.json', 'images.bin', 'labels.bin',
  }  # fmt: skip
