"""Own pictures and masks, and CamVid in both of its layouts."""

import json
import pathlib

import cv2
import numpy as np
import pytest
from PIL import Image

from deeplax import data
from tests.data import trees

CAMVID = pathlib.Path(__file__).parents[3] / 'shared' / 'data' / 'camvid'


def set_classes(root, tree):
  (root / 'classes.json').write_text(json.dumps(tree))


def test_list_of_names_is_enough(tmp_path):
  trees.write_folder(tmp_path)
  info = data.info('folder', tmp_path)
  assert info.class_names == ('a', 'b', 'c')
  assert info.label_to_train[[0, 1, 2, 255]].tolist() == [0, 1, 2, 255]
  assert len({tuple(c) for c in info.palette[:3].tolist()}) == 3
  assert (0, 0, 0) not in {l.colour for l in info.labels[:3]}
  source = data.source('folder', 'train', tmp_path)
  assert len(source) == 4
  example = source[1]
  assert example['id'] == '1'
  assert (example['label'] == trees.ids([0, 1, 2, 255], seed=1)).all()


def test_palette_void_and_categories(tmp_path):
  trees.write_folder(tmp_path)
  set_classes(
    tmp_path,
    {
      'names': ['nothing', 'cat', 'dog'],
      'palette': [[0, 0, 0], [1, 2, 3], [4, 5, 6]],
      'void_id': [0, 255],
      'categories': ['x', 'animal', 'animal'],
      'stats': 'left alone',
    },
  )
  info = data.info('folder', tmp_path)
  assert info.class_names == ('cat', 'dog')
  assert info.categories == ('animal',)
  assert info.palette[1].tolist() == [4, 5, 6]
  assert info.train_to_label[:2].tolist() == [1, 2]
  label = data.source('folder', 'train', tmp_path)[0]['label']
  raw = trees.ids([0, 1, 2, 255], seed=0)
  assert (label == np.array([255, 0, 1])[np.where(raw > 2, 0, raw)]).all()


def test_without_void_255_is_out_of_range(tmp_path):
  trees.write_folder(tmp_path)
  set_classes(tmp_path, {'names': ['a', 'b', 'c'], 'void_id': None})
  source = data.source('folder', 'train', tmp_path)
  with pytest.raises(data.DataError, match=r'ids \[255\]') as error:
    source[0]
  assert '0..2' in str(error.value) and 'void_id' in str(error.value)


@pytest.mark.parametrize(
  'tree, match',
  [
    ({}, 'no list of `names`'),
    ('text', 'no list of `names`'),
    ([], 'no list of `names`'),
    ([1, 2], 'must be texts'),
    (['a', 'a'], 'more than once'),
    ([str(i) for i in range(256)], 'at most 255'),
    ({'names': ['a', 'b'], 'palette': [[0, 0, 0]]}, '1 rows for 2 names'),
    ({'names': ['a'], 'palette': [[0, 0, 300]]}, r'\[r, g, b\]'),
    ({'names': ['a'], 'void_id': 0}, 'no class to train'),
    ({'names': ['a'], 'void_id': 'x'}, 'void_id'),
    ({'names': ['a', 'b'], 'categories': ['x']}, '1 categories'),
    ({'names': ['a', 'b'], 'categories': 5}, '5 categories'),
    ({'names': ['a'], 'categories': [1]}, 'must be texts'),
    ({'names': ['a'], 'void_name': 5}, 'must be texts'),
    ({'names': ['a'], 'void_colour': 'x'}, "void_colour` \\(='x'\\)"),
    ({'names': ['a'], 'void_colour': [0, 0]}, 'void_colour'),
  ],
)
def test_class_table_that_is_none(tmp_path, tree, match):
  set_classes(tmp_path, tree)
  with pytest.raises(data.DataError, match=match) as error:
    data.info('folder', tmp_path)
  assert 'classes.json' in error.value.file


def test_broken_json(tmp_path):
  (tmp_path / 'classes.json').write_text('{"names": [')
  with pytest.raises(data.DataError, match='not JSON'):
    data.info('folder', tmp_path)


def test_a_folder_where_the_table_should_be(tmp_path):
  (tmp_path / 'classes.json').mkdir()
  with pytest.raises(data.DataError, match='directory'):
    data.info('folder', tmp_path)


def test_a_table_saved_on_windows(tmp_path):
  (tmp_path / 'classes.json').write_text('\ufeff["a", "b"]', encoding='utf-8')
  assert data.info('folder', tmp_path).class_names == ('a', 'b')


@pytest.mark.parametrize('ending', ['JPG', 'jpeg', 'bmp', 'WebP', 'tif'])
def test_extensions_in_any_case(tmp_path, ending):
  trees.write_folder(tmp_path, count=0)
  trees.write_picture(tmp_path / 'train' / 'images' / 'tmp.png')
  plain = tmp_path / 'train' / 'images' / 'tmp.png'
  Image.open(plain).save(plain.with_name(f'x.{ending}'))
  plain.unlink()
  trees.write_mask(tmp_path / 'train/labels/x.PNG', trees.ids([0, 1, 2]))
  source = data.source('folder', 'train', tmp_path)
  assert source[0]['image'].shape == (24, 32, 3)


def test_grey_and_transparent_pictures(tmp_path):
  trees.write_folder(tmp_path, count=2)
  images = tmp_path / 'train/images'
  cv2.imwrite(str(images / '0.png'), np.full((24, 32), 77, np.uint8))
  cv2.imwrite(str(images / '1.png'), np.full((24, 32, 4), 88, np.uint8))
  source = data.source('folder', 'train', tmp_path)
  assert (source[0]['image'] == 77).all()
  assert (source[1]['image'] == 88).all()
  assert source[0]['image'].shape == source[1]['image'].shape == (24, 32, 3)


def test_sub_folders_and_doubled_names(tmp_path):
  trees.write_folder(tmp_path, count=1)
  trees.write_picture(tmp_path / 'train/images/day/0.jpg')
  trees.write_mask(tmp_path / 'train/labels/day/0.png', trees.ids([1]))
  source = data.source('folder', 'train', tmp_path)
  assert [source[i]['id'] for i in range(2)] == ['0', 'day/0']
  trees.write_picture(tmp_path / 'train/images/day/0.png')
  with pytest.raises(data.DataError, match='same name'):
    data.source('folder', 'train', tmp_path)


def test_unpaired_files_are_listed(tmp_path):
  trees.write_folder(tmp_path, count=9)
  for i in range(7):
    (tmp_path / f'train/labels/{i}.png').unlink()
  with pytest.raises(data.DataError, match='7 x picture without a mask') as e:
    data.source('folder', 'train', tmp_path)
  assert 'and 2 more' in str(e.value)


def test_nothing_pairs_and_jpeg_masks(tmp_path):
  trees.write_folder(tmp_path, count=1)
  labels = tmp_path / 'train/labels'
  (labels / '0.png').rename(labels / '0_mask.png')
  with pytest.raises(data.DataError, match='0_mask'):
    data.source('folder', 'train', tmp_path, strict=False)
  (labels / '0_mask.png').rename(labels / '0.jpg')
  with pytest.raises(data.DataError, match='again as PNG'):
    data.source('folder', 'train', tmp_path)


def test_wrong_split_names_those_there(tmp_path):
  trees.write_folder(tmp_path)
  with pytest.raises(data.DataError, match=r'splits there: train\)'):
    data.source('folder', 'val', tmp_path)


def test_picture_turned_by_exif(tmp_path):
  trees.write_folder(tmp_path, count=0)
  exif = Image.Exif()
  exif[0x0112] = 6
  images = tmp_path / 'train/images'
  images.mkdir(parents=True)
  Image.new('RGB', (32, 24)).save(images / 'x.jpg', exif=exif)
  mask = tmp_path / 'train/labels/x.png'
  trees.write_mask(mask, trees.ids([0], 24, 32))
  source = data.source('folder', 'train', tmp_path)
  assert source[0]['image'].shape == (24, 32, 3)  # as stored
  trees.write_mask(mask, trees.ids([0], 32, 24))
  with pytest.raises(data.DataError, match='exif_transpose'):
    source[0]


def test_sixteen_bit_mask(tmp_path):
  trees.write_folder(tmp_path, count=2)
  labels = tmp_path / 'train/labels'
  raw = trees.ids([0, 1, 2, 255]).astype(np.uint16)
  trees.write_mask(labels / '0.png', raw)
  trees.write_mask(labels / '1.png', raw * 300)
  source = data.source('folder', 'train', tmp_path)
  assert (source[0]['label'] == raw).all()
  with pytest.raises(data.DataError, match=r'\[300, 600, 76500|\[300, 600'):
    source[1]


def test_camvid_in_both_layouts(tmp_path):
  raw = trees.ids([*range(11), 255])
  for i in range(2):
    trees.write_picture(tmp_path / f'a/val/images/{i}.jpg')
    trees.write_mask(tmp_path / f'a/val/labels/{i}.png', raw)
    trees.write_picture(tmp_path / f'b/val/{i}.png')
    segnet = np.where(raw == 255, 11, raw).astype(np.uint8)
    trees.write_mask(tmp_path / f'b/valannot/{i}.png', segnet)
  for layout in 'ab':
    source = data.source('camvid', 'val', tmp_path / layout)
    assert len(source) == 2
    assert (source[1]['label'] == raw).all()
  assert data.info('camvid').num_classes == 11


def test_camvid_has_drives_to_tune_by(tmp_path):
  raw = trees.ids(range(11))
  names = ['0001TP_1', '0006R0_f1', '0006R0_f2', '0016E5_1', '0016E5_2']
  for name in names:
    trees.write_picture(tmp_path / f'a/train/images/{name}.jpg')
    trees.write_mask(tmp_path / f'a/train/labels/{name}.png', raw)
    trees.write_picture(tmp_path / f'b/train/{name}.png')
    trees.write_mask(tmp_path / f'b/trainannot/{name}.png', raw)
  for layout in 'ab':
    kept, held_out, whole = (
      [example['id'] for example in data.source('camvid', split, dir)]
      for dir in [tmp_path / layout]
      for split in ('tune_train', 'tune_val', 'train')
    )
    assert kept == names[3:] and held_out == names[:3] and whole == names
  for path in (tmp_path / 'a/train').rglob('0016E5*'):
    path.unlink()
  assert len(data.source('camvid', 'tune_val', tmp_path / 'a')) == 3
  with pytest.raises(data.DataError, match='besides the drives 0006R0 and'):
    data.source('camvid', 'tune_train', tmp_path / 'a')


@pytest.mark.skipif(not CAMVID.is_dir(), reason='no CamVid beside the checkout')
def test_camvid_table_is_that_of_the_files():
  there, ours = data.info('folder', CAMVID), data.info('camvid', CAMVID)
  assert there.class_names == ours.class_names
  assert (there.palette == ours.palette).all()
  for name in ('folder', 'camvid'):
    source = data.source(name, 'val', CAMVID)
    assert len(source) == 101
    assert source[0]['image'].shape == (360, 480, 3)
