"""Cross-entropy plus a loss of each picture's regions: what those share."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from deeplax.losses.cross_entropy import CrossEntropy


@dataclasses.dataclass(frozen=True, eq=False)
class WithRegion:
  """Cross-entropy plus `region_weight` times a mean over pictures.

  With v_i the weight that cross-entropy gives picture i when nothing is mined
  (its labelled pixels; with `normalize_by='weights'` the sum of their w_y), W
  the weight that cross-entropy divides by and T_i the picture's region loss,

    sum = sum of cross-entropy + region_weight * sum_i v_i T_i * W / sum_i v_i,

  so that sum / W is the loss plus region_weight times the mean of T weighted
  by v. Without mining W = sum_i v_i, and no term knows of other pictures: a
  batch in parts is exactly the whole. Mining chooses pixels for cross-entropy
  alone, and in each part anew.

  Attributes:
    region: `(probs: float[B, H, W, K], labels: int[B, H, W]) -> float[B]`, 0
      where no pixel is labelled.
    cross_entropy: With its options.
    region_weight: Factor, 0 or more.
  """

  region: Callable[[jax.Array, jax.Array], jax.Array]
  cross_entropy: CrossEntropy
  region_weight: float

  def __call__(
    self, logits: jax.Array, labels: jax.Array, step: jax.Array | int = 0
  ) -> tuple[jax.Array, jax.Array]:
    """`(sum, weight)`, float32 or wider, whatever the logits are."""
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    total, weight = self.cross_entropy(logits, labels, step)
    parts = self._picture_weights(labels, logits.dtype)
    if self.cross_entropy.hard_pixels != 1:
      parts *= weight / jnp.maximum(jnp.sum(parts), jnp.finfo(parts.dtype).tiny)
    region = self.region(jax.nn.softmax(logits), labels)
    return total + self.region_weight * jnp.sum(parts * region), weight

  def _picture_weights(self, labels, dtype):
    every = dataclasses.replace(self.cross_entropy, hard_pixels=1.0)
    zeros = jnp.zeros(labels.shape, dtype)
    return jax.vmap(lambda loss, y: every.total(loss, y)[1])(zeros, labels)


def mean_of_present(values: jax.Array, labels: jax.Array) -> jax.Array:
  """The mean over the classes that a picture's labels have.

  Args:
    values: float[B, K]; those of other classes are not looked at.
    labels: int[B, H, W], 255 where a pixel does not count.

  Returns:
    float[B], 0 where no pixel is labelled.
  """
  present = jnp.any(one_hot(labels, values.shape[-1]), axis=(1, 2))
  count = jnp.maximum(jnp.sum(present, -1), 1)
  return jnp.sum(jnp.where(present, values, 0), -1) / count


def one_hot(labels: jax.Array, num_classes: int) -> jax.Array:
  """bool[B, H, W, K], False for all K where a pixel does not count."""
  # At most 255 classes: 255 is none of them.
  return labels[..., None] == jnp.arange(num_classes)
