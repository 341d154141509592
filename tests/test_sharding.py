"""Meshes that fit the devices, and those that don't."""

import types

import jax
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


def test_rows_that_do_not_divide_are_filled_up_and_cut_off():
  mesh = sharding.make_mesh(spatial=4)
  batch = {'image': np.arange(60.0).reshape(2, 5, 2, 3), 'valid': np.ones(2)}
  placed = sharding.put_batch(batch, mesh)
  assert placed['image'].array.addressable_shards[0].data.shape == (1, 2, 2, 3)
  shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), batch)
  abstract = sharding.abstract_batch(shapes, mesh)
  assert jax.tree.structure(abstract) == jax.tree.structure(placed)
  assert abstract['image'].array.shape == placed['image'].array.shape
  found = jax.jit(sharding.cut)(placed)
  np.testing.assert_array_equal(found['image'], batch['image'])
  np.testing.assert_array_equal(found['valid'], batch['valid'])


def test_rows_stay_within_a_process():
  devices = [types.SimpleNamespace(process_index=i // 3) for i in range(6)]
  with pytest.raises(ValueError, match=r'mesh\.spatial \(=2\).*\[3, 3\]'):
    sharding.make_mesh(spatial=2, devices=devices)
