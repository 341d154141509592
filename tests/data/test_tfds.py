"""TFDS data sets: found, mapped, and read without tensorflow."""

import importlib.util
import json
import pathlib
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest

from deeplax import data
from deeplax.data.check import check, class_pixel_counts

# Only the builder of these tests needs it.
pytestmark = pytest.mark.skipif(
  importlib.util.find_spec('tensorflow') is None,
  reason='building ArrayRecord data sets needs tensorflow',
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp('tfds')
  script = pathlib.Path(__file__).with_name('make_tfds.py')
  subprocess.run(
    [sys.executable, script, path], check=True, capture_output=True
  )
  return path


def test_pet_trimap(folder):
  name = 'tfds:oxford_iiit_pet'
  assert data.info(name, folder).class_names == ('pet', 'background', 'border')
  source = data.source(name, 'train', folder)
  assert len(source) == 4
  example = source[3]
  assert example['id'] == 'Abyssinian_3'
  assert example['image'].dtype == np.uint8
  assert example['image'][0, 0].tolist() == [3, 100, 200]  # RGB
  assert example['label'].shape == (8, 10)
  assert set(np.unique(example['label'])) == {0, 1, 2}
  assert np.array_equal(source.label(3), example['label'])


def test_scene_parsing_has_150_classes_and_three_channels(folder):
  name = 'tfds:scene_parse150'
  info = data.info(name, folder)
  assert info.num_classes == 150
  assert info.class_names[0] == 'wall' and info.class_names[149] == 'flag'
  assert info.label_to_train[[0, 1, 150]].tolist() == [255, 0, 149]
  example = data.source(name, 'train', folder)[0]
  assert example['label'].shape == (8, 10)
  assert example['id'] == '000000'


def test_named_masks_are_found_by_their_type(folder):
  assert data.info('tfds:named', folder).class_names == ('x', 'y')
  assert len(data.source('tfds:named', 'train', folder)) == 2


def test_own_folder_holds_train_ids(folder):
  for place in (folder / 'own', folder / 'own' / '1.0.0'):
    assert data.info('tfds', place).class_names == ('road', 'car')
    source = data.source('tfds', 'train', place)
    assert source[0]['id'] == 'e/0'
    assert set(np.unique(source[0]['label'])) == {0, 1}
    assert set(np.unique(source[1]['label'])) == {0, 255}


def test_slices_and_splits(folder):
  assert len(data.source('tfds:oxford_iiit_pet', 'train[:50%]', folder)) == 2
  with pytest.raises(data.DataError, match="no split 'val'") as error:
    data.source('tfds:oxford_iiit_pet', 'val', folder)
  assert 'splits: train' in str(error.value)


def test_source_travels_and_ends(folder):
  source = data.source('tfds:oxford_iiit_pet', 'train', folder)
  again = pickle.loads(pickle.dumps(source))
  assert np.array_equal(again[1]['label'], source[1]['label'])
  assert source[np.int64(1)]['id'] == 'Abyssinian_1'
  with pytest.raises(IndexError):
    source[4]


def test_counts_and_doctor_without_files(folder):
  source = data.source('tfds:oxford_iiit_pet', 'train', folder)
  counts = class_pixel_counts(source)
  assert counts.sum() == 4 * 80 and counts[3:].sum() == 0
  report = check('tfds:oxford_iiit_pet', 'train', folder)
  assert not report.failed and (report.counts == counts).all()


def test_classes_json_takes_precedence(folder):
  given = folder / 'oxford_iiit_pet' / 'classes.json'
  names = ['nothing', 'pet', 'background', 'border']
  given.write_text(json.dumps({'names': names, 'void_id': [0, 3]}))
  try:
    info = data.info('tfds:oxford_iiit_pet', folder)
    assert info.class_names == ('pet', 'background')
  finally:
    given.unlink()


@pytest.mark.parametrize(
  'name, match',
  [
    ('tfds:flat', 'no feature that is a mask.*all features: image, label'),
    ('tfds:sequential', "again with file_format='array_record'"),
    ('tfds:cityscapes', 'download_and_prepare'),
    ('tfds:no_such_set', 'not found'),
    ('tfds', 'holds 6 data sets'),
  ],
)
def test_what_cannot_be_used(folder, name, match):
  given = folder / 'classes.json'
  given.write_text(json.dumps({'names': ['a', 'b', 'c', 'd']}))
  try:
    with pytest.raises(data.DataError, match=match):
      data.source(name, 'train', folder)
  finally:
    given.unlink()


def test_no_table(folder):
  with pytest.raises(data.DataError, match='no class table') as error:
    data.info('tfds:sequential', folder)
  assert str(folder / 'sequential' / 'classes.json') in str(error.value)


def test_well_known_classes_need_no_data(tmp_path):
  assert data.info('tfds:cityscapes', tmp_path).num_classes == 19


def test_reading_imports_no_tensorflow(folder):
  code = f"""
import sys
from deeplax import data
source = data.source('tfds:oxford_iiit_pet', 'train', {str(folder)!r})
assert source[2]['id'] == 'Abyssinian_2'
assert 'tensorflow_datasets' in sys.modules
assert 'tensorflow' not in sys.modules
"""
  subprocess.run([sys.executable, '-c', code], check=True)


def test_records_that_turn_bad_are_named(folder, tmp_path):
  shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
  name = 'tfds:oxford_iiit_pet'
  source = data.source(name, 'train', tmp_path)
  assert source[0]['id'] == 'Abyssinian_0'
  (path,) = tmp_path.rglob('oxford_iiit_pet-train.array_record*')
  with open(path, 'r+b') as file:  # in place: the file is open
    file.write(bytes(range(256)) * (path.stat().st_size // 256))
  with pytest.raises(data.DataError, match=r'oxford.* train\[3\]: .*records'):
    source[3]
  path.unlink()
  again = data.source(name, 'train', tmp_path)  # its lengths lie elsewhere
  with pytest.raises(data.DataError, match=r'train\[1\]: .*No such file'):
    again[1]
