"""A config made ready for some steps of training that nobody keeps."""

import itertools
import pathlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np
import tqdm

from deeplax import config as config_lib
from deeplax import (
  data,
  dry_run,
  fitting,
  init_from,
  models,
  prefetch,
  recipe,
  sharding,
  state,
)
from deeplax.data import pipeline
from deeplax.errors import ConfigError
from deeplax.train import examine_labels

# Pictures whose classes are counted where the config weighs classes so.
_COUNTED = 200
_KEYS = ('image', 'label', 'valid', 'photometric')


class Trial(NamedTuple):
  """What the steps of a trial need.

  Attributes:
    config: Complete and valid.
    info: The classes.
    source: The train split.
    mesh: The devices.
    model: The network.
    weights: Class weights, float32[K] or None.
  """

  config: ml_collections.ConfigDict
  info: data.DatasetInfo
  source: data.Source
  mesh: jax.sharding.Mesh
  model: Any
  weights: np.ndarray | None

  def batches(self) -> pipeline.Batches:
    """Those of training, from its first step on."""
    return pipeline.train_batches(
      self.source,
      workers=self.config.input.workers,
      **recipe.batch_options(self.config, self.mesh),
    )

  def put(self, batch: dict[str, Any]) -> dict[str, Any]:
    """A batch on the devices."""
    used = {key: batch[key] for key in _KEYS if key in batch}
    return sharding.put_batch(used, self.mesh)


def prepare(
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  **changes: Any,
) -> Trial:
  """Checks a config and its labels as training does, and builds its network.

  Args:
    config: One of configs/.
    workdir: Of its run, which is not written to.
    **changes: Values of keys, as in `**{'model.dropout': 0.0}`.

  Raises:
    ConfigError: On a config that can't be run, or a job of many processes.
    DataError: On data that is missing or that the label doctor rejects.
  """
  if jax.process_count() > 1:
    raise ConfigError(
      f'--check is for one process, and this job has {jax.process_count()}. '
      'Start it on one host with --num_processes=1.'
    )
  config_lib.validate(config)
  config_lib.validate_start(config)
  config = fitting.complete(config, workdir).copy_and_resolve_references()
  config.update_from_flattened_dict(changes)
  dataset = config.dataset
  info = data.info(dataset.name, dataset.dir)
  source = data.source(dataset.name, dataset.train_split, dataset.dir)
  examine_labels(config)
  dry_run.ends_here(
    lambda: (
      f'The network would be tried on {len(source)} pictures of '
      f'{dataset.name} {dataset.train_split}; the result goes to '
      f'{workdir}/checks.'
    )
  )
  if config.loss.class_weights_from_data:
    # A run's file is not ours to write, and a sample tells as much.
    counted = recipe.counted_class_weights(
      config, info, source, sample=_COUNTED
    )
    config.loss.class_weights_from_data = False
    config.loss.class_weights = tuple(counted.tolist())
  model = models.build(
    config_lib.num_outputs(config, info), **config_lib.model_options(config)
  )
  return Trial(
    config,
    info,
    source,
    sharding.make_mesh(**config.mesh),
    model,
    recipe.class_weights(config, info, workdir),
  )


def steps(
  trial: Trial,
  schedule: Callable[[jax.Array], jax.Array],
  batches: Iterable[dict[str, Any]],
  count: int,
  title: str,
) -> Iterator[tuple[state.TrainState, dict[str, float]]]:
  """Trains from the config's own start; stop asking, and it ends.

  Args:
    trial: Of `prepare`.
    schedule: Step -> learning rate, instead of the config's.
    batches: What each step sees, not yet on the devices.
    count: Steps at most.
    title: Of the progress bar, which a terminal shows.

  Yields:
    The state after each step, and the step's metrics as numbers.
  """
  config, mesh = trial.config, trial.mesh
  variables = models.initialize(trial.model, config.seed)
  if config.init_from:
    variables = init_from.load_initial(
      config.init_from, variables, strict=config.init_strict
    )
  train_step, tx = recipe.make_step(
    config, trial.info, trial.model, mesh, trial.weights, schedule=schedule
  )
  now = state.create_state(
    sharding.put_replicated(variables, mesh), tx, config.seed
  )
  now = sharding.put_replicated(now, mesh)
  ahead = prefetch.Prefetch(itertools.islice(batches, count), trial.put)
  bar = tqdm.tqdm(
    total=count, desc=title, unit='step', disable=not sys.stderr.isatty()
  )
  with bar, ahead:
    for batch in ahead:
      now, metrics = train_step(now, batch)
      metrics = {k: float(v) for k, v in jax.device_get(metrics).items()}
      bar.update()
      bar.set_postfix_str(f'loss {metrics["loss"]:.4f}')
      yield now, metrics
