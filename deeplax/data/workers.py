"""Runs a Grain data set in worker processes, and ends them well.

What Grain 0.2 leaves open is settled here: workers that outlive a killed
trainer, tracebacks when an iterator is left unclosed, a killed worker's bare
exit code, absl flags that notebooks never parse.
"""

import contextlib
import gc
import multiprocessing
import os
import re
import shutil
import signal
import threading
import weakref
from collections.abc import Iterator
from multiprocessing import connection, resource_tracker
from typing import Any

from absl import flags


class WorkerError(RuntimeError):
  """A worker process is gone that should have made the next batch."""


class Elements(Iterator):
  """The elements of a Grain `MapDataset`, in order, made ahead of time.

  The order and the elements don't depend on the number of workers. Making
  starts with the first worker, at once: workers boot while the model compiles.

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
    self._iterator = [iter(made)]  # emptied by _close
    # Also runs at exit, before multiprocessing and threading take their parts
    # down; Grain's threads would print tracebacks on the way otherwise.
    self.close = weakref.finalize(self, _close, self._iterator)
    try:
      with _deaf_to_interrupts():
        self._iterator[0].get_state()  # makes the iterators that can be started
        self._iterator[0].start_prefetch()
    except BaseException:
      self.close()
      raise

  def __next__(self) -> Any:
    if not self._iterator:
      raise StopIteration
    try:
      return next(self._iterator[0])
    except RuntimeError as error:
      if 'terminated unexpectedly' not in str(error):
        raise
      raise WorkerError(_explain(str(error))) from None


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
  """Processes (and threads) started in it never see Ctrl-C.

  It reaches the whole group: the trainer decides, and closes its workers, which
  would otherwise print tracebacks where they just boot. The mask is inherited;
  the trainer itself hears what came meanwhile when it is taken off.
  """
  # Python starts this one along with the first process, and lifts the mask.
  resource_tracker.ensure_running()
  before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
  try:
    yield
  finally:
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _close(holder: list) -> None:
  holder[0].close()
  holder.clear()  # Grain's own clean-up must not wait for the end of Python
  # The last elements hang in a cycle of exceptions and frames, and Grain gives
  # shared memory back in a thread that loses its last tasks at exit: without
  # the following, Python warns of leaked segments.
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


def _explain(message: str) -> str:
  code = re.search(r'exit code (-?\d+)', message)
  code = int(code[1]) if code else 0
  text = f'A worker process of the input pipeline ended with exit code {code}'
  if code == -signal.SIGKILL:
    return (
      f'{text}: it was killed, most often by the system for want of memory. '
      'Free memory, or lower input.workers or batch_size; training goes on '
      'from the last checkpoint with the same batches, whatever their number.'
    )
  if code == -signal.SIGBUS and os.path.isdir('/dev/shm'):
    free = shutil.disk_usage('/dev/shm').free / 2**20
    return (
      f'{text} (bus error): shared memory is most likely full, /dev/shm has '
      f'{free:.0f} MiB free. Enlarge it (docker run --shm-size=8g), or lower '
      'input.workers or batch_size.'
    )
  return (
    f'{text}; its own message stands above. If it failed while starting, the '
    "main script must be a file guarded by `if __name__ == '__main__':` (a "
    'worker imports it). input.workers=0 runs without processes and shows the '
    'error itself.'
  )
