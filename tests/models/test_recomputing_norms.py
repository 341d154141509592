"""Recomputed norms: the same gradients, without a convolution more."""

import re

import jax
import jax.numpy as jnp
import numpy as np

from deeplax import models
from deeplax.ops.kept import recomputing_norms

SIZE = (2, 33, 40, 3)


def network(variant):
  small = dict(head_channels=4, decoder_channels=4, low_level_channels=4)
  model = models.build(3, encoder='resnet', variant=variant, **small)
  image = np.random.default_rng(0).integers(0, 256, SIZE).astype(np.uint8)

  def apply(variables, image):
    return model.apply(
      variables,
      image,
      train=True,
      rngs={'dropout': jax.random.key(0)},
      mutable=['batch_stats'],
    )

  return model, apply, image


def loss_of(apply, image):
  def loss(variables):
    (logits, _), updates = apply(variables, image)
    return jnp.sum(jnp.sin(logits)), updates

  return loss


def test_gradients_and_statistics_are_the_same():
  model, apply, image = network('18')
  variables = models.initialize(model, 0)
  plain, recomputed = (
    jax.jit(jax.value_and_grad(loss_of(f, image), has_aux=True))(variables)
    for f in (apply, recomputing_norms(apply))
  )
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
    plain,
    recomputed,
  )


def test_keeps_much_less_and_convolves_no_more():
  model, apply, image = network('50')
  variables = jax.eval_shape(lambda: models.initialize(model, 0))

  def kept(f):
    """Bytes that the gradient needs of the forward pass."""
    rest = jax.eval_shape(
      lambda v: jax.vjp(loss_of(f, image), v, has_aux=True)[1], variables
    )
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(rest))

  weights = sum(x.size * 4 for x in jax.tree.leaves(variables))
  plain, recomputed = (
    kept(f) - weights for f in (apply, recomputing_norms(apply))
  )
  assert 0 < recomputed < 0.6 * plain, (plain, recomputed)

  def products(f):
    gradient = jax.grad(loss_of(f, image), has_aux=True)
    text = str(jax.make_jaxpr(gradient)(variables))
    return len(re.findall(r'conv_general_dilated\[|dot_general\[', text))

  assert products(apply) == products(recomputing_norms(apply))
