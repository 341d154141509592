"""From a config to its parts: the train step, the losses, the class weights."""

import pathlib
import sys
from collections.abc import Callable
from typing import Any

import jax
import ml_collections
import numpy as np

from deeplax import (
  atomic,
  losses,
  objective,
  optimizers,
  saved_config,
  sharding,
  steps,
)
from deeplax import config as config_lib
from deeplax.data import DataError, Source, check, pipeline
from deeplax.data.info import DatasetInfo
from deeplax.errors import ConfigError
from deeplax.evaluate import Evaluator

CLASS_WEIGHTS = 'class_weights.json'


def count_class_weights(
  config: ml_collections.ConfigDict,
  info: DatasetInfo,
  source: Source,
  workdir: pathlib.Path,
) -> None:
  """Counts weights in the data where the config says so, for the workdir.

  It reads every label, so it is done once a run, when that starts.
  """
  if not config.loss.class_weights_from_data:
    return
  weights = counted_class_weights(config, info, source)
  atomic.write_json(workdir / CLASS_WEIGHTS, weights.tolist())


def counted_class_weights(
  config: ml_collections.ConfigDict,
  info: DatasetInfo,
  source: Source,
  sample: int | None = None,
) -> np.ndarray:
  """float32[K]: weights by the classes of a source, or of a sample of it."""
  counts = check.class_pixel_counts(
    source,
    sample,
    on_error=config.dataset.on_error,
    progress=sys.stderr.isatty(),
  )
  classes = [*range(info.num_classes)]
  if config.loss.void_class:
    classes.append(info.ignore_label)
  return losses.class_weights(counts[classes])


def class_weights(
  config: ml_collections.ConfigDict, info: DatasetInfo, workdir: pathlib.Path
) -> np.ndarray | None:
  """Class weights, given or counted: float32[K], None for all 1.

  Raises:
    ConfigError: If given weights are not one for each class.
  """
  weights = saved_class_weights(config, workdir)
  outputs = config_lib.num_outputs(config, info)
  if weights is not None and len(weights) != outputs:
    raise ConfigError(
      f'loss.class_weights has {len(weights)} numbers, expected {outputs}: one '
      f'for each of {", ".join(info.class_names)}'
      + (' and void.' if config.loss.void_class else '.')
    )
  return weights


def saved_class_weights(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> np.ndarray | None:
  """The class weights of a run that was started: float32[K] or None."""
  weights = config.loss.class_weights
  if config.loss.class_weights_from_data:
    weights = saved_config.load_json(workdir / CLASS_WEIGHTS)
  return np.asarray(weights, np.float32) if len(weights) else None


def make_step(
  config: ml_collections.ConfigDict,
  info: DatasetInfo,
  model: Any,
  mesh: jax.sharding.Mesh,
  weights: np.ndarray | None,
  *,
  schedule: Callable[[jax.Array], jax.Array] | None = None,
) -> tuple[Callable, Any]:
  """The train step of a resolved config, and its optimiser.

  Args:
    config, info, model, mesh, weights: Of the run.
    schedule: Step -> learning rate; by default the config's.
  """
  schedule = schedule or optimizers.make_schedule(
    **config.schedule.to_dict(), total_steps=config.total_steps
  )
  tx = optimizers.make_optimizer(
    schedule, **config_lib.optimizer_options(config)
  )
  train_step = steps.make_train_step(
    make_gradient_sums(config, info, model, weights),
    tx,
    mesh=mesh,
    schedule=schedule,
    ema_decay=config.optimizer.ema_decay,
    skip_nonfinite=config.optimizer.skip_nonfinite,
  )
  return train_step, tx


def make_gradient_sums(
  config: ml_collections.ConfigDict,
  info: DatasetInfo,
  model: Any,
  weights: np.ndarray | None,
) -> Callable:
  """The sums of a training batch: what a resolved config minimises."""
  loss = config.loss
  return objective.make_gradient_sums(
    model,
    loss_fn=losses.build(
      loss.name, class_weights=weights, **config_lib.loss_options(config)
    ),
    auxiliary_weight=loss.auxiliary_weight,
    void_id=info.num_classes if loss.void_class else None,
    **config_lib.resampling(config),
    accumulate=config.optimizer.accumulate,
    remat_norms=model.remat_norms,
  )


def batch_options(
  config: ml_collections.ConfigDict, mesh: jax.sharding.Mesh
) -> dict[str, Any]:
  """What of a resolved config decides on the contents of training batches.

  As keyword arguments of `pipeline.train_batches`.
  """
  return dict(
    ops=config.input.train,
    batch_size=config.batch_size,
    seed=config.seed,
    on_error=config.dataset.on_error,
    # A CPU is the workers' own, and OpenCV's tables are three times as fast.
    photometric_on_device=mesh.devices.flat[0].platform != 'cpu',
  )


def batch_ids(
  config: ml_collections.ConfigDict, source: Source
) -> Callable[[int], list[str]]:
  """A function of a step, the first is 1, giving the ids of its pictures."""

  def picture_id(index):
    try:
      return source[index]['id']
    except DataError as error:  # one that is left out of its batch
      return f'picture {index} ({error})'

  def ids(step):
    indices = pipeline.batch_indices(
      len(source),
      batch_size=config.batch_size,
      seed=config.seed,
      step=step - 1,
    )
    return [picture_id(index) for index in indices]

  return ids


def eval_loss(
  config: ml_collections.ConfigDict, weights: np.ndarray | None
) -> losses.CrossEntropy:
  """The loss that evaluations report, whatever is trained: cross-entropy.

  Without mining and smoothing, so that runs can be compared.
  """
  return losses.CrossEntropy(
    class_weights=weights, normalize_by=config.loss.normalize_by
  )


def make_evaluator(
  config: ml_collections.ConfigDict,
  info: DatasetInfo,
  model: Any,
  source: Source,
  weights: np.ndarray | None,
) -> Evaluator:
  """The evaluation between steps, as the config says."""
  if jax.process_count() > 1:
    # Each process evaluates its own pictures on its own devices.
    mesh = sharding.make_mesh(
      spatial=config.mesh.spatial, devices=jax.local_devices()
    )
  else:
    mesh = sharding.make_mesh(**config.mesh)
  return Evaluator(
    model,
    source,
    info,
    mesh=mesh,
    batch_size=config.input.eval_batch_size or config.batch_size,
    ops=config.input.eval,
    workers=config.input.workers,
    loss_fn=eval_loss(config, weights),
    **config_lib.resampling(config),
    void_class=config.loss.void_class,
    on_error=config.dataset.on_error,
  )
