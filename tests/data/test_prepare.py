"""launch/prepare.py: round trips in three forms, kills, and its exit code."""

import pathlib
import subprocess
import sys

import cv2
import numpy as np
import preparing
import pytest

from deeplax import data
from deeplax.data.prepare import prepare
from deeplax.data.write_cityscapes import write_cityscapes_tree

_ROOT = pathlib.Path(__file__).parents[2]
_NAME = 'synthetic:40x64x9x3'


@pytest.mark.parametrize('to', ['memmap', 'tfds', 'cityscapes'])
def test_round_trip(tmp_path, to):
  name, folder = prepare(_NAME, '', ('train', 'val'), tmp_path, to)
  assert name == to
  before = preparing.contents(tmp_path)
  for split in ('train', 'val'):
    source = data.source(_NAME, split)
    preparing.assert_same_examples(source, data.source(name, split, folder))
  table = data.info(name, folder)
  assert table.labels == data.info('synthetic').labels
  # Once more: nothing to do, nothing changes.
  assert prepare(_NAME, '', ('val', 'train'), tmp_path, to) == (name, folder)
  assert preparing.contents(tmp_path) == before


def test_tfds_reads_it_and_splits_can_be_added(tmp_path):
  import tensorflow_datasets as tfds

  _, folder = prepare(_NAME, '', ('train',), tmp_path / 'a', 'tfds')
  prepare(_NAME, '', ('val',), tmp_path / 'a', 'tfds')
  builder = tfds.builder_from_directory(folder)
  assert builder.info.splits['train'].num_examples == 9
  read = builder.as_data_source('val')
  source = data.source(_NAME, 'val')
  assert len(read) == 3
  for i in range(3):
    np.testing.assert_array_equal(read[i]['image'], source[i]['image'])
    np.testing.assert_array_equal(read[i]['label'][..., 0], source[i]['label'])
    assert read[i]['id'].decode() == source[i]['id']
  # In one go, the files are the same.
  prepare(_NAME, '', ('train', 'val'), tmp_path / 'b', 'tfds')
  assert preparing.contents(tmp_path / 'a') == (
    preparing.contents(tmp_path / 'b')
  )


def _tfds_code(folder):
  return f"""
import preparing
from deeplax import data
from deeplax.data.write_tfds import write_tfds
source = preparing.Slow(data.source('synthetic:40x64x60', 'train'), 0.01)
info = data.info('synthetic')
write_tfds(source, info, 'train', {str(folder)!r}, shard_bytes=50_000)
"""


def test_tfds_same_bytes_after_kills(tmp_path):
  for folder in ('whole', 'cut'):
    (tmp_path / folder).mkdir()
  cut = tmp_path / 'cut' / 'synthetic' / '1.0.0'

  def shards(count):
    # A part behind `count` whole shards: killed in the middle of one.
    return lambda: (
      len([*cut.glob('*.array_record-*')]) >= count
      and [*cut.glob('.*.array_record-*.part')]
    )

  assert preparing.run_and_kill(_tfds_code(tmp_path / 'cut'), shards(0))
  with pytest.raises(data.DataError):
    data.source('tfds', 'train', cut)
  assert preparing.run_and_kill(_tfds_code(tmp_path / 'cut'), shards(3))
  for folder in ('whole', 'cut'):
    code = _tfds_code(tmp_path / folder).replace('0.01', '0')
    assert not preparing.run_and_kill(code, lambda: False)
  whole = preparing.contents(tmp_path / 'whole')
  assert len([name for name in whole if '.array_record-' in name]) > 4
  assert preparing.contents(tmp_path / 'cut') == whole
  source = data.source('synthetic:40x64x60', 'train')
  preparing.assert_same_examples(source, data.source('tfds', 'train', cut))


def test_cityscapes_same_bytes_after_kills(tmp_path):
  source = data.source(_NAME, 'train', extras=('instance',))
  info, extras = data.info('synthetic'), ('instance',)
  whole, cut = tmp_path / 'whole', tmp_path / 'cut'
  write_cityscapes_tree(source, info, 'train', whole, extras=extras)
  code = f"""
import preparing
from deeplax import data
from deeplax.data.write_cityscapes import write_cityscapes_tree
source = data.source({_NAME!r}, 'train', extras=('instance',))
write_cityscapes_tree(preparing.Slow(source, 0.03), data.info('synthetic'),
                      'train', {str(cut)!r}, extras=('instance',))
"""

  def files(count):
    return lambda: len([*cut.glob('gtFine/*/*/*labelIds.png')]) >= count

  assert preparing.run_and_kill(code, files(1))
  assert preparing.run_and_kill(code, files(4))
  write_cityscapes_tree(source, info, 'train', cut, extras=extras)
  assert preparing.contents(cut) == preparing.contents(whole)


def test_cityscapes_tree_is_the_official_one(tmp_path):
  extras = ('instance', 'disparity')
  prepare(_NAME, '', ('val',), tmp_path, 'cityscapes', extras=extras)
  source = data.source(_NAME, 'val', extras=extras)
  read = data.source('cityscapes', 'val', tmp_path, extras=extras)
  preparing.assert_same_examples(source, read, ('label', 'instance'))
  np.testing.assert_allclose(
    read[1]['disparity'], source[1]['disparity'], atol=1 / 500
  )
  name = 'synthetic_000001_000002'
  truth = tmp_path / 'gtFine' / 'val' / 'synthetic'
  ids = cv2.imread(str(truth / f'{name}_gtFine_instanceIds.png'), -1)
  labels = cv2.imread(str(truth / f'{name}_gtFine_labelIds.png'), -1)
  colour = cv2.imread(str(truth / f'{name}_gtFine_color.png'))[..., ::-1]
  assert ids.dtype == np.uint16 and ids.max() >= 24000
  np.testing.assert_array_equal(np.where(ids < 1000, ids, ids // 1000), labels)
  assert (colour[labels == 7] == (128, 64, 128)).all()


def test_cityscapes_without_instances_and_with_other_ids(tmp_path):
  class Renamed(preparing.Slow):
    def __getitem__(self, index):
      return {**super().__getitem__(index), 'id': f'folder/{index}'}

  source = Renamed(data.source(_NAME, 'val'), 0)
  info = data.info('synthetic')
  write_cityscapes_tree(source, info, 'val', tmp_path)
  read = data.source('cityscapes', 'val', tmp_path, extras=('instance',))
  assert read[2]['id'] == 'synthetic_000000_000002'
  np.testing.assert_array_equal(read[2]['label'], source[2]['label'])
  assert read[2]['instance'].max() < 1000


def test_cityscapes_refuses_what_does_not_fit(tmp_path):
  labels = tuple(
    data.Label(name, i, i, name, (i, 0, 0)) for i, name in enumerate('abc')
  )
  other = data.DatasetInfo('letters', labels)
  source = data.source(_NAME, 'val')
  with pytest.raises(data.DataError, match='letters has 3 classes'):
    write_cityscapes_tree(source, other, 'val', tmp_path)
  city = tmp_path / 'leftImg8bit' / 'val' / 'aachen'
  city.mkdir(parents=True)
  for i in range(7):
    (city / f'{i}.png').write_bytes(b'theirs')
  with pytest.raises(data.DataError, match='7 files already'):
    write_cityscapes_tree(source, data.info('synthetic'), 'val', tmp_path)


@pytest.mark.parametrize('to', ['memmap', 'tfds', 'cityscapes'])
def test_another_source_is_refused(tmp_path, to):
  prepare(_NAME, '', ('val',), tmp_path, to)
  before = preparing.contents(tmp_path)
  with pytest.raises(data.DataError, match='another source'):
    prepare('synthetic:40x72x9x3', '', ('val',), tmp_path, to)
  assert preparing.contents(tmp_path) == before


@pytest.mark.parametrize(
  'change, words',
  [
    ({'to': 'zip'}, 'tfds, memmap, cityscapes'),
    ({'to': 'tfds', 'extras': ('instance',)}, 'image, label and id only'),
    ({'splits': ('train[:5]',)}, 'whole splits'),
    ({'name': 'nothing'}, 'nothing'),
  ],
)
def test_wrong_requests(tmp_path, change, words):
  request = {
    'name': _NAME, 'data_dir': '', 'splits': ('val',), 'output': tmp_path,
    'to': 'memmap', 'extras': None, **change,
  }  # fmt: skip
  with pytest.raises(data.DataError, match=words):
    prepare(**request)


def test_the_result_does_not_go_into_the_data(tmp_path):
  (tmp_path / 'link').symlink_to(tmp_path)
  with pytest.raises(data.DataError, match='data set itself'):
    prepare('folder', tmp_path, ('train',), tmp_path / 'link', 'memmap')


def _launch(*flags):
  command = [sys.executable, str(_ROOT / 'launch' / 'prepare.py'), *flags]
  return subprocess.run(command, capture_output=True, text=True)


def test_command_prepares_and_stays_quiet(tmp_path):
  run = _launch(
    f'--dataset={_NAME}', '--splits=val', '--to=memmap', f'--output={tmp_path}'
  )
  assert run.returncode == 0, run.stderr
  assert f'--config.dataset.dir={tmp_path}' in run.stdout
  assert 'pictures/s' not in run.stderr  # no bar where there is no terminal
  assert len(data.source('memmap', 'val', tmp_path)) == 3


def test_command_checks(tmp_path):
  prepare(_NAME, '', ('train',), tmp_path, 'cityscapes')
  flags = ('--check', '--dataset=cityscapes', f'--dir={tmp_path}')
  good = _launch(*flags, '--splits=train')
  assert good.returncode == 0, good.stdout + good.stderr
  assert good.stderr == ''  # no bar where there is no terminal
  spoilt = next(tmp_path.glob('leftImg8bit/train/*/*.png'))
  spoilt.write_bytes(spoilt.read_bytes()[:400])
  bad = _launch(*flags, '--splits=train')
  assert bad.returncode == 1
  assert spoilt.name in bad.stdout


@pytest.mark.parametrize(
  'flags, code, words',
  [
    ((), 2, '--check'),
    (('--to=memmap',), 2, '--output'),
    (('--to=zip',), 2, 'memmap'),
    (('--check', '--splits='), 2, '--splits'),
    (('--check', '--dataset=cityscapes', '--dir=/nowhere'), 1, 'nowhere'),
    (('--to=memmap', '--output=/proc/x', '--splits=val'), 1, 'written'),
  ],
)
def test_command_explains_itself(flags, code, words):
  run = _launch(*flags)
  assert run.returncode == code
  text = run.stdout + run.stderr
  assert words in text and 'Traceback' not in text
