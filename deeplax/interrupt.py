"""Ctrl-C that is not lost."""

import contextlib
import logging
import signal
import sys
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def insistent(every: float = 2.0) -> Iterator[None]:
  """Within it Ctrl-C raises KeyboardInterrupt again until it has an effect.

  Python raises it wherever the main thread happens to be. In a callback of the
  garbage collector or a `__del__`, of which the libraries below have some,
  exceptions are printed and dropped: the run would go on as if nothing had
  been said. Whatever else is raised after Ctrl-C leaves as KeyboardInterrupt.

  Args:
    every: Seconds between two looks at whether it is on its way up.
  """
  said, done = threading.Event(), threading.Event()
  main = threading.main_thread().ident

  def insist():
    while not done.wait(every):
      if not _on_its_way(main):
        signal.pthread_kill(main, signal.SIGINT)

  def handle(number, frame):
    said.set()
    logging.disable(logging.CRITICAL)  # libraries log how they were cut short
    if not any(t.name == 'insist' for t in threading.enumerate()):
      threading.Thread(target=insist, name='insist', daemon=True).start()
    signal.default_int_handler(number, frame)

  def tell(dropped):
    if not said.is_set():  # what breaks after that is of no interest
      before_hook(dropped)

  before, before_hook = signal.getsignal(signal.SIGINT), sys.unraisablehook
  if before is not signal.default_int_handler:  # e.g. ignored, under nohup
    yield
    return
  signal.signal(signal.SIGINT, handle)
  sys.unraisablehook = tell
  try:
    yield
  except Exception as error:
    if said.is_set():  # some libraries make another error of it
      raise KeyboardInterrupt from error
    raise
  finally:
    done.set()
    signal.signal(signal.SIGINT, before)
    sys.unraisablehook = before_hook
    logging.disable(logging.NOTSET)


def _on_its_way(thread: int) -> bool:
  """Whether a thread is cleaning up after a KeyboardInterrupt right now."""
  error = sys._current_exceptions().get(thread)
  if isinstance(error, tuple):  # Python 3.11
    error = error[1]
  while error is not None:
    if isinstance(error, KeyboardInterrupt):
      return True
    error = error.__context__
  return False
