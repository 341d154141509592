"""The loop of a run: steps, what they report, evaluation, saving."""

import itertools
import logging
import math
import sys
import time
from collections.abc import Callable, Iterator

import jax
import ml_collections
import numpy as np
import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from deeplax import prefetch, sharding, summaries, supervisor, visualize
from deeplax.checkpoint import Checkpointer
from deeplax.data.info import DatasetInfo
from deeplax.errors import RunError
from deeplax.evaluate import Evaluator
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
  ):
    """Starts nothing yet.

    Args:
      config: Resolved.
      info: The classes.
      num_examples: Of the train split, for seconds an epoch.
      writer: Of metrics.jsonl and TensorBoard.
      checkpointer: Saves after every evaluation and now and then between.
      evaluator: Of the eval split.
    """
    self.config = config
    self.info = info
    self.num_examples = num_examples
    self.writer = writer
    self.checkpointer = checkpointer
    self.evaluator = evaluator

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
      RunError: If the loss or the gradient is not finite.
    """
    total = self.config.total_steps
    bar = tqdm.tqdm(
      total=total,
      initial=first_step,
      unit='step',
      dynamic_ncols=True,
      disable=not sys.stderr.isatty(),
    )
    ahead = prefetch.Prefetch(
      itertools.islice(batches, total - first_step), lambda b: _put(b, mesh)
    )
    with bar, logging_redirect_tqdm([log]), ahead:
      scalars = self.steps(state, first_step, train_step, ahead, bar)
    self.checkpointer.wait()
    return scalars

  def steps(self, state, first_step, train_step, batches, bar):
    """The steps themselves, each followed by what is due after it."""
    config = self.config
    total = config.total_steps
    scalars = {}
    clock = _Clock()
    previous = None
    for step, batch in enumerate(batches, first_step + 1):
      state, metrics = train_step(state, batch)
      # The device works on; the step before this one is looked at meanwhile.
      if previous:
        self.check(*previous)
      previous = (step, metrics)
      supervisor.beat()
      bar.update()
      if step == first_step + 1:
        self.writer.open()  # takes seconds, while the device is busy
        jax.block_until_ready(metrics)
        clock.start(step)  # compilation is not a step
      evaluating = step % config.eval_every == 0 or step == total
      saving = evaluating or step % config.checkpoint_every == 0
      if step % config.log_every == 0 or step == total:
        self.report(step, self.check(step, metrics), clock.lap(step), bar)
      if saving:
        # Only what is known to be finite is kept.
        self.check(step, metrics)
        clock.pause()
        if evaluating:
          scalars = self.evaluate(step, state)
        self.checkpointer.save(state, step, scalars if evaluating else None)
        clock.resume()
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

  def evaluate(self, step: int, state: TrainState) -> dict[str, float]:
    """Evaluates the whole split and writes scalars and pictures."""
    started = time.perf_counter()
    variables = jax.tree.map(np.asarray, state.eval_variables)
    evaluation = self.evaluator(variables)
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

  def pause(self) -> None:
    self._spent += time.perf_counter() - self._since

  def resume(self) -> None:
    self._since = time.perf_counter()


def _put(batch, mesh):
  keys = ('image', 'label', 'valid', 'photometric')
  used = {key: batch[key] for key in keys if key in batch}
  return sharding.put_batch(used, mesh)
