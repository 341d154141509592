"""The learning-rate range test: which `schedule.peak` to start from.

Smith, Cyclical learning rates for training neural networks, arXiv:1506.01186,
with the exponential sweep that fastai made popular: the rate grows by the same
factor every step, from one at which nothing happens to one at which the loss
explodes, on the batches and with the optimiser of the config.
"""

import math
import pathlib
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from deeplax.checks import trial as trials
from deeplax.checks.curve import draw
from deeplax.checks.result import Result

STEPS = 71  # 10 a decade
START, END = 1e-6, 10.0
# The loss, smoothed, has exploded at this multiple of its least.
_EXPLODED = 4.0
_DECAY = 0.8  # of the running mean that tells so
_WIDTH = 3.0  # steps, of the Gaussian that smooths the curve afterwards
_LEAST_FALL = 0.03  # of the loss at the start; less is noise
_FAR = 10.0


def check(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> Result:
  """Sweeps the learning rate and proposes a peak.

  Args:
    config: One of configs/. Warm-up and decay are those of the sweep.
    workdir: Of its run.

  Raises:
    ConfigError, DataError: As `trial.prepare`.
  """
  trial = trials.prepare(
    config,
    workdir,
    **{'optimizer.skip_nonfinite': 0, 'optimizer.ema_decay': None},
  )
  losses, explosion = [], Explosion()
  with trial.batches() as batches:
    for _, metrics in trials.steps(trial, sweep, batches, STEPS, 'lr'):
      loss = metrics['loss']
      if not math.isfinite(loss + metrics['gradient_norm']):
        break
      losses.append(loss)
      if explosion(loss):
        break
  rates = rates_of(len(losses))
  peak = suggest(rates, losses)
  figures = {
    'suggested_peak': peak,
    'config_peak': config.schedule.peak,
    'learning_rates': rates.tolist(),
    'losses': losses,
    'smoothed': smooth(losses).tolist(),
  }
  path = workdir / 'checks' / 'lr.png'
  lines = report(rates, losses, peak, config.schedule.peak)
  picture = b''
  if losses:
    picture = draw(rates, losses, smooth(losses), peak, config.schedule.peak)
    lines.append(f'Curve: {path}')
  return Result(peak is not None, tuple(lines), figures, picture)


def sweep(step: jax.Array) -> jax.Array:
  """Learning rate of a step, START (END / START)^(step / (STEPS - 1))."""
  return START * (END / START) ** (jnp.asarray(step, float) / (STEPS - 1))


def rates_of(count: int) -> np.ndarray:
  """float64[count]: those of the first steps."""
  return START * (END / START) ** (np.arange(count) / (STEPS - 1))


class Explosion:
  """Tells of each loss whether it is the one that shows an explosion.

  When the running mean m <- 0.8 m + 0.2 loss, started without bias, is four
  times its least so far.
  """

  def __init__(self):
    self._mean, self._count, self._least = 0.0, 0, math.inf

  def __call__(self, loss: float) -> bool:
    self._count += 1
    self._mean = _DECAY * self._mean + (1 - _DECAY) * loss
    mean = self._mean / (1 - _DECAY**self._count)
    self._least = min(self._least, mean)
    return mean > _EXPLODED * self._least


def smooth(losses: Sequence[float]) -> np.ndarray:
  """float64[n]: means with Gaussian weights around each step.

  Centred, unlike a running mean, whose least comes a decade late.
  """
  steps = np.arange(len(losses))
  weights = np.exp(-0.5 * ((steps[:, None] - steps) / _WIDTH) ** 2)
  return weights @ np.asarray(losses) / weights.sum(1)


def suggest(rates: np.ndarray, losses: Sequence[float]) -> float | None:
  """The peak for a schedule.

  With s the rate at which the smoothed loss falls fastest (per e-fold of the
  rate) and m the one at which it is least, sqrt(s m / 10): the two usual
  choices are s, which is careful, and m / 10, which is bold; their geometric
  mean hangs less on the noise of a few steps than either.

  Returns:
    The rate; None where the loss falls by less than 3 % of what it was at the
    start, or by less than its noise.
  """
  if len(losses) < 10:
    return None
  curve = smooth(losses)
  best = int(curve.argmin())
  start = float(np.mean(losses[: max(best // 4, 5)]))
  noise = float(np.std((losses - curve)[: best + 1]))
  if start - curve[best] < max(_LEAST_FALL * abs(start), noise):
    return None
  steepest = int(np.gradient(curve)[: best + 1].argmin())
  peak = math.sqrt(rates[steepest] * rates[best] / 10)
  return float(f'{peak:.2g}')


def report(
  rates: np.ndarray,
  losses: Sequence[float],
  peak: float | None,
  given: float,
) -> list[str]:
  """The sweep in words, with what the config has beside it."""
  lines, curve = [], smooth(losses)
  if len(losses):
    rows = np.linspace(0, len(losses) - 1, min(len(losses), 9)).astype(int)
    lines = [
      f'learning rate {rates[i]:8.1e}  loss {curve[i]:.4f}' for i in rows
    ]
  if len(losses) < STEPS:
    at = rates_of(len(losses) + 1)[-1]
    lines.append(f'The loss explodes at {at:.1e}; stopped there.')
  if peak is None:
    return [
      *lines,
      'NO learning rate makes the loss fall. See whether one batch can be '
      'learnt at all: --check=overfit.',
    ]
  lines.append(
    f'The loss is least at {rates[curve.argmin()]:.1e} and falls fastest at '
    f'{rates[np.gradient(curve)[: curve.argmin() + 1].argmin()]:.1e}; {peak:g} '
    'is a good peak to start from.'
  )
  ratio = given / peak
  how = 'high' if ratio > 1 else 'low'
  which = f'{max(ratio, 1 / ratio):.1f} times as {how}'
  if 1 / 3 <= ratio <= 3:
    lines.append(f'The config has {given:g}: that agrees.')
  elif 1 / _FAR <= ratio <= _FAR:
    lines.append(
      f'The config has {given:g}, {which}: both may do. To try: '
      f'--config.schedule.peak={peak:g}'
    )
  else:
    lines.append(
      f'The config has {given:g}, {which}: FAR OFF. Give '
      f'--config.schedule.peak={peak:g}'
    )
  return lines
