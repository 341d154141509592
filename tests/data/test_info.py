"""Class tables, and data sets found by name."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

from deeplax import data
from deeplax.data.datasets import camvid, cityscapes
from deeplax.data.errors import first_few
from deeplax.data.info import DatasetInfo, Label


def test_cityscapes_has_the_official_table():
  info = cityscapes.INFO
  assert len(info.labels) == 35
  assert info.num_classes == 19
  assert info.class_names[0] == 'road' and info.class_names[18] == 'bicycle'
  official = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28]
  official += [31, 32, 33]
  assert info.train_to_label[:19].tolist() == official
  assert info.train_to_label[255] == 0
  assert [l.label_id for l in info.labels] == [*range(34), -1]
  categories = dict.fromkeys(l.category for l in info.labels)
  assert list(categories) == [
    'void',
    'flat',
    'construction',
    'object',
    'nature',
    'sky',
    'human',
    'vehicle',
  ]
  assert len(info.categories) == 7  # void holds no trained class
  assert info.instance_classes == tuple(range(11, 19))
  assert info.palette[13].tolist() == [0, 0, 142]


def test_label_and_train_ids_are_inverse():
  for info in (cityscapes.INFO, camvid.INFO):
    ids = np.arange(info.num_classes)
    assert (info.label_to_train[info.train_to_label[ids]] == ids).all()


def test_info_survives_json():
  info = cityscapes.INFO
  assert DatasetInfo.from_json(info.to_json()) == info


def test_info_refuses_gaps_and_doubles():
  with pytest.raises(ValueError, match='without gaps'):
    DatasetInfo('x', (Label('a', 0, 1, 'a', (0, 0, 0)),))
  twice = Label('a', 0, 0, 'a', (0, 0, 0))
  with pytest.raises(ValueError, match='more than once'):
    DatasetInfo('x', (twice, twice))


def test_unknown_name_lists_the_known_ones():
  with pytest.raises(data.DataError, match='cityscape') as error:
    data.source('cityscape', 'train', 'nowhere')
  assert 'cityscapes, ' in str(error.value)
  assert set(data.names()) >= {'camvid', 'cityscapes', 'folder', 'tfds'}


def test_argument_or_extra_that_a_data_set_does_not_take():
  with pytest.raises(data.DataError, match='takes no argument'):
    data.source('camvid:large', 'train', 'nowhere')
  with pytest.raises(data.DataError, match='takes no extras'):
    data.source('camvid', 'train', 'nowhere', extras=('instance',))


@pytest.mark.parametrize('name', ['cityscapes', 'camvid', 'folder', 'tfds'])
def test_missing_data_says_what_to_do(name, tmp_path):
  with pytest.raises(data.DataError) as error:
    data.source(name, 'train', tmp_path / 'absent')
  message = str(error.value)
  assert str(tmp_path / 'absent') in message  # what it looked for
  assert 'configs/demo.py needs no data set' in message
  assert '--config.dataset.dir' in message


def test_error_survives_pickling():
  error = data.DataError('bad.', fix='Mend it.', file='a.png', kind='k')
  again = pickle.loads(pickle.dumps(error))
  assert str(again) == str(error) == 'a.png: bad. Mend it.'
  assert (again.kind, again.fix, again.file) == ('k', 'Mend it.', 'a.png')


def test_first_few():
  assert first_few('abc', 5) == 'a, b, c'
  assert first_few(range(7), 5) == '0, 1, 2, 3, 4 and 2 more'


def test_import_leaves_tensorflow_alone():
  code = (
    'import sys, deeplax.data, deeplax.data.check\n'
    'deeplax.data.info("cityscapes")\n'
    'assert "tensorflow" not in sys.modules\n'
    'assert "tensorflow_datasets" not in sys.modules\n'
  )
  subprocess.run([sys.executable, '-c', code], check=True)
