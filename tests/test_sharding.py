"""Meshes that fit the devices, and those that don't."""

import numpy as np
import pytest

from deeplax import sharding


def test_all_devices_by_default():
  assert dict(sharding.make_mesh().shape) == {'data': 8, 'spatial': 1}
  assert dict(sharding.make_mesh(spatial=2).shape) == {'data': 4, 'spatial': 2}


@pytest.mark.parametrize('data, spatial', [(9, 1), (-1, 3), (0, 1), (8, 2)])
def test_impossible_meshes_are_named(data, spatial):
  with pytest.raises(ValueError, match='mesh'):
    sharding.make_mesh(data, spatial)


def test_batches_are_split_over_pictures_and_rows():
  mesh = sharding.make_mesh(spatial=2)
  batch = {
    'image': np.arange(8 * 4 * 2 * 3, dtype=np.uint8).reshape(8, 4, 2, 3),
    'valid': np.ones(8, bool),
  }
  placed = sharding.put_batch(batch, mesh)
  assert placed['image'].addressable_shards[0].data.shape == (2, 2, 2, 3)
  assert placed['valid'].addressable_shards[0].data.shape == (2,)
  np.testing.assert_array_equal(placed['image'], batch['image'])
