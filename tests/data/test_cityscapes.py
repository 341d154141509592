"""The official tree: found, mapped, complete, or an error."""

import pickle

import cv2
import numpy as np
import pytest

from deeplax import data
from deeplax.data.datasets import cityscapes
from tests.data import trees

# Train id by label id, from the official table, written out once more.
TRAIN_IDS = dict(
  zip(
    [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33],
    range(19),
  )
)


def test_examples(tmp_path):
  trees.write_cityscapes(tmp_path)
  source = data.source('cityscapes', 'val', tmp_path)
  assert len(source) == 4
  example = source[2]
  assert example['id'] == 'bonn_000000_000000'
  assert example['image'].dtype == np.uint8
  path = 'leftImg8bit/val/bonn/bonn_000000_000000_leftImg8bit.png'
  bgr = cv2.imread(str(tmp_path / path))
  assert (example['image'] == bgr[..., ::-1]).all()
  raw = trees.ids(range(34), seed=10)
  expected = np.vectorize(lambda i: TRAIN_IDS.get(i, 255))(raw)
  assert example['label'].dtype == np.uint8
  assert (example['label'] == expected).all()
  assert set(example) == {'image', 'label', 'id'}
  assert [source[i]['id'] for i in range(4)] == sorted(
    source[i]['id'] for i in range(4)
  )


def test_extras(tmp_path):
  trees.write_cityscapes(tmp_path)
  source = data.source(
    'cityscapes', 'val', tmp_path, extras=('instance', 'disparity')
  )
  example = source[0]
  assert example['instance'].dtype == np.int32
  cars = example['label'] == 13
  assert cars.any() and (example['instance'][cars] == 26001).all()
  raw = np.random.default_rng(0).integers(0, 9, (24, 32)) * 4000
  assert example['disparity'].dtype == np.float32
  assert (np.isnan(example['disparity']) == (raw == 0)).all()
  valid = raw > 0
  np.testing.assert_allclose(
    example['disparity'][valid], (raw[valid] - 1) / 256, rtol=1e-6
  )


def test_unknown_and_missing_extras(tmp_path):
  trees.write_cityscapes(tmp_path)
  with pytest.raises(data.DataError, match='instance, disparity'):
    data.source('cityscapes', 'val', tmp_path, extras=('depth',))
  lost = tmp_path / 'disparity/val/bonn/bonn_000000_000001_disparity.png'
  lost.unlink()
  with pytest.raises(data.DataError, match='disparity_trainvaltest') as e:
    data.source('cityscapes', 'val', tmp_path, extras=('disparity',))
  assert '1 of 4' in str(e.value) and 'bonn_000000_000001' in str(e.value)


def test_source_travels_to_a_worker(tmp_path):
  trees.write_cityscapes(tmp_path)
  source = data.source('cityscapes', 'val', tmp_path, extras=('instance',))
  again = pickle.loads(pickle.dumps(source))
  for key, value in source[3].items():
    assert np.array_equal(again[3][key], value), key


def test_picture_without_label_and_the_reverse(tmp_path):
  trees.write_cityscapes(tmp_path)
  city = tmp_path / 'gtFine/val/bonn'
  (city / 'bonn_000000_000001_gtFine_labelIds.png').unlink()
  trees.write_mask(city / 'x_gtFine_labelIds.png', trees.ids([7]))
  with pytest.raises(data.DataError) as error:
    data.source('cityscapes', 'val', tmp_path)
  message = str(error.value)
  assert '1 x picture without a mask' in message
  assert 'bonn_000000_000001_leftImg8bit.png' in message
  assert '1 x mask without a picture' in message
  lenient = data.source('cityscapes', 'val', tmp_path, strict=False)
  assert len(lenient) == 3 and len(lenient.problems) == 2


def test_wrong_level_and_wrong_split(tmp_path):
  trees.write_cityscapes(tmp_path)
  with pytest.raises(data.DataError, match='folder above leftImg8bit'):
    data.source('cityscapes', 'val', tmp_path / 'leftImg8bit')
  with pytest.raises(data.DataError, match='splits there: val'):
    data.source('cityscapes', 'vall', tmp_path)


def test_pictures_without_gtfine(tmp_path):
  trees.write_cityscapes(tmp_path)
  (tmp_path / 'gtFine').rename(tmp_path / 'elsewhere')
  with pytest.raises(data.DataError, match='_gtFine_labelIds') as error:
    data.source('cityscapes', 'val', tmp_path)
  assert 'gtFine_trainvaltest.zip' in str(error.value)


@pytest.mark.parametrize('dummies', [False, True])
def test_public_test_split_has_no_labels(tmp_path, dummies):
  trees.write_cityscapes(tmp_path, split='test')
  for path in (tmp_path / 'gtFine/test').glob('*/*_labelIds.png'):
    if dummies:
      trees.write_mask(path, trees.ids([0, 1, 2, 3]))
    else:
      path.unlink()
  with pytest.raises(data.DataError, match='launch/predict') as error:
    data.source('cityscapes', 'test', tmp_path)
  assert error.value.kind == 'no labels'


def test_a_test_split_with_real_labels_is_fine(tmp_path):
  trees.write_cityscapes(tmp_path, split='test')
  assert len(data.source('cityscapes', 'test', tmp_path)) == 4


def test_size_mismatch_and_unknown_id_name_the_file(tmp_path):
  trees.write_cityscapes(tmp_path)
  folder = tmp_path / 'gtFine/val/aachen'
  trees.write_mask(
    folder / 'aachen_000000_000000_gtFine_labelIds.png',
    trees.ids([7], 12, 16),
  )
  trees.write_mask(
    folder / 'aachen_000000_000001_gtFine_labelIds.png', trees.ids([7, 77])
  )
  source = data.source('cityscapes', 'val', tmp_path)
  with pytest.raises(data.DataError, match='12x16') as error:
    source[0]
  assert '24x32' in str(error.value) and 'aachen' in error.value.file
  with pytest.raises(data.DataError, match=r'ids \[77\]') as error:
    source[1]
  assert '0..33' in str(error.value)


def test_files_of_macos_and_stray_files_are_left_out(tmp_path):
  trees.write_cityscapes(tmp_path)
  city = tmp_path / 'leftImg8bit/val/bonn'
  (city / '._bonn_000000_000001_leftImg8bit.png').write_bytes(b'x')
  (city / 'Thumbs.db').write_bytes(b'x')
  (tmp_path / 'leftImg8bit/val/license.txt').write_text('x')
  assert len(data.source('cityscapes', 'val', tmp_path)) == 4


def test_how_to_get_names_the_archives():
  assert 'gtFine_trainvaltest.zip' in cityscapes.INFO.how_to_get
