"""Pascal VOC: the classes, the lists, palette masks, and what is missing."""

import pathlib
import pickle

import cv2
import numpy as np
import pytest
from PIL import Image

from deeplax import data
from deeplax.data import check
from deeplax.data.datasets import voc
from tests.data import trees

SAMPLES = pathlib.Path(__file__).parents[3] / 'shared' / 'data' / 'voc_samples'

# The devkit's classes and colour map, written out once more.
NAMES = """
background, aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow,
diningtable, dog, horse, motorbike, person, pottedplant, sheep, sofa, train,
tvmonitor
"""
COLOURS = {
  0: (0, 0, 0),
  1: (128, 0, 0),
  2: (0, 128, 0),
  3: (128, 128, 0),
  4: (0, 0, 128),
  7: (128, 128, 128),
  8: (64, 0, 0),
  15: (192, 128, 128),
  16: (0, 64, 0),
  20: (0, 64, 128),
}


def palette():
  colours = voc.INFO.palette.copy()
  colours[255] = 224, 224, 192
  return colours.ravel().tolist()


def write_mask(path, ids):
  """A palette PNG, as all of VOC's masks."""
  path.parent.mkdir(parents=True, exist_ok=True)
  picture = Image.fromarray(ids)
  picture.putpalette(palette())
  assert picture.mode == 'P'
  picture.save(path)


def write_list(root, split, lines):
  path = root / 'ImageSets' / 'Segmentation' / f'{split}.txt'
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text('\n'.join(lines) + '\n')


def ids_of(seed):
  return trees.ids([*range(21), 255], seed=seed)


@pytest.fixture
def root(tmp_path):
  """train of 2, val of 1, trainaug of 3, in `VOCdevkit/VOC2012`."""
  root = tmp_path / 'VOCdevkit' / 'VOC2012'
  names = ['2007_000032', '2007_000039', '2008_000003']
  for i, name in enumerate(names):
    (root / 'JPEGImages').mkdir(parents=True, exist_ok=True)
    bgr = np.full((24, 32, 3), 80 * i, np.uint8)
    assert cv2.imwrite(str(root / f'JPEGImages/{name}.jpg'), bgr)
    write_mask(root / f'SegmentationClass/{name}.png', ids_of(i))
    trees.write_mask(root / f'SegmentationClassAug/{name}.png', ids_of(10 + i))
  write_list(root, 'train', names[1::-1])
  write_list(root, 'val', names[2:])
  write_list(root, 'trainval', names)
  write_list(root, 'trainaug', names)
  return root


def test_classes_and_colours():
  info = data.info('voc')
  assert ', '.join(info.class_names) == ' '.join(NAMES.split())
  for i, colour in COLOURS.items():
    assert tuple(info.palette[i].tolist()) == colour, i
  assert info.label_to_train[:22].tolist() == [*range(21), 255]
  assert info.label_to_train[255] == 255
  assert info.train_to_label[:21].tolist() == [*range(21)]
  assert len(info.categories) == 5


def test_splits_follow_their_lists(root):
  source = data.source('voc', 'train', root)
  assert [source[i]['id'] for i in range(2)] == ['2007_000039', '2007_000032']
  example = source[0]
  assert example['image'].shape == (24, 32, 3)
  assert abs(int(example['image'].mean()) - 80) <= 1
  assert example['label'].dtype == np.uint8
  np.testing.assert_array_equal(example['label'], ids_of(1))
  assert (source[1]['label'] == ids_of(0)).all()
  assert len(data.source('voc', 'val', root)) == 1
  assert len(data.source('voc', 'trainval', root)) == 3
  again = pickle.loads(pickle.dumps(source))
  assert (again[1]['label'] == ids_of(0)).all()


def test_the_augmented_set_has_masks_of_its_own(root):
  source = data.source('voc', 'trainaug', root)
  for i in range(3):
    assert (source[i]['label'] == ids_of(10 + i)).all()


def test_a_list_with_paths(root):
  write_list(
    root,
    'trainaug',
    ['/JPEGImages/2007_000032.jpg /SegmentationClassAug/2007_000032.png', ''],
  )
  source = data.source('voc', 'trainaug', root)
  assert len(source) == 1 and source[0]['id'] == '2007_000032'


@pytest.mark.parametrize('level', [0, 1, 2])
def test_the_folders_above_will_do(root, level):
  folder = [root, *root.parents][level]
  assert len(data.source('voc', 'val', folder)) == 1


def test_no_tree(tmp_path):
  with pytest.raises(data.DataError, match='VOCtrainval') as error:
    data.source('voc', 'train', tmp_path / 'nowhere')
  assert 'does not exist' in str(error.value)
  (tmp_path / 'pictures').mkdir()
  with pytest.raises(data.DataError, match=r'in .*: pictures'):
    data.source('voc', 'train', tmp_path)


def test_no_list(root):
  with pytest.raises(
    data.DataError, match='train, trainaug, trainval, val'
  ) as error:
    data.source('voc', 'test', root)
  assert 'test.txt' in str(error.value)


def test_without_the_augmented_set_it_says_what_that_is(root):
  (root / 'ImageSets/Segmentation/trainaug.txt').unlink()
  with pytest.raises(data.DataError, match='SegmentationClassAug') as error:
    data.source('voc', 'trainaug', root)
  assert 'train_split=train' in str(error.value)
  write_list(root, 'trainaug', ['2007_000032'])
  (root / 'SegmentationClassAug').rename(root / 'elsewhere')
  with pytest.raises(data.DataError, match='train_split=train'):
    data.source('voc', 'trainaug', root)


def test_listed_files_that_are_not_there(root):
  (root / 'JPEGImages/2007_000032.jpg').unlink()
  (root / 'SegmentationClass/2008_000003.png').unlink()
  with pytest.raises(data.DataError, match='2 of the files for 3') as error:
    data.source('voc', 'trainval', root)
  assert '2007_000032.jpg' in str(error.value)
  assert '2008_000003.png' in str(error.value)
  lenient = data.source('voc', 'trainval', root, strict=False)
  assert len(lenient) == 1 and len(lenient.problems) == 2
  report = check.check('voc', 'trainval', str(root))
  assert report.failed and '2007_000032.jpg' in str(report)


@pytest.mark.parametrize(
  'lines, match',
  [([''], 'no id'), (['2007_000032'] * 2, '2007_000032 more than once')],
)
def test_bad_lists(root, lines, match):
  write_list(root, 'train', lines)
  with pytest.raises(data.DataError, match=match) as error:
    data.source('voc', 'train', root)
  assert error.value.file.endswith('train.txt')


def test_a_list_that_is_no_text(root):
  path = root / 'ImageSets/Segmentation/train.txt'
  path.write_bytes(b'\xff\xfe\x00')
  with pytest.raises(data.DataError, match="can't be read"):
    data.source('voc', 'train', root)


def test_an_id_of_another_set_names_the_file(root):
  write_mask(root / 'SegmentationClass/2008_000003.png', trees.ids([0, 21]))
  source = data.source('voc', 'val', root)
  with pytest.raises(data.DataError, match=r'ids \[21\]') as error:
    source[0]
  assert '0..20, 255' in str(error.value)
  assert '2008_000003' in error.value.file


@pytest.mark.skipif(not SAMPLES.is_dir(), reason='no VOC beside the checkout')
def test_real_pictures(tmp_path):
  for name in ('JPEGImages', 'SegmentationClass'):
    (tmp_path / name).symlink_to(SAMPLES / name)
  names = (SAMPLES / 'ids.txt').read_text().split()
  write_list(tmp_path, 'val', names)
  source = data.source('voc', 'val', tmp_path)
  assert len(source) == len(names) == 5
  seen = set()
  for i, name in enumerate(names):
    example = source[i]
    assert example['id'] == name
    with Image.open(SAMPLES / f'SegmentationClass/{name}.png') as picture:
      indices = np.asarray(picture)
    np.testing.assert_array_equal(example['label'], indices)
    if picture.mode == 'P':  # the files' own colours
      theirs = np.array(picture.getpalette()).reshape(-1, 3)
      np.testing.assert_array_equal(theirs[:21], data.info('voc').palette[:21])
    seen |= {*np.unique(indices)}
  assert 255 in seen and len(seen) > 4
  # Five pictures don't hold all classes.
  report = check.check('voc', 'val', str(tmp_path))
  assert {p.kind for p in report.problems} <= {
    'class never seen',
    'palette PNG',
  }
