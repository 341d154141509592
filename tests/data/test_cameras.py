"""Cameras of Cityscapes: read, and said where they are damaged."""

import json

import numpy as np
import pytest
import trees

from deeplax import data, evaluate_run
from deeplax.data import cameras, pipeline, prepare

CAMERA = {
  'extrinsic': {'baseline': 0.209313, 'pitch': 0.03},
  'intrinsic': {'fx': 2262.52, 'fy': 2265.3},
}


def test_baseline_and_focal_length(tmp_path):
  path = tmp_path / 'camera.json'
  path.write_text(json.dumps(CAMERA))
  assert cameras.read(path).tolist() == [0.209313, 2262.52]


@pytest.mark.parametrize(
  'text',
  [
    '{"half',
    '[]',
    '{"extrinsic": {"baseline": 1}}',
    '{"extrinsic": {"baseline": 0}, "intrinsic": {"fx": 5}}',
    '{"extrinsic": {"baseline": 1}, "intrinsic": {"fx": NaN}}',
    '{"extrinsic": 3, "intrinsic": {"fx": 5}}',
    '\xff',
  ],
)
def test_damage_is_said(tmp_path, text):
  path = tmp_path / 'camera.json'
  path.write_bytes(text.encode('latin1'))
  with pytest.raises(data.DataError, match=r'camera\.json: it is no camera'):
    cameras.read(path)


def test_a_file_that_is_gone(tmp_path):
  with pytest.raises(data.DataError, match='none'):
    cameras.read(tmp_path / 'none.json')


def test_synthetic_pictures_have_cameras():
  source = data.source('synthetic:48x96', 'val', extras=('disparity', 'camera'))
  baseline, focal = source[0]['camera']
  assert baseline == 0.209
  # The scene's camera is as wide at any size.
  large = data.source('synthetic:96x192', 'val', extras=('camera',))
  assert large[0]['camera'][1] == pytest.approx(2 * focal)


def test_evaluation_opens_what_there_is(tmp_path):
  info = data.info('cityscapes')
  root = trees.write_cityscapes(tmp_path, cities=('bonn',))

  def opened():
    source = evaluate_run.open_source('cityscapes', 'val', str(root), info)
    return source[1]

  assert {*opened()} == {'image', 'label', 'id', 'instance', 'disparity'}
  folder = root / 'camera' / 'val' / 'bonn'
  folder.mkdir(parents=True)
  for i in range(2):
    text = json.dumps(CAMERA | {'intrinsic': {'fx': 2000.0 + i}})
    (folder / f'bonn_000000_{i:06d}_camera.json').write_text(text)
  np.testing.assert_array_equal(opened()['camera'], [0.209313, 2001])
  # A camera alone is of no use, but no harm either.
  for path in (root / 'disparity').rglob('*.png'):
    path.unlink()
  assert {'instance', 'camera'} <= {*opened()} and 'disparity' not in opened()


@pytest.mark.parametrize('form', ['memmap', 'cityscapes'])
def test_a_camera_is_not_prepared(tmp_path, form):
  with pytest.raises(data.DataError, match='no array of pixels'):
    prepare.prepare(
      *('synthetic:48x96x2x2', '', ('val',), tmp_path / 'out', form),
      extras=('disparity', 'camera'),
    )


def test_a_camera_stays_with_a_picture_that_is_padded():
  source = data.source(
    'synthetic:48x96x2x2', 'val', extras=('disparity', 'camera')
  )
  with pipeline.eval_batches(
    source, ops='pad_to_multiple(64)', batch_size=3
  ) as batches:
    batch = next(batches)
  assert batch['camera'].shape == (3, 2)
  np.testing.assert_array_equal(batch['camera'][1], source[1]['camera'])
