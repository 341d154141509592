"""Folders of masks without a class table: the ids are the classes."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from deeplax import data
from deeplax.data import found_classes
from deeplax.data.check import check
from tests.data import trees


def folder_of(root, values, count=3, split='train'):
  """A folder without a classes.json, whose masks hold `values`."""
  trees.write_folder(root, count=0)
  (root / 'classes.json').unlink()
  for i in range(count):
    trees.write_picture(root / split / 'images' / f'{i}.jpg', seed=i)
    trees.write_mask(
      root / split / 'labels' / f'{i}.png', trees.ids(values, seed=i)
    )
  return root


def labels(root, split='train'):
  source = data.source('folder', split, root)
  return [source[i]['label'] for i in range(len(source))]


def test_every_id_is_a_class_and_255_void(tmp_path, monkeypatch):
  folder_of(tmp_path, [0, 1, 255])
  # One pixel of a class, in one mask of another split.
  folder_of(tmp_path, [0], count=1, split='val')
  mask = np.zeros((24, 32), np.uint8)
  mask[3, 4] = 2
  trees.write_mask(tmp_path / 'val/labels/0.png', mask)
  said = []
  monkeypatch.setattr(
    found_classes.log, 'info', lambda text, *words: said.append(text % words)
  )
  info = data.info('folder', tmp_path)
  data.source('folder', 'train', tmp_path)
  assert info.class_names == ('class_0', 'class_1', 'class_2')
  assert len({tuple(c) for c in info.palette[:3].tolist()}) == 3
  (line,) = said  # said once
  assert '3 classes' in line and 'in 4 masks' in line and '255 is void' in line
  assert str(tmp_path / 'classes.json') in line
  assert (labels(tmp_path)[1] == trees.ids([0, 1, 255], seed=1)).all()
  assert not check('folder', 'train', tmp_path, sample=9).failed


def test_a_table_as_it_is_proposed_gives_the_same_and_names(tmp_path):
  folder_of(tmp_path, [0, 50, 100])
  found = data.info('folder', tmp_path)
  before = labels(tmp_path)
  assert found.class_names == ('class_0', 'class_50', 'class_100')
  assert sorted({*np.unique(before)}) == [0, 1, 2]
  tree = {'names': ['a', 'b', 'c'], 'ids': [0, 50, 100]}
  (tmp_path / 'classes.json').write_text(json.dumps(tree))
  named = data.info('folder', tmp_path)
  assert named.class_names == ('a', 'b', 'c')
  assert (named.label_to_train == found.label_to_train).all()
  assert (np.stack(labels(tmp_path)) == np.stack(before)).all()
  assert named.train_to_label[:3].tolist() == [0, 50, 100]


@pytest.mark.parametrize(
  'ids', [[0, 50], [0, 50, 50], [0, 50, 256], [0, 1, '2'], 'text', 5]
)
def test_ids_that_are_none(tmp_path, ids):
  folder_of(tmp_path, [0, 50, 100])
  tree = {'names': ['a', 'b', 'c'], 'ids': ids}
  (tmp_path / 'classes.json').write_text(json.dumps(tree))
  with pytest.raises(data.DataError, match='`ids`'):
    data.info('folder', tmp_path)


def test_masks_of_0_and_255_are_two_classes(tmp_path):
  folder_of(tmp_path, [0, 255])
  info = data.info('folder', tmp_path)
  assert info.class_names == ('class_0', 'class_255')
  expected = trees.ids([0, 255], seed=2) // 255
  assert (labels(tmp_path)[2] == expected).all()
  report = check('folder', 'train', tmp_path)
  assert not report.problems
  assert report.counts[:2].all() and not report.counts[255]


def test_palette_and_sixteen_bits(tmp_path):
  folder_of(tmp_path, [0, 1], count=2)
  image = Image.fromarray(trees.ids([0, 1, 2]), 'P')
  image.putpalette(list(range(256)) * 3)
  image.save(tmp_path / 'train/labels/0.png')
  wide = trees.ids([0, 1, 3]).astype(np.uint16)
  wide[0] = 65535
  trees.write_mask(tmp_path / 'train/labels/1.png', wide)
  tree = data.info('folder', tmp_path)
  assert tree.class_names == tuple(f'class_{i}' for i in range(4))


@pytest.mark.parametrize(
  'values, words',
  [
    ([0], 'two classes or more'),
    ([1, 255], 'two classes or more'),
    ([255], 'two classes or more'),
    (range(0, 255), 'grey levels'),
  ],
)
def test_ids_that_are_no_classes(tmp_path, values, words):
  folder_of(tmp_path, [*values], count=2)
  with pytest.raises(data.DataError, match=words) as error:
    data.info('folder', tmp_path)
  assert 'labels/0.png' in error.value.file
  assert 'classes.json is missing' in str(error.value)


def test_instances_in_sixteen_bits_are_no_classes(tmp_path):
  folder_of(tmp_path, [0, 1])
  wide = trees.ids([0, 1]).astype(np.uint16) * 1000
  trees.write_mask(tmp_path / 'train/labels/1.png', wide)
  with pytest.raises(data.DataError, match='1000 needs 16 bits') as error:
    data.info('folder', tmp_path)
  assert error.value.file.endswith('1.png')


def test_bad_masks_are_left_to_the_doctor_unless_all_are(tmp_path):
  folder_of(tmp_path, [0, 1])
  first = tmp_path / 'train/labels/0.png'
  cv2.imwrite(str(first), np.full((24, 32, 3), (9, 8, 7), np.uint8))
  assert data.info('folder', tmp_path).num_classes == 2
  report = check('folder', 'train', tmp_path)
  assert [p.kind for p in report.problems] == ['colour mask']
  for path in (tmp_path / 'train/labels').iterdir():
    path.write_bytes(first.read_bytes())
  with pytest.raises(data.DataError, match='colour mask'):
    data.info('folder', tmp_path)


def test_no_masks_or_no_splits_say_what_to_do(tmp_path):
  with pytest.raises(data.DataError, match=r'looked for .*classes\.json'):
    data.info('folder', tmp_path / 'absent')
  folder_of(tmp_path, [0, 1])
  for path in (tmp_path / 'train/labels').iterdir():
    path.rename(path.with_suffix('.jpg'))
  with pytest.raises(data.DataError, match='Export the masks again'):
    data.info('folder', tmp_path)
  flat = tmp_path / 'flat'
  (tmp_path / 'train').rename(flat)
  (flat / 'classes.json').write_text('["a", "b"]')
  with pytest.raises(data.DataError, match=r'move images and labels into'):
    data.source('folder', 'train', flat)


def test_masks_that_change_are_read_again(tmp_path):
  folder_of(tmp_path, [0, 1])
  assert data.info('folder', tmp_path).num_classes == 2
  trees.write_mask(tmp_path / 'train/labels/7.png', trees.ids([0, 1, 2]))
  trees.write_picture(tmp_path / 'train/images/7.png')
  assert data.info('folder', tmp_path).num_classes == 3
