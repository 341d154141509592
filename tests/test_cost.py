"""The cost of a prediction: what is counted, and what is predicted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deeplax import cost, inference, models
from tests.models.random_weights import random_image, random_variables


def test_counts_calls_and_bytes():
  traced = []

  def function(x):
    traced.append(1)
    return jnp.sin(x)

  found = cost.measure(function, np.ones(1000, np.float32), repeats=3)
  assert len(traced) == 1  # compiled once
  assert 0 < found.fastest <= found.milliseconds <= found.slowest
  assert found.memory >= 2 * 4000
  assert str(found).endswith('MiB')
  assert str(cost.Cost(1.25, 1, 2, None)) == '1.2 ms'


@pytest.mark.parametrize('options', [{}, dict(scales=(0.5, 1.0), flip=True)])
def test_measures_the_real_prediction(options):
  model = models.build(
    5, variant='18', head_channels=8, decoder_channels=8, low_level_channels=4
  )
  image = random_image(33, 49)
  variables = random_variables(model, image)
  labels = jax.jit(cost.predictor(model, (66, 98), **options))(variables, image)
  logits = inference.predict_logits(
    lambda x: model.apply(variables, x, train=False)[0],
    image,
    out_size=(66, 98),
    **options,
  )
  assert labels.dtype == jnp.uint8
  assert np.mean(labels == jnp.argmax(logits, axis=-1)) > 0.999
