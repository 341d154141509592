"""The pure steps: `(state, batch) -> (state, metrics)`."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from deeplax import inference, losses, metrics, sharding, upsampled
from deeplax.objective import LossFn, target_labels
from deeplax.ops.resize import Grid
from deeplax.state import TrainState


def make_train_step(
  gradient_sums: Callable[[TrainState, dict], tuple],
  tx: optax.GradientTransformation,
  *,
  mesh: Mesh,
  schedule: Callable[[jax.Array], jax.Array],
  ema_decay: float | None = None,
  skip_nonfinite: int = 0,
) -> Callable[[TrainState, dict], tuple[TrainState, dict[str, jax.Array]]]:
  """Returns the jitted train step; it donates its state.

  The batch is that of `objective.make_gradient_sums`, put on the mesh by
  `sharding.put_batch`; the loss is sum / weight over the whole of it.

  A loss or gradient that isn't finite changes nothing but the counters `step`
  and `bad_steps`, `skip_nonfinite` times. Once more, and the state stays as it
  was before that step, whatever steps follow: whoever looks at the metrics
  later finds the state that led to it.

  Args:
    gradient_sums: Of `objective.make_gradient_sums`.
    tx: Optimiser.
    mesh: Of `deeplax.sharding.make_mesh`.
    schedule: Step -> learning rate, for the metrics.
    ema_decay: d in ema <- d ema + (1 - d) params, or None. At step t, from 0,
      it is at most (1 + t) / (10 + t), as in TensorFlow: a short run's average
      would be of its first, random parameters.
    skip_nonfinite: Bad steps that are left out.

  Returns:
    A function giving the next state and `loss`, `gradient_norm`,
    `learning_rate`, `examples` (those with valid=True), the counters
    `bad_steps` and `skipped_examples` of the state, and `stop`, whether
    `batch['stop']`, bool[B], has any, where there is such a thing.
  """

  def train_step(state, batch):
    batch = sharding.cut(batch)
    total, weight, batch_stats, grads = gradient_sums(state, batch)
    # A batch without one labelled pixel has loss 0 / 0: no step is better
    # than a NaN in every parameter.
    scale = 1 / jnp.maximum(weight, jnp.finfo(weight.dtype).tiny)
    scale = jnp.where(weight > 0, scale, 0)
    grads = jax.tree.map(lambda g: g * scale.astype(g.dtype), grads)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    ema_params = state.ema_params
    if ema_decay is not None:
      decay = jnp.minimum(ema_decay, (1 + state.step) / (10 + state.step))
      ema_params = optax.incremental_update(params, ema_params, 1 - decay)
    examples = jnp.sum(batch['valid'])
    after = state.replace(
      step=state.step + 1,
      skipped_examples=state.skipped_examples + batch['valid'].size - examples,
      params=params,
      batch_stats=batch_stats,
      opt_state=opt_state,
      ema_params=ema_params,
    )
    loss, gradient_norm = total * scale, optax.tree.norm(grads)
    finite = jnp.isfinite(loss) & jnp.isfinite(gradient_norm)
    metrics = {
      'loss': loss,
      'gradient_norm': gradient_norm,
      'learning_rate': jnp.asarray(schedule(state.step - state.bad_steps)),
      'examples': examples,
    }
    state = _unless_bad(state, after, finite, skip_nonfinite)
    metrics['bad_steps'] = state.bad_steps
    metrics['skipped_examples'] = state.skipped_examples
    if 'stop' in batch:
      metrics['stop'] = jnp.any(batch['stop'])
    return state, metrics

  whole = sharding.replicated(mesh)
  return jax.jit(
    train_step,
    donate_argnums=0,
    in_shardings=(whole, None),
    out_shardings=(whole, whole),
  )


def _unless_bad(before, after, finite, skip_nonfinite):
  """The state that a step leaves, see `make_train_step`."""
  halted = before.bad_steps > skip_nonfinite
  bad_steps = before.bad_steps + ~(finite | halted)
  going_on = bad_steps <= skip_nonfinite
  good = finite & going_on
  kept = jax.tree.map(lambda new, old: jnp.where(good, new, old), after, before)

  def counted(name):
    return jnp.where(going_on, getattr(after, name), getattr(before, name))

  return kept.replace(
    step=counted('step'),
    skipped_examples=counted('skipped_examples'),
    bad_steps=bad_steps,
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
  with_confidence: bool = False,
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
    with_confidence: As of `make_score_step`.

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
      result = upsampled.scores(
        apply(view), labels, grid, loss_fn, with_confidence=with_confidence
      )
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
      result = upsampled.plain_scores(
        logits, labels, loss_fn, with_confidence=with_confidence
      )
      if with_probs:
        result['probs'] = jax.nn.softmax(logits)
    return result | _counts(
      result['pred'], labels, batch, num_classes, void_class
    )

  return eval_step


def make_score_step(
  *,
  num_classes: int,
  loss_fn: LossFn | None = None,
  void_class: bool = False,
  with_confidence: bool = False,
) -> Callable[[jax.Array, dict], dict[str, jax.Array]]:
  """Returns the jitted comparison of logits with a batch's labels.

  Args:
    num_classes, loss_fn, void_class: As of `make_eval_step`.
    with_confidence: Whether the result has `confidence`, too, the probability
      of the prediction: float[B, H, W].

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
    result = upsampled.plain_scores(
      logits, labels, loss_fn, with_confidence=with_confidence
    )
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
