"""Batches that lie on the device before a step asks for them."""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

# Two outlast one batch that is late; more would only take memory.
AHEAD = 2
# The pipeline may be stuck, which closing it, later, brings to an end.
_PATIENCE = 5.0  # seconds
_LOOK = 0.2  # seconds between two looks at `stop`, while there is no batch


class Prefetch(Iterator):
  """What `put` makes of each batch, in order, made ahead of time in a thread.

  Whoever is slow, the thread's batches wait for the step: `ahead` of them, the
  one in the making included. Errors of the iterator or of `put` come when
  their batch is asked for, after the batches before them. A context manager,
  or call `close()`.

  Args:
    batches: Only the thread asks it for more. Closing it is up to the caller,
      after this.
    put: Takes a batch, returns it on the device.
    stop: Looked at while there is no batch to give; True ends the iteration.
    ahead: Batches, 1 or more.
  """

  def __init__(
    self,
    batches: Iterator[Any],
    put: Callable[[Any], Any],
    *,
    stop: Callable[[], bool] = lambda: False,
    ahead: int = AHEAD,
  ):
    self._batches, self._put, self._stop = batches, put, stop
    self._free = threading.Semaphore(ahead)
    self._made: queue.SimpleQueue = queue.SimpleQueue()
    self._closed = False
    self._thread = threading.Thread(
      target=self._work, name='prefetch', daemon=True
    )
    self._thread.start()

  def _work(self) -> None:
    try:
      while True:
        self._free.acquire()
        if self._closed:
          return
        self._made.put((self._put(next(self._batches)), None))
    except BaseException as error:  # StopIteration as well
      self._made.put((None, error))

  def __next__(self) -> Any:
    if self._closed:
      raise StopIteration
    batch, error = self._next()
    if error is not None:
      self.close()
      raise error
    self._free.release()
    return batch

  def _next(self):
    while True:
      try:
        return self._made.get(timeout=_LOOK)
      except queue.Empty:
        if self._stop():
          return None, StopIteration()

  def __enter__(self) -> 'Prefetch':
    return self

  def __exit__(self, *_) -> None:
    self.close()

  def close(self) -> None:
    """Ends the thread and lets go of its batches; there are no more."""
    self._closed = True
    self._free.release()
    self._thread.join(_PATIENCE)
    self._made = queue.SimpleQueue()
