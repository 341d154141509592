"""Synthetic scenes: the same everywhere, whole, and of every class."""

import hashlib
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from deeplax import data
from deeplax.data.info import IGNORE_LABEL

_SMALL = 'synthetic:64x128x21x14'

_DIGEST = """
import hashlib
from deeplax import data
s = data.source('synthetic:48x96', 'train', extras=('instance', 'disparity'))
h = hashlib.sha256()
for i in (0, 5, 399):
  e = s[i]
  for key in ('image', 'label', 'instance', 'disparity'):
    h.update(e[key].tobytes())
print(h.hexdigest())
"""


def _digest(example):
  parts = (example['image'].tobytes(), example['label'].tobytes())
  return hashlib.sha256(b''.join(parts)).hexdigest()


def test_same_picture_in_another_process_and_on_an_older_processor():
  runs = [
    subprocess.run(
      [sys.executable, '-c', _DIGEST],
      capture_output=True,
      text=True,
      check=True,
      env={
        'PYTHONHASHSEED': seed,
        'PYTHONPATH': os.pathsep.join(filter(None, sys.path)),
        'OPENCV_CPU_DISABLE': without,
      },
    ).stdout
    for seed, without in (('1', ''), ('2', 'AVX,AVX2,FMA3,FP16,AVX512-SKX'))
  ]
  assert runs[0] == runs[1] != ''


def test_pictures_do_not_depend_on_what_was_drawn_before():
  source = data.source(_SMALL, 'train')
  forward = [_digest(source[i]) for i in range(4)]
  backward = [_digest(source[i]) for i in reversed(range(4))][::-1]
  assert forward == backward
  copy = pickle.loads(pickle.dumps(source))
  assert [_digest(copy[i]) for i in range(4)] == forward
  assert len(set(forward)) == 4


def test_splits_are_disjoint():
  seen = {}
  for split, count in (('train', 21), ('val', 14), ('test', 14)):
    source = data.source(_SMALL, split)
    assert len(source) == count
    seen[split] = {_digest(source[i]) for i in range(count)}
    assert len({source[i]['id'] for i in range(2)}) == 2
  assert not seen['train'] & seen['val']
  assert not seen['val'] & seen['test']
  assert (
    data.source(_SMALL, 'val')[0]['id']
    != (data.source(_SMALL, 'train')[0]['id'])
  )


@pytest.mark.parametrize('split', ['train', 'val'])
def test_all_classes_occur_and_some_void(split):
  info = data.info('synthetic')
  assert info.name == 'synthetic' and info.num_classes == 19
  source = data.source('synthetic:64x128x28x28', split)
  pixels = np.zeros(256, np.int64)
  for i in range(len(source)):
    example = source[i]
    label = example['label']
    assert example['image'].shape == (64, 128, 3)
    assert example['image'].dtype == label.dtype == np.uint8
    assert label.shape == (64, 128)
    pixels += np.bincount(label.ravel(), minlength=256)
  assert not pixels[19:IGNORE_LABEL].any()
  assert pixels[IGNORE_LABEL] > 0
  share = pixels[:19] / pixels.sum()
  assert share.min() > 0.002, dict(zip(info.class_names, share.round(4)))


def test_every_rare_class_within_seven_pictures():
  source = data.source(_SMALL, 'train')
  for start in (0, 7, 14):
    seen = set()
    for i in range(start, start + 7):
      seen |= set(np.unique(source[i]['label']).tolist())
    assert {14, 15, 16, 17, 18} <= seen


def test_instances_agree_with_labels():
  info = data.info('synthetic')
  source = data.source(_SMALL, 'train', extras=('instance', 'disparity'))
  for i in range(7):
    example = source[i]
    ids = example['instance']
    assert ids.dtype == np.int32
    label_ids = np.where(ids >= 1000, ids // 1000, ids)
    np.testing.assert_array_equal(
      info.label_to_train[label_ids], example['label']
    )
    things = np.isin(example['label'], info.instance_classes)
    np.testing.assert_array_equal(things, ids >= 1000)
    disparity = example['disparity']
    assert disparity.dtype == np.float32
    sky = example['label'] == info.class_names.index('sky')
    assert np.isnan(disparity[sky]).all()
    road = disparity[example['label'] == 0]
    assert np.isfinite(road).all() and (road >= 0).all()
    # The road comes closer towards the lower edge.
    rows = np.nonzero(example['label'] == 0)[0]
    low, high = road[rows > 50].mean(), road[rows < 40].mean()
    assert low > high or not (rows < 40).any()


def test_same_street_at_every_size():
  small = data.source('synthetic:64x128', 'train')[2]['label']
  large = data.source('synthetic:128x256', 'train')[2]['label']
  assert (small == large[::2, ::2]).mean() > 0.85


def test_any_shape():
  example = data.source('synthetic:33x70x3', 'train')[2]
  assert example['image'].shape == (33, 70, 3)
  tall = data.source('synthetic:96x40x3', 'train')[1]
  assert tall['label'].shape == (96, 40)


@pytest.mark.parametrize(
  'name, split, extras, words',
  [
    ('synthetic', 'trainval', (), 'train, val, test'),
    ('synthetic:big', 'train', (), 'HxW'),
    ('synthetic:8x8', 'train', (), 'at least 32'),
    ('synthetic:64x64x0', 'train', (), 'at least 1'),
    ('synthetic', 'train', ('depth',), 'disparity'),
  ],
)
def test_wrong_requests_say_what_there_is(name, split, extras, words):
  with pytest.raises(data.DataError, match=words):
    data.source(name, split, extras=extras)


def test_outside_is_an_index_error():
  with pytest.raises(IndexError):
    data.source(_SMALL, 'train')[21]
