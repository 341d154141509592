"""Cross-entropy plus Lovász-softmax: --config.loss.name=lovasz."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from deeplax.losses._region import WithRegion, mean_of_present
from deeplax.losses.cross_entropy import IGNORE_LABEL, CrossEntropy


def lovasz_softmax(probs: jax.Array, labels: jax.Array) -> jax.Array:
  """The Lovász extension of 1 - mean IoU over the classes of a picture.

  For class c the error of a pixel is e = 1 - p_c where c is true, p_c where it
  is not. With the labelled pixels in descending order of e,

    T_c = sum_i e_i (J_i - J_{i-1}),  J_i = 1 - IoU if the first i were wrong,

  and the result is the mean of T_c over the classes present. Where every p is
  0 or 1 it is 1 - mean IoU. The gradient at e_i is J_i - J_{i-1}: the order is
  not differentiated. From Berman, Rannen Triki and Blaschko 2018, "The
  Lovász-Softmax loss"; in their code `classes='present'`, `per_image=True`.

  Args:
    probs: float[B, H, W, K], which sum to 1.
    labels: int[B, H, W], 0..K-1, or 255 where the pixel does not count.

  Returns:
    float[B], in [0, 1]; 0 where no pixel is labelled.
  """
  num_classes = probs.shape[-1]
  probs = jnp.moveaxis(probs, -1, 0).reshape(num_classes, len(labels), -1)
  pixels = labels.reshape(len(labels), -1)

  def gains(class_and_probs):
    # One class at a time: sorting holds several copies of what it sorts.
    c, p = class_and_probs
    return jax.vmap(jaccard_gains)(
      _errors(p, pixels == c), pixels == c, pixels != IGNORE_LABEL
    )

  classes = jnp.arange(num_classes)
  gain = lax.map(gains, (classes, lax.stop_gradient(probs)))
  truth = pixels == classes[:, None, None]
  values = jnp.sum(_errors(probs, truth) * gain, -1)
  return mean_of_present(values.T, labels)


def jaccard_gains(
  errors: jax.Array, truth: jax.Array, counted: jax.Array
) -> jax.Array:
  """What each pixel adds to 1 - IoU if it is wrong besides all worse ones.

  A pixel that is preceded by f pixels of the class and n others, with g of the
  class in all, adds 1 / (g + n) if it is of the class, otherwise
  (g - f) / ((g + n) (g + n + 1)). These are the differences J_i - J_{i-1} of
  `lovasz_softmax`, which in float32 would lose most of their digits.

  Args:
    errors: float[N], 0 or more.
    truth: bool[N], whether the pixel is of the class.
    counted: bool[N]; the others gain 0 and precede none.

  Returns:
    float[N], in the order of the pixels.
  """
  # Below 0, so behind the smallest error that counts.
  order = jnp.argsort(-jnp.where(counted, errors, -1))
  of_class = truth[order]
  f = jnp.cumsum(of_class) - of_class
  n = jnp.arange(len(f)) - f
  # At least 1: a class that is absent is left out later, and must be no NaN.
  g = jnp.maximum(jnp.sum(truth), 1)
  f, n, g = (x.astype(errors.dtype) for x in (f, n, g))
  gain = jnp.where(of_class, 1 / (g + n), (g - f) / ((g + n) * (g + n + 1)))
  gain = jnp.zeros_like(gain).at[order].set(gain, unique_indices=True)
  return jnp.where(counted, gain, 0)


def _errors(probs, truth):
  return jnp.where(truth, 1 - probs, probs)


def build(region_weight: float = 1.0, **options: Any) -> WithRegion:
  """The loss; `options` are those of `CrossEntropy`."""
  return WithRegion(lovasz_softmax, CrossEntropy(**options), region_weight)
