"""Runs a Grain data set in worker processes, and ends them well.

What Grain 0.2 leaves open is settled here: workers that outlive a killed
trainer or hear the signals meant for it, tracebacks when an iterator is left
unclosed, a killed worker's bare exit code, waiting for ever for one that left
with exit code 0, absl flags that notebooks never parse.
"""

import contextlib
import faulthandler
import gc
import logging
import multiprocessing
import os
import queue
import re
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from multiprocessing import connection, resource_tracker
from typing import Any

from absl import flags

from deeplax.data import worker_ends

_log = logging.getLogger(__name__)

# Seconds.
_STARTING = 10.0  # at most, until the system has made the processes
_LOOK = 0.5  # between two looks at the workers, while an element is late
_LAST_WORDS = 5.0  # in which the error of a worker that is gone may arrive
_TELL = 60.0  # without an element, between two lines in the log
_CLOSING = 5.0  # after which workers that don't leave are killed


class WorkerError(RuntimeError):
  """A worker process is gone that should have made the next batch."""


class Elements(Iterator):
  """The elements of a Grain `MapDataset`, in order, made ahead of time.

  The order and the elements don't depend on the number of workers. Making
  starts with the first worker, at once: workers boot while the model compiles.
  Where nothing comes for a minute, the log says what the workers do.

  Args:
    dataset: A `grain.MapDataset`. With workers it is pickled into each.
    workers: Number of processes; 0 makes the elements in threads of this one
      (the data source must then stand being read by several at once).
    buffer: Finished elements kept by each worker. Together with the one in the
      making and those on the way up to `2 * buffer + 2` elements a worker lie
      in (shared) memory.
  """

  def __init__(self, dataset: Any, *, workers: int, buffer: int):
    import grain  # imports jax: a second, not at our import

    if not flags.FLAGS.is_parsed():
      flags.FLAGS.mark_as_parsed()  # Grain reads flags of its own
    if workers:
      # One thread of each worker, the main one, makes elements.
      options = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
      made = dataset.to_iter_dataset(options).mp_prefetch(
        grain.MultiprocessingOptions(
          num_workers=workers, per_worker_buffer_size=buffer
        ),
        worker_init_fn=_init_worker,
      )
    else:
      threads = max(2, min(4, os.cpu_count() or 2))
      options = grain.ReadOptions(
        num_threads=threads, prefetch_buffer_size=max(threads, buffer)
      )
      made = dataset.to_iter_dataset(options)
    self._left = len(dataset)
    self._running = _Running(iter(made), workers)
    # Also runs at exit, before multiprocessing and threading take their parts
    # down; Grain's threads would print tracebacks on the way otherwise.
    self.close = weakref.finalize(self, self._running.close)
    try:
      self._running.start()
    except BaseException:
      self.close()
      raise

  def __next__(self) -> Any:
    if not self.close.alive:
      raise StopIteration
    self._running.wanted.put(True)
    try:
      element, error = self._wait()
      if error is not None:
        raise error
    except BaseException as error:
      self.close()
      if 'terminated unexpectedly' in str(error):  # Grain's word for it
        code = re.search(r'exit code (-?\d+)', str(error))
        words = worker_ends.explain(int(code[1]) if code else 1)
        raise WorkerError(words) from None
      raise
    self._left -= 1
    return element

  def _wait(self) -> tuple[Any, BaseException | None]:
    """The next element or an error, in the end at least a `WorkerError`."""
    start = told = time.monotonic()
    while True:
      with contextlib.suppress(queue.Empty):
        return self._running.answers.get(timeout=_LOOK)
      now = time.monotonic()
      # They leave of their own accord only once they are asked for more than
      # there is. Grain sees those that it waits for, if their code is not 0.
      code = self._running.exit_code() if self._left > 0 else None
      if code is not None and now - start > _LAST_WORDS:
        self._running.kill()  # the others: nothing comes of them any more
        raise WorkerError(worker_ends.explain(code))
      if now - told >= _TELL:
        told = now
        _log.warning(
          'no batch for %.0f s: %s', now - start, self._running.states()
        )


class _Running:
  """A Grain iterator, the thread that asks it, and its processes.

  In a thread of its own, as there is no way out of Grain's waiting.

  Attributes:
    wanted: True for each element wanted, False to end.
    answers: `(element, None)` or `(None, error)` for each.
  """

  def __init__(self, iterator: Any, workers: int):
    self._iterator, self._workers = iterator, workers
    self._processes: list = []
    self.wanted: queue.SimpleQueue = queue.SimpleQueue()
    self.answers: queue.SimpleQueue = queue.SimpleQueue()
    self._thread = threading.Thread(
      target=self._answer, name='elements', daemon=True
    )

  def start(self) -> None:
    others = set(multiprocessing.active_children())
    with _deaf_to_signals():
      self._iterator.get_state()  # makes the iterators that can be started
      self._iterator.start_prefetch()
      self._thread.start()
    # Threads of Grain's start them, which takes milliseconds. If they can't,
    # the error comes with the first element.
    end = time.monotonic() + _STARTING
    while len(self._processes) < self._workers and time.monotonic() < end:
      time.sleep(0.002)
      self._processes = [
        p for p in multiprocessing.active_children() if p not in others
      ]

  def _answer(self) -> None:
    while self.wanted.get():
      try:
        self.answers.put((next(self._iterator), None))
      except BaseException as error:  # StopIteration as well
        self.answers.put((None, error))

  def exit_code(self) -> int | None:
    """Of a process that is gone; None if there is none such."""
    codes = (process.exitcode for process in self._processes)
    return next((code for code in codes if code is not None), None)

  def states(self) -> str:
    """What is being waited for, for the log."""
    if not self._processes:
      return 'reading in threads of this process (input.workers=0).'
    states = worker_ends.states(process.pid for process in self._processes)
    return f'of the worker processes, {states}.'

  def close(self) -> None:
    """Ends everything; whoever waits for an element gets StopIteration."""
    self.wanted.put(False)
    killing = threading.Timer(_CLOSING, self.kill)
    killing.daemon = True
    with contextlib.suppress(RuntimeError):  # Python is about to end
      killing.start()
    self._iterator.close()
    killing.cancel()
    # A collection of garbage may have brought us here from anywhere.
    if self._thread.ident and self._thread is not threading.current_thread():
      self._thread.join(1)  # to drop what it may have just got
    self._iterator = None  # its own clean-up must not wait for Python's end
    with contextlib.suppress(queue.Empty):
      while True:
        self.answers.get_nowait()
    self.answers.put((None, StopIteration()))
    _free_shared_memory()

  def kill(self) -> None:
    """Ends the processes, stopped ones too, so that closing is no wait."""
    for process in self._processes:
      process.kill()
      if process.exitcode == 0:
        # Grain waits for ever, and so does its closing, for a process that is
        # gone without an error. To Python it is known by this number alone.
        process._popen.returncode = 1


@contextlib.contextmanager
def _deaf_to_signals() -> Iterator[None]:
  """Processes (and threads) started in it never see Ctrl-C, nor SIGTERM.

  These reach the whole group (a terminal, `timeout`, SLURM, Kubernetes): the
  trainer decides, finishes its step, and closes its workers, which would
  otherwise be gone, or print tracebacks where they just boot. The mask is
  inherited; the trainer itself hears what came meanwhile when it is taken off.
  """
  # Python starts this one along with the first process, and lifts the mask.
  resource_tracker.ensure_running()
  before = signal.pthread_sigmask(
    signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM}
  )
  try:
    yield
  finally:
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _free_shared_memory() -> None:
  """Waits until the last elements have given theirs back."""
  # They hang in a cycle of exceptions and frames, and Grain gives shared memory
  # back in a thread that loses its last tasks at exit: without the following,
  # Python warns of leaked segments.
  gc.collect()
  try:
    from grain._src.python.ipc.shared_memory_array import SharedMemoryArray
  except ImportError:  # private: another version may have it elsewhere
    return
  pool = getattr(SharedMemoryArray, '_del_thread_pool', None)
  if pool is not None:
    with contextlib.suppress(ValueError):  # the pool is closed already
      pool.apply_async(int).wait(timeout=5)  # first in, first out


def _init_worker(index: int, count: int) -> None:
  del index, count
  import cv2

  # The processes are the parallelism; OpenCV's own threads would only compete.
  cv2.setNumThreads(0)
  faulthandler.enable()  # where a library crashes
  threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
  """Ends this process when its parent is gone, however that came about.

  The sentinel is a pipe that the parent holds open and only its death closes:
  no race with a parent that died before we looked, and the same on every
  system. (Linux' PR_SET_PDEATHSIG would follow the *thread* that started us,
  which Grain ends first when it closes in good order.)
  """
  parent = multiprocessing.parent_process()
  if parent is not None:
    connection.wait([parent.sentinel])
    os._exit(1)
