"""Mean and deviation against numpy, and what there is of too few."""

import math

import numpy as np
import pytest

from deeplax import spread


@pytest.mark.parametrize('n', [2, 3, 17])
def test_it_is_numpys(n):
  values = np.random.default_rng(n).random(n)
  found = spread.of([*values, math.nan])
  assert found.n == n
  np.testing.assert_allclose(found.mean, values.mean(), rtol=1e-14)
  np.testing.assert_allclose(found.std, values.std(ddof=1), rtol=1e-13)


def test_too_few_have_no_deviation():
  assert spread.of([0.5, math.nan]).words() == '50.00 ± -'
  assert spread.of([0.5]).to_json() == {'mean': 0.5, 'std': None, 'n': 1}
  assert spread.of([math.nan]).words() == '-'
  assert spread.of([]).to_json() == {'mean': None, 'std': None, 'n': 0}
  assert spread.of([0.5, 0.5]).words() == '50.00 ± 0.00'
