"""The loop of a run: steps, what they report, evaluation, saving."""

import itertools
import logging
import math
import pathlib
import sys
import time
from collections.abc import Callable, Iterator

import jax
import ml_collections
import numpy as np
import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from deeplax import (
  bad_steps,
  prefetch,
  sharding,
  summaries,
  supervisor,
  visualize,
)
from deeplax.checkpoint import BEST_METRIC, Checkpointer
from deeplax.clock import Clock
from deeplax.data import DataError
from deeplax.data.info import DatasetInfo
from deeplax.data.workers import WorkerError
from deeplax.errors import RunError, Stopped
from deeplax.evaluate import Evaluator
from deeplax.interrupt import Stop
from deeplax.state import TrainState

log = logging.getLogger('deeplax')


class Loop:
  """The loop and what hangs on it: progress, summaries, saving."""

  def __init__(
    self,
    config: ml_collections.ConfigDict,
    info: DatasetInfo,
    *,
    num_examples: int,
    writer: summaries.Summaries,
    checkpointer: Checkpointer,
    evaluator: Evaluator,
    workdir: pathlib.Path,
    batch_ids: Callable[[int], list[str]],
    stop: Stop,
  ):
    """Starts nothing yet.

    Args:
      config: Resolved.
      info: The classes.
      num_examples: Of the train split, for seconds an epoch.
      writer: Of metrics.jsonl and TensorBoard.
      checkpointer: Saves after every evaluation and now and then between.
      evaluator: Of the eval split.
      workdir: Of the run, for the state before a bad step.
      batch_ids: The ids of the pictures of a step.
      stop: What the run has been told meanwhile.
    """
    self.config = config
    self.info = info
    self.num_examples = num_examples
    self.writer = writer
    self.checkpointer = checkpointer
    self.evaluator = evaluator
    self.workdir, self.batch_ids, self.stop = workdir, batch_ids, stop
    self.told = 0  # the last bad step that was spoken of

  def run(
    self,
    state: TrainState,
    first_step: int,
    train_step: Callable,
    batches: Iterator[dict[str, np.ndarray]],
    mesh: jax.sharding.Mesh,
  ) -> dict[str, float]:
    """From `first_step` to the last; returns the last evaluation.

    Raises:
      Stopped: If a signal said so; what was done is saved.
      RunError: If the loss or the gradient is not finite.
      DataError, WorkerError: Of the batches; what was done is saved.
    """
    total = self.config.total_steps
    left_out, allowed = int(state.bad_steps), self.config.optimizer
    if left_out > allowed.skip_nonfinite:
      raise RunError(
        f'this run has left out {left_out} steps that were not finite, and '
        f'optimizer.skip_nonfinite is {allowed.skip_nonfinite} now. Start it '
        f'with {left_out} or more, as before.'
      )
    self.step, self.state, self.metrics = first_step, state, None
    bar = tqdm.tqdm(
      total=total,
      initial=first_step,
      unit='step',
      dynamic_ncols=True,
      disable=not sys.stderr.isatty(),
    )
    ahead = prefetch.Prefetch(
      itertools.islice(batches, total - first_step),
      self.put(mesh),
      stop=self.is_stopped,
    )
    self.stop.put_off = True
    evaluated = self.checkpointer.has_score(first_step)
    with bar, logging_redirect_tqdm([log]), ahead:
      scalars = {}
      if first_step and self.is_evaluated(first_step) and not evaluated:
        scalars = self.evaluate()  # it was cut short
      try:
        scalars = self.steps(train_step, ahead, bar) or scalars
      except (DataError, WorkerError):
        self.rescue()
        raise
    self.checkpointer.wait()
    return scalars

  def steps(self, train_step, batches, bar):
    """The steps themselves, each followed by what is due after it."""
    config = self.config
    total = config.total_steps
    scalars = {}
    clock = Clock()
    first = self.step + 1
    for batch in batches:
      previous = self.step, self.metrics
      self.state, self.metrics = train_step(self.state, batch)
      self.step = step = self.step + 1
      # The device works on; the step before this one is looked at meanwhile.
      stop = self.check(*previous)
      supervisor.beat()
      bar.update()
      if step == first:
        jax.block_until_ready(self.metrics)
        clock.start(step)  # compilation is not a step
      if step % config.log_every == 0 or step == total:
        self.check(step, self.metrics)
        self.report(clock.lap(step), bar)
      if step == first:  # seconds, which the first figures did not wait for
        clock.pause()
        self.writer.open()
        clock.resume()
      evaluating = self.is_evaluated(step)
      if evaluating or step % config.checkpoint_every == 0:
        clock.pause()
        self.save()
        if evaluating:
          scalars = self.evaluate()
        clock.resume()
      if stop or self.is_stopped():
        break
    if self.step < total:
      self.save()
      self.end(f'after step {self.step} of {total}, which is saved')
    return scalars

  def is_evaluated(self, step: int) -> bool:
    """Whether an evaluation follows this step."""
    config = self.config
    return step % config.eval_every == 0 or step == config.total_steps

  def put(self, mesh: jax.sharding.Mesh) -> Callable[[dict], dict]:
    """A function that puts a batch on the device.

    In a job of several processes all must stop at the same step, whoever of
    them was told to: this travels with the batch, too.
    """
    keys = ('image', 'label', 'valid', 'photometric')

    def put(batch):
      used = {key: batch[key] for key in keys if key in batch}
      if jax.process_count() > 1:
        used['stop'] = np.full(len(batch['valid']), bool(self.stop))
      return sharding.put_batch(used, mesh)

    return put

  def is_stopped(self) -> bool:
    """Whether the only process of a job was told to stop."""
    return jax.process_count() == 1 and bool(self.stop)

  def check(self, step: int, metrics: dict[str, jax.Array] | None) -> bool:
    """Waits for a step's metrics, if any, and ends the run if they are bad.

    Returns:
      Whether the run is to stop because somebody says so.
    """
    if metrics is None:
      return self.is_stopped()
    values = jax.device_get(metrics)
    bad = [
      name
      for name in ('loss', 'gradient_norm')
      if not math.isfinite(values[name])
    ]
    if bad:
      name = bad[0]
      found = (
        f'{name.replace("_", " ")} is {values[name]} at step {step} (learning '
        f'rate {values["learning_rate"]:.3g})'
      )
      allowed = self.config.optimizer.skip_nonfinite
      if values['bad_steps'] > allowed:
        raise RunError(self.bad_step(step, values, found))
      if step > self.told:
        self.told = step
        count = int(values['bad_steps'])
        log.warning('%s: left out, %d of %d.', found, count, allowed)
    return bool(values.get('stop', self.is_stopped()))

  def bad_step(self, step: int, values: dict[str, float], found: str) -> str:
    """Keeps what is needed to look into a bad step; the message about it."""
    self.checkpointer.wait()
    good = self.checkpointer.latest_step()
    kept = f'checkpoint of step {good} is good' if good else 'run began with it'
    # The step left the state as it was before it, see `steps`.
    ids = self.batch_ids(step)
    try:
      folder = bad_steps.keep(self.workdir, self.state, step, values, ids)
    except OSError as error:
      return f'{found}. The {kept}. What led to it can not be kept ({error}).'
    allowed = self.config.optimizer.skip_nonfinite
    return bad_steps.message(found, kept, folder, allowed)

  def save(self) -> None:
    """Saves the state after this step, once it is known to be finite."""
    self.check(self.step, self.metrics)
    self.writer.sync()  # what was written down must not be behind
    self.checkpointer.save(self.state, self.step)

  def rescue(self) -> None:
    """Saves what was done before there were no more batches."""
    # In a job of several processes the others know nothing, and saving needs
    # them all.
    if jax.process_count() == 1 and self.metrics:
      self.save()
      self.checkpointer.wait()
      log.info('Step %d is saved.', self.step)

  def end(self, where: str) -> None:
    """Raises Stopped when all is on disk."""
    self.checkpointer.wait()
    who = self.stop.name if self.stop else 'another process was told to stop'
    raise Stopped(
      f'{who}: stopped {where}. The same command goes on from there.'
    )

  def report(self, step_time, bar):
    """One row of training scalars."""
    config, step = self.config, self.step
    values = jax.device_get(self.metrics)
    scalars = {
      'train/loss': values['loss'],
      'train/learning_rate': values['learning_rate'],
      'train/gradient_norm': values['gradient_norm'],
    }
    if config.dataset.on_error == 'skip':
      scalars['train/skipped_examples'] = values['skipped_examples']
    if config.optimizer.skip_nonfinite:
      scalars['train/bad_steps'] = values['bad_steps']
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

  def evaluate(self) -> dict[str, float]:
    """Evaluates the whole split and writes scalars and pictures.

    The step is saved before, so that nothing is lost if this is cut short.
    """
    started, step = time.perf_counter(), self.step
    variables = jax.tree.map(np.asarray, self.state.eval_variables)
    evaluation = self.evaluator(variables, stop=lambda: bool(self.stop))
    if evaluation is None:
      self.end(f'in the evaluation of step {step}, which is saved')
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
    self.writer.sync()
    self.checkpointer.score(step, scalars[BEST_METRIC])
    return scalars
