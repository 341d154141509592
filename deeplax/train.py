"""Training: one story, from a config to a workdir with a trained model."""

import logging
import math
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import ml_collections
import numpy as np
import tqdm

from deeplax import (
  checkpoint,
  data,
  losses,
  models,
  optimizers,
  sharding,
  steps,
  summaries,
  visualize,
)
from deeplax import config as config_lib
from deeplax import workdir as workdir_lib
from deeplax.data import check, pipeline, write_memmap
from deeplax.errors import RunError
from deeplax.evaluate import Evaluator
from deeplax.state import TrainState, create_state

log = logging.getLogger('deeplax')

# Pictures that the label doctor reads before step 0.
DOCTOR_SAMPLE = 32


def train_and_evaluate(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> dict[str, float]:
  """Trains to the end, or goes on from the newest checkpoint in `workdir`.

  Args:
    config: One of configs/, checked here before anything is read or compiled.
    workdir: Folder of the run; made when absent.

  Returns:
    The scalars of the last evaluation, `'val/miou'` among them.

  Raises:
    ConfigError: On a config that can't be run.
    DataError: On data that is missing or that the label doctor rejects.
    RunError: On a workdir of another run, or a loss that is not finite.
  """
  # ---- Config and data: every mistake a user can make shows here.
  config_lib.validate(config)
  dataset = config.dataset
  info = data.info(dataset.name, dataset.dir)
  train_source = data.source(dataset.name, dataset.train_split, dataset.dir)
  eval_source = data.source(dataset.name, dataset.eval_split, dataset.dir)
  config = config_lib.resolve(config, len(train_source))
  workdir_lib.prepare(workdir, config, info)
  if not workdir_lib.has_checkpoint(workdir):
    examine_labels(config)
  class_weights = load_class_weights(config, info, train_source, workdir)
  if config.input.cache:
    folder = pathlib.Path(config.input.cache) / dataset.train_split
    train_source = write_memmap.ensure_memmap(train_source, info, folder)

  # ---- Model, optimiser, state.
  mesh = sharding.make_mesh(**config.mesh)
  model = models.build(
    config_lib.num_outputs(config, info), **config_lib.model_options(config)
  )
  train_step, tx, _ = make_step(config, info, model, mesh, class_weights)
  variables = models.initialize(model, config.seed)
  checkpointer = checkpoint.Checkpointer(workdir / 'checkpoints')
  first_step = checkpointer.latest_step() or 0
  if config.init_from and not first_step:
    variables = workdir_lib.load_initial(
      config.init_from, variables, strict=config.init_strict
    )
  state = create_state(
    sharding.put_replicated(variables, mesh),
    tx,
    ema=config.optimizer.ema_decay is not None,
  )
  state = sharding.put_replicated(state, mesh)
  if first_step:
    state = checkpointer.restore(state, mesh)
    log.info('Going on from step %d of %d.', first_step, config.total_steps)

  # ---- What is written down.
  main = jax.process_index() == 0
  if main:
    summaries.cut_back(workdir, first_step)
  writer = summaries.Summaries(workdir, active=main)
  if not first_step:
    writer.start(0, config.to_dict(), variables['params'])
  evaluator = make_evaluator(config, info, model, eval_source, class_weights)

  # ---- The loop.
  batches = pipeline.train_batches(
    train_source,
    ops=config.input.train,
    batch_size=config.batch_size,
    seed=config.seed,
    start_step=first_step,
    workers=config.input.workers,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
    on_error=dataset.on_error,
  )
  run = _Run(config, info, workdir, len(train_source), writer, checkpointer)
  try:
    with batches:
      return run.loop(state, first_step, train_step, batches, mesh, evaluator)
  finally:
    writer.close()
    checkpointer.close()


class _Run:
  """The loop and what hangs on it: progress, summaries, saving."""

  def __init__(self, config, info, workdir, num_examples, writer, checkpointer):
    self.config = config
    self.info = info
    self.workdir = workdir
    self.num_examples = num_examples
    self.writer = writer
    self.checkpointer = checkpointer

  def loop(self, state, first_step, train_step, batches, mesh, evaluator):
    """From `first_step` to the last; returns the last evaluation."""
    config = self.config
    total = config.total_steps
    if first_step >= total:
      log.info('The run in %s is complete (%d steps).', self.workdir, total)
      return last_evaluation(self.workdir)
    scalars = {}
    bar = tqdm.tqdm(
      total=total,
      initial=first_step,
      unit='step',
      dynamic_ncols=True,
      disable=not sys.stderr.isatty(),
    )
    clock = _Clock()
    previous = None
    batch = _put(next(batches), mesh)
    for step in range(first_step + 1, total + 1):
      state, metrics = train_step(state, batch)
      # The device works on; the next batch is fetched and the step before
      # this one is looked at meanwhile.
      if step < total:
        batch = _put(next(batches), mesh)
      if previous:
        self.check(*previous)
      previous = (step, metrics)
      bar.update()
      if step == first_step + 1:
        jax.block_until_ready(metrics)
        clock.start(step)  # compilation is not a step
      evaluating = step % config.eval_every == 0 or step == total
      saving = evaluating or step % config.checkpoint_every == 0
      if step % config.log_every == 0 or step == total:
        self.report(step, self.check(step, metrics), clock.lap(step), bar)
      if saving:
        # Only what is known to be finite is kept.
        self.check(step, metrics)
        clock.pause(step)
        if evaluating:
          scalars = self.evaluate(step, state, evaluator)
        self.checkpointer.save(state, step, scalars if evaluating else None)
        clock.resume(step)
    bar.close()
    self.checkpointer.wait()
    return scalars

  def check(self, step: int, metrics: dict[str, jax.Array]) -> dict[str, float]:
    """Waits for the step's metrics and stops the run where they are bad."""
    values = {name: float(value) for name, value in metrics.items()}
    for name in ('loss', 'gradient_norm'):
      if math.isfinite(values[name]):
        continue
      self.checkpointer.wait()
      good = self.checkpointer.latest_step()
      kept = (
        f'The checkpoint of step {good} is the last good one'
        if good
        else 'There is no checkpoint before it'
      )
      raise RunError(
        f'{name.replace("_", " ")} is {values[name]} at step {step} (learning '
        f'rate {values["learning_rate"]:.3g}). {kept}; nothing was saved after '
        'it. Try a lower schedule.peak, a warm-up (schedule.warmup_steps) or '
        'gradient clipping (optimizer.clip_norm), with another --workdir.'
      )
    return values

  def report(self, step, values, step_time, bar):
    """One row of training scalars."""
    config = self.config
    scalars = {
      'train/loss': values['loss'],
      'train/learning_rate': values['learning_rate'],
      'train/gradient_norm': values['gradient_norm'],
    }
    if config.dataset.on_error == 'skip':
      skipped = config.batch_size - values['examples']
      scalars['train/skipped_examples'] = skipped
    if step_time:
      speed = config.batch_size / step_time
      scalars |= {
        'train/step_time': step_time,
        'train/images_per_second': speed,
        'train/seconds_per_epoch': self.num_examples / speed,
      }
    self.writer.scalars(step, scalars)
    line = f'loss {values["loss"]:.4f}  lr {values["learning_rate"]:.3g}'
    if bar.disable:
      speed = f'  {step_time:.3f} s/step' if step_time else ''
      log.info('step %d/%d  %s%s', step, config.total_steps, line, speed)
    else:
      bar.set_postfix_str(line)

  def evaluate(self, step, state: TrainState, evaluator) -> dict[str, float]:
    """Evaluates the whole split and writes scalars and pictures."""
    started = time.perf_counter()
    variables = jax.tree.map(np.asarray, state.eval_variables)
    evaluation = evaluator(variables)
    scalars = dict(evaluation.scalars)
    self.writer.scalars(step, scalars)
    self.writer.images(
      step, visualize.evaluation_pictures(evaluation, self.info)
    )
    log.info(
      'step %d  %s  (%.1f s)',
      step,
      '  '.join(
        f'{name} {scalars[name]:.4f}'
        for name in ('val/miou', 'val/pixel_accuracy', 'val/loss')
        if name in scalars
      ),
      time.perf_counter() - started,
    )
    return scalars


class _Clock:
  """Seconds a step, without compilation, evaluation and saving."""

  def __init__(self):
    self._since = None

  def start(self, step: int) -> None:
    self._step, self._since, self._spent = step, time.perf_counter(), 0.0

  def lap(self, step: int) -> float | None:
    """Mean seconds a step since the last lap, or None before there is one."""
    if self._since is None or step == self._step:
      return None
    now = time.perf_counter()
    seconds = (self._spent + now - self._since) / (step - self._step)
    self.start(step)
    return seconds

  def pause(self, step: int) -> None:
    del step
    self._spent += time.perf_counter() - self._since

  def resume(self, step: int) -> None:
    del step
    self._since = time.perf_counter()


def _put(batch, mesh):
  keys = ('image', 'label', 'valid')
  return sharding.put_batch({key: batch[key] for key in keys}, mesh)


def examine_labels(config: ml_collections.ConfigDict) -> None:
  """The label doctor on a sample of both splits; stops on what is wrong."""
  dataset = config.dataset
  for split in (dataset.train_split, dataset.eval_split):
    report = check.check(
      dataset.name, split, dataset.dir, sample=DOCTOR_SAMPLE, seed=config.seed
    )
    if report.failed and dataset.on_error == 'raise':
      raise data.DataError(
        f'the labels of {dataset.name}/{split} can not be trained on:\n'
        f'{report}\nAll of them are checked by launch/prepare.py --check.'
      )
    if report.problems:
      log.warning('Labels of %s/%s:\n%s', dataset.name, split, report)


def load_class_weights(
  config: ml_collections.ConfigDict,
  info: data.DatasetInfo,
  source: data.Source,
  workdir: pathlib.Path,
) -> np.ndarray | None:
  """Class weights, given or counted once in the data: float32[K] or None."""
  outputs = config_lib.num_outputs(config, info)
  weights = config.loss.class_weights
  if config.loss.class_weights_from_data:
    path = workdir / 'class_weights.json'
    if not path.exists():
      counts = check.class_pixel_counts(
        source, progress=sys.stderr.isatty()
      )
      classes = [*range(info.num_classes)]
      if config.loss.void_class:
        classes.append(info.ignore_label)
      counts = counts[classes]
      checkpoint.write_json(path, losses.class_weights(counts).tolist())
    weights = config_lib.load_json(path)
  if not len(weights):
    return None
  if len(weights) != outputs:
    raise config_lib.ConfigError(
      f'loss.class_weights has {len(weights)} numbers, expected {outputs}: one '
      f'for each of {", ".join(info.class_names)}'
      + (' and void.' if config.loss.void_class else '.')
    )
  return np.asarray(weights, np.float32)


def make_step(
  config: ml_collections.ConfigDict,
  info: data.DatasetInfo,
  model: Any,
  mesh: jax.sharding.Mesh,
  class_weights: np.ndarray | None,
) -> tuple[Callable, Any, Callable]:
  """The train step of a resolved config, its optimiser and its schedule."""
  schedule = optimizers.make_schedule(
    **config.schedule.to_dict(), total_steps=config.total_steps
  )
  tx = optimizers.make_optimizer(
    schedule, **config_lib.optimizer_options(config)
  )
  loss = config.loss

  def loss_fn(logits, labels, step):
    fraction = 1.0
    if loss.hard_pixels < 1:
      fraction = losses.hard_pixel_fraction(
        step, hard_pixels=loss.hard_pixels, ramp=loss.hard_pixels_ramp
      )
    return losses.cross_entropy(
      logits,
      labels,
      class_weights=class_weights,
      label_smoothing=loss.label_smoothing,
      hard_pixels=fraction,
      normalize_by=loss.normalize_by,
    )

  train_step = steps.make_train_step(
    model,
    tx,
    mesh=mesh,
    loss_fn=loss_fn,
    schedule=schedule,
    seed=config.seed,
    auxiliary_weight=loss.auxiliary_weight,
    void_id=info.num_classes if loss.void_class else None,
    align_corners=config.model.align_corners,
    accumulate=config.optimizer.accumulate,
    ema_decay=config.optimizer.ema_decay,
  )
  return train_step, tx, schedule


def make_evaluator(
  config: ml_collections.ConfigDict,
  info: data.DatasetInfo,
  model: Any,
  source: data.Source,
  class_weights: np.ndarray | None,
) -> Evaluator:
  """Evaluates as the config says: the loss without mining and smoothing."""

  def loss_fn(logits, labels):
    return losses.cross_entropy(
      logits,
      labels,
      class_weights=class_weights,
      normalize_by=config.loss.normalize_by,
    )

  # Each process evaluates its own pictures on its own devices.
  devices = jax.local_devices() if jax.process_count() > 1 else None
  mesh = sharding.make_mesh(**config.mesh) if devices is None else None
  return Evaluator(
    model,
    source,
    info,
    mesh=mesh or sharding.make_mesh(devices=devices),
    batch_size=config.input.eval_batch_size or config.batch_size,
    ops=config.input.eval,
    workers=config.input.workers,
    loss_fn=loss_fn,
    align_corners=config.model.align_corners,
    void_class=config.loss.void_class,
    on_error=config.dataset.on_error,
  )


def last_evaluation(workdir: pathlib.Path) -> dict[str, float]:
  """The scalars of the last evaluation that metrics.jsonl holds."""
  rows = [row for row in summaries.read(workdir) if 'val/miou' in row]
  return {k: v for k, v in rows[-1].items() if k != 'step'} if rows else {}
