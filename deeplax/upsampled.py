"""Losses and scores at label size from the network's logits, tile by tile.

The logits at label size, float[B, H, W, K], never exist: neither in the loss
nor in its gradient. Values are those of the plain path (`Grid.resize`, then
`losses` and `metrics`) to rounding, and the formulas are theirs.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from deeplax import losses, metrics
from deeplax.ops.resize import Grid
from deeplax.ops.tiles import CLASSES, PICTURES, Tiled, is_enlarged, map_tiles


def cross_entropy(
  loss_fn: losses.CrossEntropy,
  logits: jax.Array,
  labels: jax.Array,
  grid: Grid,
  step: jax.Array | int = 0,
) -> tuple[jax.Array, jax.Array]:
  """`loss_fn(grid.resize(logits, label size), labels, step)`, with gradient.

  One pass over the tiles gives the losses and the gradient at the logits, so
  that the backward pass of the step has nothing to compute again. Which pixels
  are hard shows only when all losses are there: mining takes a pass more.

  Only the first derivative exists, and only by the logits.

  Args:
    loss_fn: The loss and its options.
    logits: float[B, h, w, K]; the plain path where a side is longer than that
      of the labels, or all are as long.
    labels: int[B, H, W], 255 where a pixel does not count.
    grid: How logits are brought to the labels' size.
    step: Of the training, for the ramp of mining.

  Returns:
    `(sum, weight)`.
  """
  size = labels.shape[1:]
  if not is_enlarged(logits.shape[1:3], size):
    return loss_fn(grid.resize(logits, size), labels, step)

  def over_tiles(fn, logits, labels, **options):
    return map_tiles(
      fn, logits, labels, grid=grid, fill=losses.IGNORE_LABEL, **options
    )

  def pixels(x, labels):
    return Tiled(loss_fn.pixels(x, labels, CLASSES))

  def pixels_and_gradient(x, labels):
    loss, back = jax.vjp(lambda x: loss_fn.pixels(x, labels, CLASSES), x)
    return Tiled(loss, gradient=back(jnp.ones_like(loss))[0])

  @jax.custom_vjp
  def total(logits, labels, step):
    return loss_fn.total(over_tiles(pixels, logits, labels).maps, labels, step)

  def forward(logits, labels, step):
    fraction = loss_fn.fraction(step)
    if loss_fn.hard_pixels != 1:
      loss = over_tiles(pixels, logits, labels).maps
      labels = losses.ignore_easy(loss, labels, fraction)
    out = over_tiles(pixels_and_gradient, logits, labels, with_gradient=True)
    every = dataclasses.replace(loss_fn, hard_pixels=1.0)
    return every.total(out.maps, labels), out.gradient

  def backward(gradient, by):
    # The weight is a number of pixels: no logit changes it.
    return (by[0] * gradient).astype(gradient.dtype), None, None

  total.defvjp(forward, backward)
  return total(logits, labels, jnp.asarray(step))


def scores(
  logits: jax.Array,
  labels: jax.Array,
  grid: Grid,
  loss_fn: losses.CrossEntropy | None = None,
  *,
  with_confidence: bool = False,
) -> dict[str, jax.Array]:
  """`plain_scores` of `grid.resize(logits, label size)`, without these.

  Args:
    logits: float[B, h, w, K].
    labels: int[B, H, W], 255 where a pixel does not count.
    grid: How logits are brought to the labels' size.
    loss_fn: None leaves the loss out.
    with_confidence: As of `plain_scores`.
  """
  size = labels.shape[1:]
  if not is_enlarged(logits.shape[1:3], size):
    return plain_scores(
      grid.resize(logits, size),
      labels,
      loss_fn,
      with_confidence=with_confidence,
    )

  def tile(x, labels):
    maps = {'pred': jnp.argmax(x, axis=CLASSES).astype(jnp.uint8)}
    if loss_fn is not None:
      maps['loss'] = loss_fn.pixels(x, labels, CLASSES)
    if with_confidence:
      maps['confidence'] = confidence(x, CLASSES)
    counted = labels != losses.IGNORE_LABEL
    axes = dict(picture_axis=PICTURES, class_axis=CLASSES)
    return Tiled(maps, metrics.overlap(x, labels, counted, **axes))

  out = map_tiles(tile, logits, labels, grid=grid, fill=losses.IGNORE_LABEL)
  result = {
    'pred': out.maps['pred'],
    'soft_iou': metrics.mean_overlap(*out.sums),
  }
  if loss_fn is not None:
    result |= _by_picture(loss_fn.total, out.maps['loss'], labels)
  if with_confidence:
    result['confidence'] = out.maps['confidence']
  return result


def plain_scores(
  logits: jax.Array,
  labels: jax.Array,
  loss_fn: Callable | None = None,
  *,
  with_confidence: bool = False,
) -> dict[str, jax.Array]:
  """What logits at label size say, and how good that is.

  Args:
    logits: float[B, H, W, K].
    labels: int[B, H, W], 255 where a pixel does not count.
    loss_fn: `(logits, labels) -> (sum, weight)`; None leaves the loss out.
    with_confidence: Whether the result has `confidence`, too.

  Returns:
    `pred` uint8[B, H, W], `soft_iou` float[B], with a loss `loss_sum` and
    `loss_weight`, float[B], and maybe `confidence` float[B, H, W].
  """
  counted = labels != losses.IGNORE_LABEL
  result = {
    'pred': jnp.argmax(logits, axis=-1).astype(jnp.uint8),
    'soft_iou': metrics.soft_iou(logits, labels, counted),
  }
  if loss_fn is not None:
    result |= _by_picture(loss_fn, logits, labels)
  if with_confidence:
    result['confidence'] = confidence(logits, -1)
  return result


def confidence(logits: jax.Array, axis: int) -> jax.Array:
  """The largest of the softmax over `axis`: 1 / sum exp(x - max x), <= 1."""
  above = logits - jnp.max(logits, axis, keepdims=True)
  return 1 / jnp.sum(jnp.exp(above), axis)


def _by_picture(total, x, labels):
  # Sums over single pictures: what they share a batch with, and how many
  # pixels a batch has, can't change a digit of the loss.
  loss, weight = jax.vmap(lambda x, y: total(x[None], y[None]))(x, labels)
  return {'loss_sum': loss, 'loss_weight': weight}
