"""Does the network learn one batch by heart? If not, no run will do better.

The batch is the first one of training, augmented once and then fixed. What
stands in the way of fitting is left out: dropout, weight decay, label
smoothing, the mining of hard pixels, the decay of the learning rate.
"""

import itertools
import math
import pathlib
from typing import Any

import cv2
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from deeplax import config as config_lib
from deeplax import losses, models, objective, sharding, visualize
from deeplax.checks import trial as trials
from deeplax.checks import verdict
from deeplax.checks.result import Result
from deeplax.ops.resize import Grid

STEPS = 300  # at most, and no more than total_steps
_IN_A_ROW = 3  # steps below the threshold
_BATCHES = 20  # among which one with two classes is looked for
_SHOWN = 4  # pictures
_NEVER = 1e-9  # the share of a class that the batch lacks, in a logarithm
_OFF = {
  'model.dropout': 0.0,
  'optimizer.weight_decay': 0.0,
  'optimizer.ema_decay': None,
  'optimizer.skip_nonfinite': 0,
  'loss.label_smoothing': 0.0,
  'loss.hard_pixels': 1.0,
}


def check(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> Result:
  """Trains on one fixed batch until its loss is a fifth of that of guessing.

  Guessing is the best that knows the classes' frequencies in this batch and
  not the picture. The learning rate is the peak of the config's schedule, after
  a warm-up of a tenth of the steps at most.

  Args:
    config: One of configs/; a `total_steps` below 300 is the limit of steps.
    workdir: Of its run.

  Raises:
    ConfigError, DataError: As `trial.prepare`.
  """
  trial = trials.prepare(config, workdir, **_OFF)
  config = trial.config
  with trial.batches() as batches:
    batch, classes, looked = _first_useful(batches, config, trial.info)
  if classes < 2:
    return Result(
      False,
      tuple(verdict.nothing_to_learn(classes, looked, config)),
      {'fits': False, 'losses': []},
    )
  guess = guessing(batch, trial)
  curve, state, finite = _train(trial, batch, verdict.FITTED * guess)
  fits = finite and max(curve[-_IN_A_ROW:]) <= verdict.NEARLY * guess
  pred = _predict(trial, state, batch)
  truth = np.asarray(_targets(batch, trial))
  scored = truth != trial.info.ignore_label
  right = float((pred == truth)[scored].mean())
  found = verdict.Found(
    losses=tuple(curve),
    guess=guess,
    fits=bool(fits),
    finite=finite,
    right=right,
    void=float(1 - scored.mean()),
  )
  figures = {
    'fits': found.fits,
    'pixels_right': right,
    'loss_of_guessing': guess,
    'ids': [trial.source[int(i)]['id'] for i in batch['index']],
    # JSON knows no NaN.
    'losses': [loss if math.isfinite(loss) else None for loss in curve],
  }
  picture = _panels(trial, batch, pred)
  lines = verdict.report(found, config, workdir / 'checks' / 'overfit.png')
  return Result(found.fits, tuple(lines), figures, picture)


def _train(trial, batch, enough):
  """Losses up to `enough` or the limit, the state, whether all is finite."""
  config = trial.config
  limit = min(config.total_steps or STEPS, STEPS)
  curve, last, finite = [], None, True
  for state, metrics in trials.steps(
    trial, _schedule(config, limit), itertools.repeat(batch), limit, 'overfit'
  ):
    curve.append(metrics['loss'])
    last = state
    finite = math.isfinite(metrics['loss'] + metrics['gradient_norm'])
    fitted = len(curve) >= _IN_A_ROW and max(curve[-_IN_A_ROW:]) <= enough
    if fitted or not finite:
      break
  return curve, last, finite


def _first_useful(batches, config, info) -> tuple[dict[str, Any], int, int]:
  """The first batch with two classes, how many it has, and how many looked."""
  most, looked = -1, 0
  while most < 2 and looked < _BATCHES:
    batch, looked = next(batches), looked + 1
    classes = np.count_nonzero(_class_counts(batch, config, info))
    if classes > most:
      best, most = batch, int(classes)
  return best, most, looked


def _class_counts(batch, config, info) -> np.ndarray:
  """Pixels of each output of the network in a batch."""
  label = batch['label'][batch['valid']]
  counts = np.bincount(label.ravel(), minlength=256)
  trained = counts[: info.num_classes]
  if config.loss.void_class:
    trained = np.append(trained, counts[info.ignore_label])
  return trained


def guessing(batch: dict[str, Any], trial: trials.Trial) -> float:
  """The loss of the best prediction that is the same for all pixels.

  With pixels n_c of class c and weights w_c that is q_c = w_c n_c / sum(w n),
  for which cross-entropy has the sum -sum(w n log q); whatever loss the config
  has is asked about it. Each further output that has a loss (scales, auxiliary
  head) adds the same.
  """
  config = trial.config
  counts = _class_counts(batch, config, trial.info).astype(np.float64)
  weighted = counts * (1.0 if trial.weights is None else trial.weights)
  share = np.maximum(weighted / weighted.sum(), _NEVER)
  loss = losses.build(
    config.loss.name,
    class_weights=trial.weights,
    **config_lib.loss_options(config),
  )
  total = weight = 0.0
  for label in _targets(batch, trial):  # one by one: K numbers for each pixel
    logits = jnp.broadcast_to(jnp.log(share), (1, *label.shape, len(share)))
    parts = loss(logits, label[None], 0)
    total, weight = total + float(parts[0]), weight + float(parts[1])
  return total / weight * _losses(trial, batch)


def _targets(batch, trial) -> jax.Array:
  """int32[B, H, W]: labels as the loss has them, 255 where none counts."""
  void_class = trial.config.loss.void_class
  void_id = trial.info.num_classes if void_class else None
  return objective.target_labels(batch['label'], batch['valid'], void_id)


def _losses(trial, batch):
  """How many losses are added up, the auxiliary one as it is weighted."""
  image = jax.ShapeDtypeStruct(batch['image'].shape, jnp.uint8)
  variables = models.abstract_variables(trial.model)
  (_, endpoints), _ = jax.eval_shape(
    lambda variables, image: _apply(trial.model, variables, image),
    variables,
    image,
  )
  scales = sum(name.startswith('logits_x') for name in endpoints)
  auxiliary = trial.config.loss.auxiliary_weight * ('auxiliary' in endpoints)
  return 1 + scales + auxiliary


def _apply(model, variables, image):
  return model.apply(
    variables,
    image,
    train=True,
    rngs={'dropout': jax.random.key(0)},
    mutable=['batch_stats'],
  )


def _schedule(config, limit):
  peak = config.schedule.peak
  warmup = min(config.schedule.warmup_steps, limit // 10)
  return lambda step: peak * jnp.minimum((step + 1) / (warmup + 1), 1.0)


def _predict(trial, state, batch) -> np.ndarray:
  """uint8[B, H, W]: what the trained network says, as in training.

  So with the statistics of this batch, where these are not frozen: running
  means need many more steps.
  """
  grid = Grid(**config_lib.resampling(trial.config))
  size = batch['label'].shape[1:]

  @jax.jit
  def predict(variables, batch):
    image = objective.image(sharding.cut(batch))
    (logits, _), _ = _apply(trial.model, variables, image)
    return jnp.argmax(grid.resize(logits, size), -1).astype(jnp.uint8)

  variables = {'params': state.params, 'batch_stats': state.batch_stats}
  return np.asarray(predict(variables, trial.put(batch)))


def _panels(trial, batch, pred) -> bytes:
  shown = min(_SHOWN, len(pred))
  image = np.asarray(objective.image(batch)[:shown])
  palette = trial.info.palette
  rows = [
    visualize.panel(*parts, palette, width=320)
    for parts in zip(image, batch['label'], pred)
  ]
  rows.append(
    visualize.legend(trial.info.class_names, palette, width=rows[0].shape[1])
  )
  width = max(row.shape[1] for row in rows)
  rows = [
    np.pad(row, ((0, 6), (0, width - row.shape[1]), (0, 0))) for row in rows
  ]
  _, encoded = cv2.imencode('.png', np.concatenate(rows)[..., ::-1])
  return encoded.tobytes()
