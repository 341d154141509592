"""Threads that read ahead of the caller and write behind it.

Decoding and encoding pictures lets go of the interpreter, so that threads are
enough to keep files, processor and device busy at once.
"""

import collections
import concurrent.futures
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar('Item')
Result = TypeVar('Result')

_MOST = 16  # threads: further ones only hold pictures


class Threads:
  """A context manager; at its end everything is done, or has failed.

  However long the work is, only a few of its steps are begun and not taken:
  the number of threads and two more, ahead and behind each. An exception (that
  of a step, raised to the caller, or the caller's own, Ctrl-C among them) drops
  what is not begun, and leaves when the steps at work have ended.
  """

  def __init__(self, count: int | None = None):
    """Starts no thread yet.

    Args:
      count: Of threads; default: one for each core, 2 to 16.
    """
    count = count or min(max(os.cpu_count() or 1, 2), _MOST)
    self.bound = count + 2
    self._pool = concurrent.futures.ThreadPoolExecutor(count, 'deeplax-overlap')
    self._behind = collections.deque()

  def ahead(
    self, function: Callable[[Item], Result], items: Iterable[Item]
  ) -> Iterator[Result]:
    """`map(function, items)`, in order, begun before it is asked for."""
    waiting = collections.deque()
    for item in items:
      waiting.append(self._pool.submit(function, item))
      if len(waiting) > self.bound:
        yield waiting.popleft().result()
    while waiting:
      yield waiting.popleft().result()

  def behind(self, function: Callable[..., None], *args: Any) -> None:
    """Calls a function some time; waits while too many calls are open.

    Raises:
      Exception: Of an earlier call.
    """
    self._behind.append(self._pool.submit(function, *args))
    while len(self._behind) > self.bound:
      self._behind.popleft().result()

  def __enter__(self) -> 'Threads':
    return self

  def __exit__(self, kind: type | None, *_: Any) -> None:
    try:
      while kind is None and self._behind:
        self._behind.popleft().result()
    finally:
      self._pool.shutdown(cancel_futures=True)
