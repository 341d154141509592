"""Segmentation figures from counts that are summed over the whole split.

On the device: `confusion_matrix` (exact integers) and `soft_iou`. On the host,
in int64 and float64: everything that divides. Nothing here is an average of
figures of single batches, save `soft_iou`, which is defined that way.

All definitions are those of the official Cityscapes scorer
(`evalPixelLevelSemanticLabeling`); tests/golden holds its figures. Single
objects (iIoU) are in `deeplax.instances`.
"""

import jax
import jax.numpy as jnp
import numpy as np

# ---------------------------------------------------------------- on the device


def confusion_matrix(
  labels: jax.Array,
  pred: jax.Array,
  num_rows: int,
  num_columns: int,
  valid: jax.Array | None = None,
) -> jax.Array:
  """Counts pixels by truth (row) and prediction (column).

  Exact for up to 2^31 pixels a call, in any layout of the arrays over devices.

  Args:
    labels: int[B, H, W]; pixels outside 0..num_rows-1 (255 = void) are not
      counted.
    pred: int[B, H, W]; what lies outside 0..num_columns-1 goes to the last
      column: it is a prediction all the same, and a wrong one.
    num_rows: G, classes of the truth.
    num_columns: K, classes of the prediction.
    valid: bool[B]; pictures with False are not counted.

  Returns:
    int32[G, K].
  """
  labels, pred = labels.astype(jnp.int32), pred.astype(jnp.int32)
  counted = (labels >= 0) & (labels < num_rows)
  if valid is not None:
    counted &= valid[:, None, None]
  inside = (pred >= 0) & (pred < num_columns)
  pred = jnp.where(inside, pred, num_columns - 1)

  def scatter(labels, pred, counted):
    # Row num_rows takes what isn't counted: never an index out of range,
    # which JAX would drop or clamp in silence.
    index = jnp.where(counted, labels, num_rows) * num_columns + pred
    size = (num_rows + 1) * num_columns
    counts = jnp.zeros(size, jnp.int32).at[index].add(1)
    return counts.reshape(-1, num_columns)[:num_rows]

  def matmul(labels, pred, counted):
    # One product of one-hot matrices per row of pixels: 0 and 1 are exact in
    # bfloat16, and a count up to 2^24 in the float32 accumulator.
    rows = (labels[..., None] == jnp.arange(num_rows)) & counted[..., None]
    columns = pred[..., None] == jnp.arange(num_columns)
    counts = jnp.einsum(
      'bhwg,bhwk->bhgk',
      rows.astype(jnp.bfloat16),
      columns.astype(jnp.bfloat16),
      preferred_element_type=jnp.float32,
    )
    return jnp.sum(counts.astype(jnp.int32), axis=(0, 1), dtype=jnp.int32)

  # Per 512 x 1024 picture on a CPU: scatter 3 ms, product 110 ms.
  # Accelerators serialise a scatter onto so few addresses.
  return jax.lax.platform_dependent(
    labels, pred, counted, cpu=scatter, default=matmul
  )


def soft_iou(
  logits: jax.Array, labels: jax.Array, valid_pixels: jax.Array
) -> jax.Array:
  """Mean over classes of the soft IoU of each picture.

  With p = softmax(logits) and y the one-hot truth, summed over the pixels of
  one picture,

      soft_iou_c = sum(p_c y_c) / sum(p_c + y_c - p_c y_c),

  and the mean is taken over all K classes. A class that the picture lacks has
  p_c > 0 everywhere and so counts 0: a perfect prediction of a picture with 8
  of 20 classes scores 0.4 at most.

  The DeepLab course project printed 1 minus the mean of this over pictures (in
  batches of 2, all of them full, so that batches don't matter) and called it
  mIoU; lower is better. There, void is class 19 of 20: the caller replaces
  255 by it. Without a void class, give `valid_pixels` without the void.

  Args:
    logits: float[B, H, W, K].
    labels: int[B, H, W], 0..K-1 wherever `valid_pixels`.
    valid_pixels: bool[B, H, W]; the pixels to sum over.

  Returns:
    float[B]; 0 for a picture without valid pixels.

  Source: the loss module of Klamer's U-Net and DeepLab comparison.
  """
  return mean_overlap(*overlap(logits, labels, valid_pixels))


def overlap(
  logits: jax.Array,
  labels: jax.Array,
  valid_pixels: jax.Array,
  *,
  picture_axis: int = 0,
  class_axis: int = 3,
) -> tuple[jax.Array, jax.Array]:
  """Numerator and denominator of `soft_iou`; those of parts can be added.

  Args:
    logits: float[B, H, W, K], or with pictures and classes at other axes.
    labels, valid_pixels: As of `soft_iou`, the shape of the logits without
      `class_axis`.
    picture_axis, class_axis: Where pictures and classes are in the logits.

  Returns:
    Two float[B, K].
  """
  others = tuple({*range(4)} - {picture_axis, class_axis})
  shape = [1] * 4
  shape[class_axis] = -1
  valid_pixels = jnp.expand_dims(valid_pixels, class_axis)
  probs = jax.nn.softmax(logits, class_axis)
  probs = jnp.where(valid_pixels, probs, 0)
  classes = jnp.arange(logits.shape[class_axis]).reshape(shape)
  truth = jnp.expand_dims(labels, class_axis) == classes
  truth &= valid_pixels
  intersection = jnp.sum(jnp.where(truth, probs, 0), axis=others)
  return intersection, jnp.sum(probs + truth, axis=others) - intersection


def mean_overlap(intersection: jax.Array, union: jax.Array) -> jax.Array:
  """`soft_iou` from the two of `overlap`: float[B]."""
  return jnp.mean(intersection / jnp.where(union > 0, union, 1), axis=-1)


# ------------------------------------------------------------------ on the host


def class_iou(confusion: np.ndarray) -> np.ndarray:
  """TP / (TP + FP + FN) of every class.

  Args:
    confusion: int[G, K], K >= G. Columns from G on are predictions of nothing
      that is in the truth (a trained void class): misses, never hits.

  Returns:
    float64[G]; NaN for a class that is neither in the truth nor predicted at a
    labelled pixel. A class that is only predicted has 0.
  """
  confusion = as_counts(confusion)
  hits = np.diagonal(confusion)
  in_truth = confusion.sum(1)
  predicted = confusion.sum(0)[: len(confusion)]
  return ratio(hits, in_truth + predicted - hits)


def category_iou(
  confusion: np.ndarray, train_to_category: np.ndarray
) -> np.ndarray:
  """IoU of groups of classes; mistakes inside a group don't count.

  Args:
    confusion: int[G, K], K >= G.
    train_to_category: int[G], 0..C-1.

  Returns:
    float64[C]; NaN as in `class_iou`.
  """
  return class_iou(merge_categories(confusion, train_to_category))


def pixel_accuracy(confusion: np.ndarray) -> float:
  """Share of labelled pixels that are right; NaN if there are none."""
  confusion = as_counts(confusion)
  return float(ratio(np.trace(confusion), confusion.sum()))


def class_accuracy(confusion: np.ndarray) -> np.ndarray:
  """Share of each class's pixels that are right: float64[G], NaN if absent."""
  confusion = as_counts(confusion)
  return ratio(np.diagonal(confusion), confusion.sum(1))


def mean(values: np.ndarray) -> float:
  """Mean of the values that exist; NaN if none does."""
  values = np.asarray(values, np.float64)
  values = values[~np.isnan(values)]
  return float(values.mean()) if len(values) else float('nan')


def merge_categories(
  confusion: np.ndarray, train_to_category: np.ndarray
) -> np.ndarray:
  """int64[G, K] -> [C, C + K - G]: rows and columns of a category added."""
  confusion = as_counts(confusion)
  train_to_category = np.asarray(train_to_category)
  extra = confusion.shape[1] - confusion.shape[0]
  number = train_to_category.max() + 1
  rows = np.zeros((number, confusion.shape[1]), np.int64)
  np.add.at(rows, train_to_category, confusion)
  columns = np.concatenate([train_to_category, number + np.arange(extra)])
  merged = np.zeros((number + extra, number), np.int64)
  np.add.at(merged, columns, rows.T)
  return merged.T


def as_counts(confusion: np.ndarray) -> np.ndarray:
  """`confusion` as int64[G, K]; ValueError if it can't be one."""
  confusion = np.asarray(confusion, np.int64)
  if confusion.ndim != 2 or confusion.shape[1] < confusion.shape[0]:
    raise ValueError(
      f'confusion has shape {confusion.shape}; expected [G, K], G classes of '
      'the truth by K >= G classes of the prediction.'
    )
  return confusion


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
  """part / whole in float64, NaN where whole is 0."""
  part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
  return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)
