"""Files that turn bad while batches are made: named, or skipped and counted."""

import os
import pathlib
import shutil

import numpy as np
import pytest

from deeplax import data
from deeplax.data import geometry
from deeplax.data.errors import DataError
from deeplax.data.pipeline import eval_batches, train_batches
from deeplax.data.write_memmap import ensure_memmap
from tests.data import trees

OPS = 'random_scale(0.7, 1.3)|random_crop(16, 24)|random_flip()'
COUNT = 24


def truncate(path):
  os.truncate(path, path.stat().st_size // 2)


def empty(path):
  os.truncate(path, 0)


def garbage(path):
  path.write_bytes(bytes(range(256)) * 8)


def remove(path):
  path.unlink()


def make_folder(path):
  path.unlink()
  path.mkdir()


def make_pipe(path):
  path.unlink()
  os.mkfifo(path)  # opening it to read waits for a writer


def link_to_itself(path):  # can't be opened, by root either
  path.unlink()
  path.symlink_to(path.name)


def forbid(path):
  path.chmod(0)


def other_size(path):
  trees.write_picture(path, 20, 20)


def other_size_of_mask(path):
  trees.write_mask(path, np.zeros((20, 20), np.uint8))


def ids_out_of_range(path):
  mask = np.zeros((24, 32), np.uint8)
  mask[3, 4] = 99
  trees.write_mask(path, mask)


def colours(path):
  trees.write_picture(path)


def large_ids(path):
  trees.write_mask(path, np.full((24, 32), 40000, np.uint16))


# What happens to a picture, and to a mask; with a word of the message.
TO_ANY = {
  truncate: 'damaged',
  empty: 'the file is empty',
  garbage: 'not a picture',
  remove: 'no such file',
  make_folder: 'a folder, not a file',
  make_pipe: 'a named pipe, not a file',
  link_to_itself: "can't be opened",
  **({forbid: "can't be opened: Permission"} if os.getuid() else {}),
}
TO_PICTURE = {**TO_ANY, other_size: '24x32, but the picture'}
TO_MASK = {
  **TO_ANY,
  other_size_of_mask: '20x20, but the picture',
  ids_out_of_range: '[99]',
  colours: 'colour',
  large_ids: '[40000]',
}
CASES = [('image', f) for f in TO_PICTURE] + [('label', f) for f in TO_MASK]


def write_voc(root):
  root = root / 'VOCdevkit' / 'VOC2012'
  names = [f'2007_{i:06d}' for i in range(COUNT)]
  for i, name in enumerate(names):
    trees.write_picture(root / 'JPEGImages' / f'{name}.jpg', seed=i)
    mask = trees.ids([*range(21), 255], seed=i)
    trees.write_mask(root / 'SegmentationClass' / f'{name}.png', mask)
  lists = root / 'ImageSets' / 'Segmentation'
  lists.mkdir(parents=True)
  (lists / 'train.txt').write_text('\n'.join(names))


def write_camvid(root):
  for i in range(COUNT):
    trees.write_picture(root / 'train' / f'{i:02}.png', seed=i)
    mask = trees.ids(range(12), seed=i)
    trees.write_mask(root / 'trainannot' / f'{i:02}.png', mask)


WRITERS = {
  'folder': lambda root: trees.write_folder(root, count=COUNT),
  'camvid': write_camvid,
  'voc': write_voc,
  'cityscapes': lambda root: trees.write_cityscapes(
    root, 'train', count=COUNT // 2
  ),
}


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  """A tree of each kind, to be copied before anything is done to it."""
  root = tmp_path_factory.mktemp('whole')
  for name, write in WRITERS.items():
    write(root / name)
  return root


def open_copy(whole, name, tmp_path):
  shutil.copytree(whole / name, tmp_path / name)
  return data.source(name, 'train', tmp_path / name)


def path_of(source, index, what):
  return pathlib.Path(getattr(source.files(index), what))


def training(source, **options):
  return train_batches(source, ops=OPS, batch_size=4, seed=3, **options)


def taken(batches, count):
  return [next(batches) for _ in range(count)]


def words_of(case):
  what, fault = case
  return (TO_PICTURE if what == 'image' else TO_MASK)[fault]


def break_one_each(source):
  """Example i suffers case i; returns the files."""
  files = []
  for i, (what, fault) in enumerate(CASES):
    files.append(path_of(source, i, what))
    fault(files[-1])
  return files


def assert_skipped_in_place(batches, straight, bad):
  """Equal to what was made of whole files, but for fill where one is bad."""
  for batch, other in zip(batches, straight, strict=True):
    np.testing.assert_array_equal(batch['index'], other['index'])
    good = batch['valid']
    assert set(batch['index'][~good]) <= set(bad)
    for key in ('image', 'label'):
      np.testing.assert_array_equal(batch[key][good], other[key][good])
    assert (batch['image'][~good] == geometry.MEAN_PIXEL).all()
    assert (batch['label'][~good] == 255).all()
  last = batches[-COUNT // 4 :]  # an epoch: nothing of it was made in advance
  found = np.concatenate([b['index'][~b['valid']] for b in last])
  assert sorted(found) == sorted(bad)


# --------------------------------------------------- every kind, every fault


@pytest.mark.parametrize(
  ('name', 'case'),
  [('folder', case) for case in CASES]
  + [(name, CASES[3]) for name in WRITERS if name != 'folder'],
  ids=lambda x: x if isinstance(x, str) else f'{x[0]}-{x[1].__name__}',
)
def test_a_file_that_turns_bad_is_named(whole, name, case, tmp_path):
  source = open_copy(whole, name, tmp_path)
  what, fault = case
  with training(source) as batches:
    first = next(batches)
    # One that was not made ahead of time.
    index = next(i for i in range(COUNT) if i not in first['index'])
    path = path_of(source, index, what)
    fault(path)
    with pytest.raises(DataError) as error:
      taken(batches, 12)
  message = str(error.value)
  assert words_of(case) in message
  # A mask of another size is named in full, its picture without folders.
  assert str(path) in message or f' {path.name} has 20x20' in message


@pytest.mark.parametrize('name', WRITERS)
def test_files_that_turn_bad_are_skipped_in_training(whole, name, tmp_path):
  source = open_copy(whole, name, tmp_path)
  with training(source) as batches:
    straight = taken(batches, 18)
  with training(source, on_error='skip') as batches:
    start = [next(batches)]
    files = break_one_each(source)
    rest = taken(batches, 17)
    assert_skipped_in_place(start + rest, straight, range(len(CASES)))
    invalid = sum(int((~b['valid']).sum()) for b in start + rest)
    assert batches.skipped == invalid
    for case, file in zip(CASES, files):
      found = [e for e in batches.errors if file.name in e]
      assert any(words_of(case) in e for e in found), (case, found)


@pytest.mark.parametrize('workers', [0, 2])
def test_files_that_turn_bad_in_evaluation(whole, workers, tmp_path):
  source = open_copy(whole, 'folder', tmp_path)
  # Before the first is read: how far workers read ahead is a matter of time.
  files = break_one_each(source)
  options = {'batch_size': 2, 'workers': workers}
  with eval_batches(source, on_error='skip', **options) as batches:
    seen = [i for batch in batches for i in batch['id'] if i]
    assert batches.skipped == len(CASES) == COUNT - len(seen)
  assert len(seen) == len(set(seen))
  with pytest.raises(DataError) as error:
    list(eval_batches(source, batch_size=2))
  assert str(files[0]) in str(error.value)


def test_the_same_with_workers(whole, tmp_path):
  source = open_copy(whole, 'folder', tmp_path)
  with training(source) as batches:
    straight = taken(batches, 24)
  with training(source, on_error='skip', workers=2) as batches:
    start = taken(batches, 2)
    break_one_each(source)
    got = start + taken(batches, 22)
    assert_skipped_in_place(got, straight, range(len(CASES)))
    assert batches.skipped == sum(int((~b['valid']).sum()) for b in got)


# ------------------------------------------------------------- memory maps


@pytest.fixture
def mapped(whole, tmp_path):
  source = data.source('folder', 'train', whole / 'folder')
  return ensure_memmap(source, source.info, tmp_path / 'map')


def overwrite_ids(path):
  """Some labels near the end, by what is no train id."""
  with open(path, 'r+b') as file:
    file.seek(-24 * 32, os.SEEK_END)
    file.write(b'\x63' * 24 * 32)


@pytest.mark.parametrize(
  ('file', 'fault', 'words'),
  [
    ('images.bin', truncate, 'has .* bytes, expected'),
    ('labels.bin', truncate, 'has .* bytes, expected'),
    ('labels.bin', overwrite_ids, r'ids other than 0\.\.2 and 255'),
  ],
)
def test_a_memory_map_that_turns_bad(mapped, tmp_path, file, fault, words):
  assert mapped[0]['label'].any()
  # While nobody reads: what is cut off under a reader's eyes ends the process.
  fault(tmp_path / 'map' / file)
  message = rf'{file}.*{words}'
  with training(mapped) as batches, pytest.raises(DataError, match=message):
    taken(batches, 12)


def test_one_bad_label_of_a_memory_map_is_skipped(mapped, tmp_path):
  overwrite_ids(tmp_path / 'map' / 'labels.bin')
  with training(mapped, on_error='skip') as batches:
    got = np.concatenate([b['index'][~b['valid']] for b in taken(batches, 6)])
  assert list(got) == [COUNT - 1]


def test_a_memory_map_without_its_files(mapped, tmp_path):
  """Those who have it open go on; others are told."""
  assert mapped[0]['image'].any()
  shutil.rmtree(tmp_path / 'map')
  with training(mapped) as batches:
    taken(batches, 6)
  with pytest.raises(DataError, match=r'no info\.json'):
    type(mapped)(tmp_path / 'map')


def test_unmapped_files_that_are_gone(mapped, tmp_path):
  (tmp_path / 'map' / 'images.bin').unlink()
  with pytest.raises(DataError, match=r"images\.bin: can't be opened"):
    mapped[0]


# ------------------------------------------------------------ a whole run


def test_a_batch_of_nothing_usable_still_comes(whole, tmp_path):
  source = open_copy(whole, 'folder', tmp_path)
  for i in range(COUNT - 1):
    remove(path_of(source, i, 'label'))
  with training(source, on_error='skip') as batches:
    got = taken(batches, 6)
  assert sum(b['valid'].sum() for b in got) == 1
  assert {b['image'].shape for b in got} == {(4, 16, 24, 3)}
