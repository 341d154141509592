"""The pure steps: `(state, batch) -> (state, metrics)`."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from deeplax import inference, losses, metrics, sharding, upsampled
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


def make_train_step(
  model: Any,
  tx: optax.GradientTransformation,
  *,
  mesh: Mesh,
  loss_fn: LossFn,
  schedule: Callable[[jax.Array], jax.Array],
  seed: int,
  auxiliary_weight: float = 0.0,
  void_id: int | None = None,
  align_corners: bool = False,
  half_pixel_centers: bool = True,
  accumulate: int = 1,
  ema_decay: float | None = None,
  remat_norms: bool = False,
) -> Callable[[TrainState, dict], tuple[TrainState, dict[str, jax.Array]]]:
  """Returns the jitted train step; it donates its state.

  The batch is `{'image': uint8[B,H,W,3], 'label': uint8[B,H,W], 'valid':
  bool[B]}`, put on the mesh by `sharding.put_batch`. The loss is sum / weight
  over the whole batch; with `accumulate` = A the batch goes through the network
  in A parts, sums and weights are added, and one division and one update
  follow. Batch normalisation then sees each part by itself, one after the
  other. Where the batch has `'photometric'`, float32[B,6], `ops.photometric`
  comes first.

  Args:
    model: A module of `deeplax.models.build`.
    tx: Optimiser.
    mesh: Of `deeplax.sharding.make_mesh`.
    loss_fn: `(logits, labels, step) -> (sum, weight)`, logits at label size;
      those of a `losses.CrossEntropy` never exist as a whole.
    schedule: Step -> learning rate, for the metrics.
    seed: Of the dropout; the step is folded in.
    auxiliary_weight: Factor on the auxiliary head's loss, if there is one.
    void_id: Train id that void is trained as, or None.
    align_corners, half_pixel_centers: How logits are brought to the labels'
      size, see `ops.resize`.
    accumulate: A, a divisor of the batch size.
    ema_decay: d in ema <- d ema + (1 - d) params, or None.
    remat_norms: Whether the gradient computes again what is no convolution.

  Returns:
    A function giving the next state and `loss`, `gradient_norm`,
    `learning_rate` and `examples` (those with valid=True).
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
    image = batch['image']
    if 'photometric' in batch:
      image = photometric.distort(image, batch['photometric'])
    (logits, endpoints), updates = apply(
      {'params': params, 'batch_stats': batch_stats}, image, key
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

  def sums(state, batch, key):
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

  def train_step(state, batch):
    batch = sharding.cut(batch)
    key = jax.random.fold_in(jax.random.key(seed), state.step)
    total, weight, batch_stats, grads = sums(state, batch, key)
    # A batch without one labelled pixel has loss 0 / 0: no step is better
    # than a NaN in every parameter.
    scale = 1 / jnp.maximum(weight, jnp.finfo(weight.dtype).tiny)
    scale = jnp.where(weight > 0, scale, 0)
    grads = jax.tree.map(lambda g: g * scale.astype(g.dtype), grads)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    ema_params = state.ema_params
    if ema_decay is not None:
      ema_params = optax.incremental_update(params, ema_params, 1 - ema_decay)
    metrics = {
      'loss': total * scale,
      'gradient_norm': optax.tree.norm(grads),
      'learning_rate': jnp.asarray(schedule(state.step)),
      'examples': jnp.sum(batch['valid']),
    }
    state = TrainState(
      step=state.step + 1,
      params=params,
      batch_stats=batch_stats,
      opt_state=opt_state,
      ema_params=ema_params,
    )
    return state, metrics

  whole = sharding.replicated(mesh)
  return jax.jit(
    train_step,
    donate_argnums=0,
    in_shardings=(whole, None),
    out_shardings=(whole, whole),
  )


def make_eval_step(
  model: Any,
  *,
  num_classes: int,
  loss_fn: LossFn | None = None,
  void_class: bool = False,
  scales: Sequence[float] = (1.0,),
  flip: bool = False,
  align_corners: bool = False,
  half_pixel_centers: bool = True,
  window: tuple[int, int] | None = None,
  with_probs: bool = False,
) -> Callable[[dict, dict], dict[str, jax.Array]]:
  """Returns the jitted evaluation step; one compilation a shape.

  It takes `(variables, batch)`, the batch as in training but that the label may
  have another size than the image: logits are brought to the label's size.

  Args:
    model: A module of `deeplax.models.build`.
    num_classes: G, classes of the truth.
    loss_fn: `(logits, labels) -> (sum, weight)`, called for each picture; None
      leaves the loss out. With one view and none or a `losses.CrossEntropy`,
      logits at label size never exist, unless `with_probs`.
    void_class: Whether the model has void as class G: the loss and the soft IoU
      take it as a class, the confusion matrix never as a truth.
    scales, flip, align_corners, half_pixel_centers, window: As in
      `inference.predict_logits`.
    with_probs: Whether the result has `probs`, too.

  Returns:
    A function giving what `make_score_step` describes, and maybe `probs`
    float[B, H, W, K].
  """
  void_id = num_classes if void_class else None
  grid = Grid(align_corners, half_pixel_centers)
  in_tiles = (
    inference.is_single_view(scales, flip, window)
    and not with_probs
    and (loss_fn is None or isinstance(loss_fn, losses.CrossEntropy))
  )

  @jax.jit
  def eval_step(variables, batch):
    batch = sharding.cut(batch)

    def apply(image):
      return model.apply(variables, image, train=False)[0]

    labels = target_labels(batch['label'], batch['valid'], void_id)
    if in_tiles:
      view = inference.scale_image(
        batch['image'], *scales, align_corners=align_corners
      )
      result = upsampled.scores(apply(view), labels, grid, loss_fn)
    else:
      logits = inference.predict_logits(
        apply,
        batch['image'],
        out_size=labels.shape[1:],
        scales=scales,
        flip=flip,
        **grid._asdict(),
        window=window,
      )
      result = upsampled.plain_scores(logits, labels, loss_fn)
      if with_probs:
        result['probs'] = jax.nn.softmax(logits)
    return result | _counts(
      result['pred'], labels, batch, num_classes, void_class
    )

  return eval_step


def make_score_step(
  *, num_classes: int, loss_fn: LossFn | None = None, void_class: bool = False
) -> Callable[[jax.Array, dict], dict[str, jax.Array]]:
  """Returns the jitted comparison of logits with a batch's labels.

  Args:
    num_classes, loss_fn, void_class: As of `make_eval_step`.

  Returns:
    A function of logits `[B, H, W, K]`, or logarithms of probabilities, and the
    batch, giving, with K = G + void_class, `confusion` int32[G, K], `pred`
    uint8[B, H, W], `labelled` bool[B] (there is a pixel to score), `soft_iou`
    float[B] (0 where not labelled), and with a loss `loss_sum` and
    `loss_weight`, float[B].
  """
  void_id = num_classes if void_class else None

  @jax.jit
  def score_step(logits, batch):
    logits, batch = sharding.cut((logits, batch))
    labels = target_labels(batch['label'], batch['valid'], void_id)
    result = upsampled.plain_scores(logits, labels, loss_fn)
    return result | _counts(
      result['pred'], labels, batch, num_classes, void_class
    )

  return score_step


def _counts(pred, labels, batch, num_classes, void_class):
  """`confusion` and `labelled`, see `make_score_step`."""
  return {
    'confusion': metrics.confusion_matrix(
      batch['label'],
      pred,
      num_classes,
      num_classes + void_class,
      batch['valid'],
    ),
    'labelled': jnp.any(labels != losses.IGNORE_LABEL, axis=(1, 2)),
  }
