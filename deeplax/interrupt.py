"""Ctrl-C and SIGTERM that are not lost, and that a run may put off."""

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

from deeplax import supervisor
from deeplax.errors import Stopped

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Seconds: SLURM, for one, tells all processes of a step, and then the parent
# passes on what it was told.
_ECHO = 1.0


@contextlib.contextmanager
def insistent(every: float = 2.0) -> Iterator[None]:
  """SIGINT and SIGTERM raise KeyboardInterrupt until that has an effect.

  Python raises it wherever the main thread happens to be. In a callback of the
  garbage collector or a `__del__`, of which the libraries below have some,
  exceptions are printed and dropped: the run would go on as if nothing had
  been said. Whatever else is raised after a signal leaves as KeyboardInterrupt;
  its argument is the signal's number.

  Args:
    every: Seconds between two looks at whether it is on its way up.
  """
  said, insisting, done = [], [], threading.Event()
  main = threading.main_thread().ident

  def insist():
    while not done.wait(every):
      if said and not _on_its_way(main):
        with contextlib.suppress(IndexError):  # taken up at this moment
          signal.pthread_kill(main, said[0])

  def forget():
    said.clear()
    logging.disable(logging.NOTSET)

  def handle(number, frame):
    del frame
    said.append(number)
    logging.disable(logging.CRITICAL)  # libraries log how they were cut short
    if not insisting:
      insisting.append(True)
      threading.Thread(target=insist, name='insist', daemon=True).start()
    raise KeyboardInterrupt(number)

  handle.forget = forget  # for whoever has taken it up after all

  def tell(dropped):
    if not said:  # what breaks after that is of no interest
      before_hook(dropped)

  before_hook = sys.unraisablehook
  # Those that somebody ignores, as nohup does, stay ignored.
  usual = (signal.default_int_handler, signal.SIG_DFL)
  with _handlers(lambda _: handle, replacing=lambda h: h in usual) as installed:
    if not installed:
      yield
      return
    sys.unraisablehook = tell
    try:
      yield
    except Stopped:
      raise
    except Exception as error:
      if said:  # some libraries make another error of it
        raise KeyboardInterrupt(said[0]) from error
      raise
    finally:
      done.set()
      sys.unraisablehook = before_hook
      logging.disable(logging.NOTSET)


def take_up() -> None:
  """For whoever caught a KeyboardInterrupt of `insistent` and goes on.

  It is not raised again; the next signal is a new one.
  """
  for number in SIGNALS:
    handler = signal.getsignal(number)
    if hasattr(handler, 'forget'):
      handler.forget()


class Stop:
  """What a run has been told.

  Attributes:
    signal: The number of the first SIGINT or SIGTERM, or None.
    put_off: Set by who will look at `signal` before long. A first signal then
      only shows there; a second one has its usual effect.
  """

  def __init__(self):
    self.signal: int | None = None
    self.put_off = False
    self._noted = self._refused = False
    self._since = 0.0

  def __bool__(self) -> bool:
    return self.signal is not None

  @property
  def name(self) -> str:
    """`'SIGTERM'` or `'SIGINT'`."""
    return signal.Signals(self.signal).name

  def take(self, number: int, otherwise: Callable[[], None]) -> bool:
    """What the handler of a signal does; `otherwise` is its usual effect.

    Returns:
      Whether it is put off.
    """
    first, self.signal = self.signal is None, self.signal or number
    now = time.monotonic()
    self._since = now if first else self._since
    if supervisor.is_watched() and 0 < now - self._since < _ECHO:
      return True
    # One that came before there was a step may have been dropped on its way up.
    if self.put_off and not self._noted:
      self._noted = True
      # Not through a logger: whatever it locks may be locked at this moment.
      words = f'{self.name}: the step is finished and saved; once more ends it.'
      with contextlib.suppress(OSError):  # whoever read it was told, too
        os.write(2, f'\n{words}\n'.encode())
      return True
    self._refused = self._noted
    otherwise()
    return False

  @property
  def noted(self) -> bool:
    """Whether a signal was put off."""
    return self._noted

  def before_a_step(self) -> Stopped:
    """What to raise where there was nothing to put off."""
    return Stopped(
      f'{self.name}: stopped before a step was done; there is nothing to save. '
      'The same command starts it again.',
      in_order=False,
    )

  @property
  def at_once(self) -> bool:
    """Whether a signal came that could not be put off any more."""
    return self._refused


@contextlib.contextmanager
def stoppable() -> Iterator[Stop]:
  """Within it a signal ends a run so that the same command can go on.

  One that was put off, and came too late to stop anything, is passed on to such
  a `Stop` around this one.

  Raises:
    Stopped: Instead of the KeyboardInterrupt of a signal that came while
      nothing had begun that could be finished.
  """
  stop, around = Stop(), []

  def handler(before):
    around.extend([before.stop] if hasattr(before, 'stop') else [])

    def handle(number, frame):
      def otherwise():
        if callable(before):
          before(number, frame)
        raise KeyboardInterrupt(number)

      if stop.take(number, otherwise) and hasattr(before, 'forget'):
        before.forget()

    handle.stop = stop
    return handle

  with _handlers(handler, replacing=lambda h: h is not signal.SIG_IGN):
    try:
      yield stop
      for other in around:
        other.signal = other.signal or stop.signal
    except Stopped:
      raise
    except KeyboardInterrupt as error:
      if not stop or stop.at_once or hasattr(error, 'at_once'):
        error.at_once = True  # for one around this
        raise
      raise stop.before_a_step() from None
    except Exception as error:
      # Some libraries make another error of a KeyboardInterrupt.
      if not stop or stop.noted or hasattr(error, 'at_once'):
        if stop.at_once:
          error.at_once = True
        raise
      raise stop.before_a_step() from error


@contextlib.contextmanager
def _handlers(make, *, replacing):
  """Installs `make(the one before)`; yields whether there is anything to do."""
  before = {}
  # Python lets no other thread install handlers: there nothing changes.
  if threading.current_thread() is threading.main_thread():
    before = {
      number: found
      for number in SIGNALS
      if (found := signal.getsignal(number)) is not None and replacing(found)
    }
  for number, found in before.items():
    signal.signal(number, make(found))
  try:
    yield bool(before)
  finally:
    for number, found in before.items():
      signal.signal(number, found)


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
