"""The lattice on the device and on the host, against one made of tuples."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deeplax.crf import host, lattice
from deeplax.errors import UserError
from tests.crf import reference

DIMENSIONS = (1, 2, 3, 5)


def cloud(num, d, spread=1.5, seed=0):
  rng = np.random.default_rng(seed)
  return rng.normal(0, spread, (num, d)).astype(np.float32)


def on_host(features):
  built = host.build(np.ascontiguousarray(features.T))
  return jax.tree.map(jnp.asarray, built)


BUILDERS = {
  'host': on_host,
  'device': lattice.build,
  'jit': jax.jit(lattice.build),
}


@pytest.mark.parametrize('d', DIMENSIONS)
@pytest.mark.parametrize('builder', BUILDERS)
def test_filter_equals_the_lattice_of_tuples(builder, d):
  features = cloud(60, d)
  values = np.random.default_rng(1).normal(size=(60, 4)).astype(np.float32)
  expected = reference.lattice_matrix(features.astype(np.float64))
  built = BUILDERS[builder](features)
  found = lattice.filter_(built, values)
  np.testing.assert_allclose(found, expected @ values, atol=2e-5)
  found = lattice.filter_(built, values, True)
  np.testing.assert_allclose(found, expected.T @ values, atol=2e-5)


def test_the_order_of_the_blurs_matters():
  # Or the transpose could not be told from the filter itself.
  matrix = reference.lattice_matrix(cloud(60, 3).astype(np.float64))
  assert np.abs(matrix - matrix.T).max() > 1e-3


@pytest.mark.parametrize('d', DIMENSIONS)
@pytest.mark.parametrize('builder', BUILDERS)
def test_index_arrays(builder, d):
  features = cloud(80, d)
  built = BUILDERS[builder](features)
  size, vertices = int(built.size), np.asarray(built.vertices)
  # Every point is a vertex, and of one class only.
  classes = [set(column) for column in vertices.T]
  assert set().union(*classes) == set(range(size))
  assert sum(map(len, classes)) == size
  np.testing.assert_allclose(built.weights.sum(1), 1, atol=1e-5)
  assert built.weights.min() >= -1e-5
  # The point after a point has that one before it.
  for before, after in np.asarray(built.neighbours):
    here = np.flatnonzero(before < size)
    assert len(here) > 0
    np.testing.assert_array_equal(after[before[here]], here)
    assert np.count_nonzero(after < size) == len(here)


def test_host_and_device_find_the_same_simplices():
  image = reference.picture(40, 50)
  features = reference.features(image, (8, 8), (5, 5, 5)).astype(np.float32)
  ours, theirs = on_host(features), lattice.build(jnp.asarray(features))
  assert int(ours.size) == int(theirs.size)
  np.testing.assert_allclose(ours.weights, theirs.weights, atol=1e-5)
  values = np.random.default_rng(0).normal(size=(2000, 3))
  np.testing.assert_allclose(
    lattice.filter_(ours, values), lattice.filter_(theirs, values), atol=1e-4
  )


@pytest.mark.parametrize('d', (2, 5))
def test_close_to_the_gaussian(d):
  features = cloud(400, d, spread=1.0)
  exact = reference.normalize(reference.gauss(features), 'after')
  built = lattice.build(features)
  found = np.asarray(lattice.filter_(built, jnp.eye(400)))
  found = reference.normalize(found, 'after')
  # In total variation; the identity would be 1 - 1/400 off, the mean about 1/2.
  assert np.abs(found - exact).sum(1).mean() / 2 < 0.2


def test_table_and_sorting_number_alike(monkeypatch):
  features = np.ascontiguousarray(cloud(300, 2, spread=6).T)
  sizes = []
  for table in (0, 1 << 20):
    monkeypatch.setattr(host, '_TABLE', table)
    sizes.append(host.build(features))
  for one, other in zip(*sizes):
    np.testing.assert_array_equal(one, other)


def test_capacity_too_small_says_what_is_needed():
  features = jnp.asarray(cloud(50, 2))
  size = int(lattice.build(features).size)
  with pytest.raises(UserError, match=f'needs {size} points.*is {size - 1}'):
    lattice.build(features, capacity=size - 1)
  assert lattice.build(features, capacity=size).capacity == size
  with pytest.raises(UserError, match='capacity is 0'):
    lattice.build(features, capacity=0)


def test_capacity_too_small_under_jit():
  features = jnp.asarray(cloud(50, 2))
  size = int(lattice.build(features).size)
  build = jax.jit(functools.partial(lattice.build, capacity=size - 1))
  with pytest.raises(Exception, match=f'needs {size} points'):
    jax.block_until_ready(build(features))
    jax.effects_barrier()


def test_capacity_too_small_leaves_no_result(monkeypatch):
  # Where nobody listens to the callback, there is no number to go on with.
  monkeypatch.setattr(lattice, 'check_size', lambda *_: None)
  features = jnp.asarray(cloud(50, 2))
  size = int(lattice.build(features).size)
  build = jax.jit(lambda f: lattice.build(f, capacity=size - 1))
  built = build(features)
  jax.effects_barrier()
  assert int(built.size) == size
  assert np.isnan(lattice.filter_(built, jnp.ones((50, 1)))).all()


def test_more_room_than_the_default_is_made(monkeypatch):
  monkeypatch.setattr(lattice, 'default_capacity', lambda n, d: 10)
  features = jnp.asarray(cloud(50, 2))
  built = lattice.build(features)
  assert built.capacity >= int(built.size) > 10
  expected = reference.lattice_matrix(np.asarray(features, np.float64))
  found = lattice.filter_(built, jnp.eye(50))
  np.testing.assert_allclose(found, expected, atol=2e-5)


def test_unused_room_is_given_back():
  features = jnp.asarray(cloud(5000, 2))
  built = lattice.build(features)
  assert int(built.size) <= built.capacity < 1.3 * int(built.size)


@pytest.mark.parametrize('bad', (np.nan, np.inf, -np.inf, 1e7))
@pytest.mark.parametrize('build', (on_host, lattice.build))
def test_features_out_of_range(build, bad):
  features = cloud(10, 2)
  features[3, 1] = bad
  with pytest.raises(UserError, match='Widen the kernels'):
    build(jnp.asarray(features) if build is lattice.build else features)


def test_features_out_of_range_under_jit():
  features = cloud(10, 2)
  features[3, 1] = np.nan
  built = jax.jit(lattice.build)(features)
  assert np.isnan(lattice.filter_(built, jnp.ones((10, 1)))).all()


def test_features_of_a_wrong_shape():
  with pytest.raises(UserError, match=r'shape \(10,\); expected \[N, d\]'):
    lattice.build(jnp.zeros(10))
  with pytest.raises(UserError, match=r'shape \(0, 2\)'):
    lattice.build(jnp.zeros((0, 2)))
