"""Seconds of several things that take turns, so that noise hits all alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

# A quiet machine's median over its fastest is well below.
_BUSY = 1.25


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


def warning(seconds: list[float]) -> str | None:
  """Says so if a thing that always takes as long did not: a busy machine."""
  slower = statistics.median(seconds) / min(seconds)
  if slower < _BUSY:
    return None
  return (
    f'the median matrix product took {slower:.1f} times as long as the '
    'fastest: other work goes on here, and medians say little'
  )
