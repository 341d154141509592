"""Losses `(logits, labels) -> (sum, weight)`: the caller divides, once.

The quotient is taken over the global batch, so a batch that is split over
devices or micro-batches gives the same loss and gradient as one that is not.
"""

import jax
import jax.numpy as jnp
import numpy as np

IGNORE_LABEL = 255


def cross_entropy(
  logits: jax.Array,
  labels: jax.Array,
  *,
  class_weights: jax.Array | None = None,
  label_smoothing: float = 0.0,
  hard_pixels: float | jax.Array = 1.0,
  normalize_by: str = 'pixels',
) -> tuple[jax.Array, jax.Array]:
  """Softmax cross-entropy over labelled pixels.

  With p = softmax(logits), w the class weights, e the smoothing and K classes,

    loss(pixel) = -(1 - e) w_y log p_y - e / K * sum_c w_c log p_c,

  PyTorch's definition of smoothing with weights. Hard-pixel mining keeps the
  `hard_pixels` fraction of *all* pixels (ignored ones count as loss 0) with
  the largest loss, as DeepLab's `top_k_percent_pixels`; pixels that tie with
  the last one kept are kept too.

  Args:
    logits: float[..., K].
    labels: int[...], 0..K-1, or 255 where the pixel does not count.
    class_weights: float[K]; default 1.
    label_smoothing: e, in [0, 1).
    hard_pixels: Fraction in (0, 1]; may be traced, for a ramp.
    normalize_by: `'pixels'`: the weight is the number of pixels that count
      (official DeepLab); `'weights'`: the sum of their w_y (PyTorch).

  Returns:
    `(sum, weight)`, scalars of the logits' dtype; the loss is sum / weight.
  """
  num_classes = logits.shape[-1]
  valid = labels != IGNORE_LABEL
  # 255 is no index: replaced before the look-up, masked after it.
  target = jnp.where(valid, labels, 0)
  one_hot = target[..., None] == jnp.arange(num_classes)
  log_probs = jax.nn.log_softmax(logits)
  if class_weights is None:
    weights = jnp.ones(num_classes, logits.dtype)
  else:
    weights = jnp.asarray(class_weights, logits.dtype)
  pixel_weight = jnp.sum(jnp.where(one_hot, weights, 0), axis=-1)
  loss = -pixel_weight * jnp.sum(jnp.where(one_hot, log_probs, 0), axis=-1)
  if label_smoothing:
    uniform = -jnp.mean(log_probs * weights, axis=-1)
    loss = (1 - label_smoothing) * loss + label_smoothing * uniform
  loss = jnp.where(valid, loss, 0)
  counted = valid
  if not (isinstance(hard_pixels, float) and hard_pixels == 1.0):
    counted &= loss >= _kth_largest(loss, hard_pixels)
  if normalize_by == 'weights':
    weight = jnp.sum(jnp.where(counted, pixel_weight, 0))
  else:
    weight = jnp.sum(counted.astype(logits.dtype))
  return jnp.sum(jnp.where(counted, loss, 0)), weight


def _kth_largest(loss: jax.Array, fraction: float | jax.Array) -> jax.Array:
  """The smallest loss among the `fraction` of largest ones."""
  ordered = jnp.sort(jax.lax.stop_gradient(loss).ravel())
  count = jnp.clip(jnp.ceil(fraction * loss.size).astype(int), 1, loss.size)
  return ordered[loss.size - count]


def hard_pixel_fraction(
  step: jax.Array, *, hard_pixels: float, ramp: int
) -> jax.Array:
  """Linear from 1 at step 0 to `hard_pixels` at step `ramp`, constant after."""
  progress = jnp.clip(step / max(ramp, 1), 0.0, 1.0) if ramp else 1.0
  return 1.0 - progress * (1.0 - hard_pixels)


def class_weights(counts: np.ndarray) -> np.ndarray:
  """Weights 1 / ln(1.02 + p) from pixel counts (ENet, Paszke et al. 2016).

  Args:
    counts: int[K], pixels of each class; p is a class's share of their sum.

  Returns:
    float32[K], between 1.4 (p = 1) and 50.5 (p = 0).
  """
  counts = np.asarray(counts, np.float64)
  return (1 / np.log(1.02 + counts / counts.sum())).astype(np.float32)
