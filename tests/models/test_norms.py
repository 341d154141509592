"""Normalisation by name and by numbers."""

import jax
import numpy as np
import pytest

from deeplax import models
from deeplax.models import norms


@pytest.mark.parametrize(
  'text, mean, deviation',
  [
    ('0/255', (0, 0, 0), (255, 255, 255)),
    ('1,2,3/4', (1, 2, 3), (4, 4, 4)),
    ('-1.5/1e2,2,3', (-1.5,) * 3, (100, 2, 3)),
  ],
)
def test_numbers(text, mean, deviation):
  assert norms.parse(text) == (mean, deviation)


@pytest.mark.parametrize(
  'text', ['', 'torch', '1', '1/0', '1/-2', '1,2/3', '1/2/3', 'a/b', '1/nan']
)
def test_nonsense(text):
  with pytest.raises(ValueError, match='MEAN/DEVIATION'):
    models.build(3, input_norm=text)


def test_the_network_sees_the_numbers():
  keys = dict(encoder='resnet', variant='18', decoder='none', head='none')
  image = np.random.default_rng(0).integers(0, 256, (1, 9, 9, 3), np.uint8)
  for norm in ('10,20,30/40,50,60', 'imagenet'):
    model = models.build(3, input_norm=norm, **keys)
    variables = jax.eval_shape(lambda m=model: models.abstract_variables(m))
    variables = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), variables)
    seen = model.apply(variables, image, train=False)[1]['image']
    mean, deviation = map(np.array, norms.parse(norm))
    np.testing.assert_allclose(seen, (image - mean) / deviation, rtol=1e-5)
