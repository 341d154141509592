"""What fits of another run's weights is taken; the rest is said."""

import numpy as np

from deeplax import init_from


def test_merge_lists_what_fits_and_what_does_not():
  target = {'params': {'a': np.zeros(2), 'b': np.zeros(3), 'c': np.zeros(1)}}
  source = {'params': {'a': np.ones(2), 'b': np.ones(4), 'd': np.ones(1)}}
  merged, report, complete = init_from.merge(target, source)
  np.testing.assert_array_equal(merged['params']['a'], [1, 1])
  np.testing.assert_array_equal(merged['params']['b'], [0, 0, 0])
  assert report.splitlines() == [
    '1 of 3 arrays taken',
    '  other shape, kept fresh: params/b: (4,) there, (3,) here',
    '  not there, kept fresh: params/c (1,)',
    '  there, not used: params/d (1,)',
  ]
  assert not complete
