"""Seconds of several things that take turns, so that noise hits all alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

# A quiet machine's median over its fastest, and its load, are well below.
_WAVERING, _LOADED = 1.25, 0.5


def interleaved(
  runs: Mapping[str, Callable[[], Any]], repeats: int
) -> dict[str, list[float]]:
  """Calls each in turn, `repeats` times; returns the seconds of each call.

  Args:
    runs: By name; each returns when its work is done, and was warmed up.
    repeats: Rounds.
  """
  seconds = {name: [] for name in runs}
  for _ in range(repeats):
    for name, run in runs.items():
      start = time.perf_counter()
      run()
      seconds[name].append(time.perf_counter() - start)
  return seconds


def summary(seconds: list[float], pictures: int) -> dict[str, Any]:
  """Median and extremes of the seconds of a step, and pictures a second."""
  median = statistics.median(seconds)
  return {
    'images_per_second': round(pictures / median, 3),
    'milliseconds': round(1e3 * median, 3),
    'fastest': round(1e3 * min(seconds), 3),
    'slowest': round(1e3 * max(seconds), 3),
    'repeats': [round(1e3 * s, 3) for s in seconds],
  }


def warning(seconds: list[float], load: float | None, cores: int) -> str | None:
  """Says so if other work went on, as far as that can be told.

  Args:
    seconds: Of something that always takes as long: it should not waver.
    load: Load average from before the measurement, or None.
    cores: Of the machine.
  """
  slower = statistics.median(seconds) / min(seconds)
  signs = []
  if slower > _WAVERING:
    signs.append(
      f'the median matrix product took {slower:.1f} times as long as the '
      'fastest'
    )
  if load is not None and load > _LOADED * cores:
    signs.append(f'the load was {load} on {cores} cores before it began')
  if not signs:
    return None
  return f'other work went on here: {", and ".join(signs)}; measure again'
