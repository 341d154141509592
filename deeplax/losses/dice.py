"""Cross-entropy plus soft Dice: --config.loss.name=dice."""

from typing import Any

import jax
import jax.numpy as jnp

from deeplax.losses._region import WithRegion, mean_of_present, one_hot
from deeplax.losses.cross_entropy import IGNORE_LABEL, CrossEntropy


def soft_dice(probs: jax.Array, labels: jax.Array) -> jax.Array:
  """1 - the mean Dice coefficient of the classes present in a picture.

  With p_c the probabilities of class c and y_c 1 where c is true, else 0,

    D_c = 2 sum p_c y_c / (sum p_c^2 + sum y_c^2)

  over the picture's labelled pixels: squares below, as in V-Net (Milletari,
  Navab and Ahmadi 2016). A class that is present makes the divisor 1 or more,
  so nothing is added to it. Where every p is 0 or 1, D_c is the F1 score.

  Args:
    probs: float[B, H, W, K], which sum to 1.
    labels: int[B, H, W], 0..K-1, or 255 where the pixel does not count.

  Returns:
    float[B], in [0, 1]; 0 where no pixel is labelled.
  """
  truth = one_hot(labels, probs.shape[-1])
  counted = (labels != IGNORE_LABEL)[..., None]
  both = jnp.sum(jnp.where(truth, probs, 0), (1, 2))
  squares = jnp.sum(jnp.where(counted, probs**2, 0), (1, 2))
  # At least 1 for the classes that are absent and not looked at, too.
  pixels = jnp.maximum(jnp.sum(truth, (1, 2)), 1)
  return mean_of_present(1 - 2 * both / (squares + pixels), labels)


def build(region_weight: float = 1.0, **options: Any) -> WithRegion:
  """The loss; `options` are those of `CrossEntropy`."""
  return WithRegion(soft_dice, CrossEntropy(**options), region_weight)
