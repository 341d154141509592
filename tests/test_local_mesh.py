"""The devices of an evaluation: the config's spatial where that can be."""

import pytest

from configs import common
from deeplax.errors import RunError
from deeplax.local_mesh import local_mesh


def shape(spatial_of_run, spatial=None, pictures=100):
  config = common.base()
  config.mesh.spatial = spatial_of_run
  return (*local_mesh(config, spatial, pictures=pictures).shape.values(),)


def test_rows_are_split_as_in_the_run_or_as_asked_for():
  assert shape(1) == (8, 1)
  assert shape(4) == (2, 4)
  assert shape(4, spatial=2) == (4, 2)
  assert shape(4, spatial=2, pictures=3) == (3, 2)


def test_a_run_of_other_devices_is_evaluated_all_the_same(caplog):
  assert shape(16) == (8, 1)
  assert 'rows of a picture are not split' in caplog.text


@pytest.mark.parametrize('spatial', [0, 3, 16])
def test_what_was_asked_for_and_can_not_be_is_an_error(spatial):
  with pytest.raises(RunError, match=rf'spatial \(={spatial}\).*=8'):
    shape(1, spatial=spatial)
