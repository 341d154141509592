"""How long steps take."""

import time


class Clock:
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
