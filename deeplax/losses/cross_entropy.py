"""Cross-entropy: weighted, smoothed, of the hardest pixels alone."""

import dataclasses

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
  loss = pixel_losses(
    logits,
    labels,
    class_weights=class_weights,
    label_smoothing=label_smoothing,
  )
  return sum_pixels(
    loss,
    labels,
    class_weights=class_weights,
    hard_pixels=hard_pixels,
    normalize_by=normalize_by,
  )


def pixel_losses(
  logits: jax.Array,
  labels: jax.Array,
  *,
  class_weights: jax.Array | None = None,
  label_smoothing: float = 0.0,
  axis: int = -1,
) -> jax.Array:
  """The loss of every pixel, see `cross_entropy`; 0 where it does not count.

  Args:
    logits: float[..., K], or with the classes at another `axis`.
    labels: int[...], the shape of the logits without that axis.
    class_weights, label_smoothing: As of `cross_entropy`.
    axis: Where the classes are.

  Returns:
    float[...], the shape of the labels.
  """
  num_classes = logits.shape[axis]
  valid = labels != IGNORE_LABEL
  # 255 is no index: replaced before the look-up, masked after it.
  target = jnp.where(valid, labels, 0)
  shape = [1] * logits.ndim
  shape[axis] = num_classes
  one_hot = jnp.expand_dims(target, axis) == jnp.arange(num_classes).reshape(
    shape
  )
  log_probs = jax.nn.log_softmax(logits, axis)
  loss = -jnp.sum(jnp.where(one_hot, log_probs, 0), axis)
  if class_weights is not None:
    weights = jnp.asarray(class_weights, logits.dtype).reshape(shape)
    loss *= jnp.sum(jnp.where(one_hot, weights, 0), axis)
    log_probs *= weights
  if label_smoothing:
    uniform = -jnp.mean(log_probs, axis)
    loss = (1 - label_smoothing) * loss + label_smoothing * uniform
  return jnp.where(valid, loss, 0)


def sum_pixels(
  loss: jax.Array,
  labels: jax.Array,
  *,
  class_weights: jax.Array | None = None,
  hard_pixels: float | jax.Array = 1.0,
  normalize_by: str = 'pixels',
) -> tuple[jax.Array, jax.Array]:
  """`(sum, weight)` of the losses of pixels, see `cross_entropy`."""
  labels = ignore_easy(loss, labels, hard_pixels)
  counted = labels != IGNORE_LABEL
  weight = counted.astype(loss.dtype)
  if normalize_by == 'weights' and class_weights is not None:
    weights = jnp.asarray(class_weights, loss.dtype)
    weight *= weights[jnp.where(counted, labels, 0)]
  return jnp.sum(jnp.where(counted, loss, 0)), jnp.sum(weight)


def ignore_easy(
  loss: jax.Array, labels: jax.Array, hard_pixels: float | jax.Array
) -> jax.Array:
  """Labels that are 255 where mining leaves a pixel out, too."""
  if isinstance(hard_pixels, float) and hard_pixels == 1.0:
    return labels
  hard = loss >= _kth_largest(loss, hard_pixels)
  return jnp.where(hard, labels, IGNORE_LABEL)


@dataclasses.dataclass(frozen=True, eq=False)
class CrossEntropy:
  """`cross_entropy` with its options, whole or in two halves.

  `loss(logits, labels, step)` is `loss.total(loss.pixels(logits, labels),
  labels, step)`. The halves are for whoever has the logits in pieces: the
  first looks at pixels singly, the second needs their losses alone.

  Attributes:
    class_weights, label_smoothing, hard_pixels, normalize_by: As of
      `cross_entropy`.
    hard_pixels_ramp: Steps until `hard_pixels` is reached.
  """

  class_weights: jax.Array | np.ndarray | None = None
  label_smoothing: float = 0.0
  hard_pixels: float = 1.0
  hard_pixels_ramp: int = 0
  normalize_by: str = 'pixels'

  def __call__(
    self, logits: jax.Array, labels: jax.Array, step: jax.Array | int = 0
  ) -> tuple[jax.Array, jax.Array]:
    """`(sum, weight)`."""
    return self.total(self.pixels(logits, labels), labels, step)

  def pixels(
    self, logits: jax.Array, labels: jax.Array, axis: int = -1
  ) -> jax.Array:
    """The loss of every pixel, see `pixel_losses`."""
    return pixel_losses(
      logits,
      labels,
      class_weights=self.class_weights,
      label_smoothing=self.label_smoothing,
      axis=axis,
    )

  def fraction(self, step: jax.Array | int) -> float | jax.Array:
    """Of the pixels, which are kept: exactly 1.0 without mining."""
    if self.hard_pixels == 1:
      return 1.0
    return hard_pixel_fraction(
      step, hard_pixels=self.hard_pixels, ramp=self.hard_pixels_ramp
    )

  def total(
    self, loss: jax.Array, labels: jax.Array, step: jax.Array | int = 0
  ) -> tuple[jax.Array, jax.Array]:
    """`(sum, weight)` of the losses of pixels."""
    return sum_pixels(
      loss,
      labels,
      class_weights=self.class_weights,
      hard_pixels=self.fraction(step),
      normalize_by=self.normalize_by,
    )


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


build = CrossEntropy
