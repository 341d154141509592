"""What training minimises: sums over a batch, and their gradients."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from deeplax import losses, upsampled
from deeplax.ops import photometric
from deeplax.ops.kept import recomputing_norms
from deeplax.ops.resize import Grid
from deeplax.state import TrainState

LossFn = Callable[..., tuple[jax.Array, jax.Array]]


def target_labels(
  label: jax.Array, valid: jax.Array, void_id: int | None = None
) -> jax.Array:
  """Labels that a loss may see: int32[B,H,W], 255 where nothing counts.

  Args:
    label: uint8[B,H,W], 255 = void.
    valid: bool[B]; False marks an example that only fills up the batch.
    void_id: Train id that void is trained as, or None to ignore void.
  """
  label = label.astype(jnp.int32)
  if void_id is not None:
    label = jnp.where(label == losses.IGNORE_LABEL, void_id, label)
  return jnp.where(valid[:, None, None], label, losses.IGNORE_LABEL)


def make_gradient_sums(
  model: Any,
  *,
  loss_fn: LossFn,
  auxiliary_weight: float = 0.0,
  void_id: int | None = None,
  align_corners: bool = False,
  half_pixel_centers: bool = True,
  accumulate: int = 1,
  remat_norms: bool = False,
) -> Callable[[TrainState, dict], tuple[jax.Array, jax.Array, Any, Any]]:
  """Returns what a train step adds up over a batch.

  The batch is `{'image': uint8[B,H,W,3], 'label': uint8[B,H,W], 'valid':
  bool[B]}`. With `accumulate` = A it goes through the network in A parts, and
  sums and weights are added. Batch normalisation then sees each part by
  itself, one after the other. Where the batch has `'photometric'`,
  float32[B,6], `ops.photometric` comes first.

  Args:
    model: A module of `deeplax.models.build`.
    loss_fn: `(logits, labels, step) -> (sum, weight)`, logits at label size;
      those of a `losses.CrossEntropy` never exist as a whole.
    auxiliary_weight: Factor on the auxiliary head's loss, if there is one.
    void_id: Train id that void is trained as, or None.
    align_corners, half_pixel_centers: How logits are brought to the labels'
      size, see `ops.resize`.
    accumulate: A, a divisor of the batch size.
    remat_norms: Whether the gradient computes again what is no convolution.

  Returns:
    A function of state and batch, giving the sum of the loss, its weight, the
    next statistics of batch normalisation and the gradient of the sum.
  """

  grid = Grid(align_corners, half_pixel_centers)

  def apply(variables, image, key):
    return model.apply(
      variables,
      image,
      train=True,
      rngs={'dropout': key},
      mutable=['batch_stats'],
    )

  if remat_norms:
    apply = recomputing_norms(apply)

  def part_sums(params, batch_stats, batch, key, step):
    (logits, endpoints), updates = apply(
      {'params': params, 'batch_stats': batch_stats}, image(batch), key
    )
    labels = target_labels(batch['label'], batch['valid'], void_id)

    def at_label_size(x):
      if isinstance(loss_fn, losses.CrossEntropy):
        return upsampled.cross_entropy(loss_fn, x, labels, grid, step)
      return loss_fn(grid.resize(x, labels.shape[1:]), labels, step)

    total, weight = at_label_size(logits)
    # V2: besides the maximum over scales, each scale has a loss of its own.
    for name, other in endpoints.items():
      if name.startswith('logits_x'):
        total += at_label_size(other)[0]
    if 'auxiliary' in endpoints:
      total += auxiliary_weight * at_label_size(endpoints['auxiliary'])[0]
    return total, (weight, updates.get('batch_stats', batch_stats))

  grad_fn = jax.value_and_grad(part_sums, has_aux=True)

  def sums(state, batch):
    key = dropout_key(state)
    if accumulate == 1:
      (total, (weight, stats)), grads = grad_fn(
        state.params, state.batch_stats, batch, key, state.step
      )
      return total, weight, stats, grads

    def body(carry, i):
      total, weight, stats, grads = carry
      # Every A-th picture: each device splits what it already holds.
      part = {
        name: x.reshape(-1, accumulate, *x.shape[1:])[:, i]
        for name, x in batch.items()
      }
      (t, (w, stats)), g = grad_fn(
        state.params, stats, part, jax.random.fold_in(key, i), state.step
      )
      return (total + t, weight + w, stats, optax.tree.add(grads, g)), None

    dtype = jax.tree.leaves(state.params)[0].dtype
    zero = jnp.zeros((), dtype)
    start = (zero, zero, state.batch_stats, optax.tree.zeros_like(state.params))
    return jax.lax.scan(body, start, jnp.arange(accumulate))[0]

  return sums


def image(batch: dict[str, jax.Array]) -> jax.Array:
  """The pictures of a batch as the network gets them: [B,H,W,3] in 0..255."""
  if 'photometric' in batch:
    return photometric.distort(batch['image'], batch['photometric'])
  return batch['image']


def dropout_key(state: TrainState) -> jax.Array:
  """The source of the chance of the step that is next."""
  return jax.random.fold_in(jax.random.key(state.seed), state.step)
