"""A parent for each process of a job, who has the last word.

When one process of a job is gone, JAX's runtime aborts the others in C++, or
their collectives fail in a dozen ways; one that hangs says nothing at all. So a
command in a job of several processes is two: the parent starts itself again as
its child, which does the work, and says in one paragraph how that ended.

Two pipes join them. The child tells of its progress, and who it is; the parent
sends a byte now and then. Whoever finds the other one gone, or stopped, ends.
"""

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import NoReturn

_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
_VARIABLE = 'DEEPLAX_SUPERVISOR'  # the child's ends of the pipes
_TICK = 1.0  # seconds between two looks of a parent

# ---- The child's side.

_to_parent: int | None = None


def join_parent(silence: float) -> bool:
  """Whether a parent watches this process, which begins to watch it too.

  Args:
    silence: Seconds after which a parent that is stopped counts as gone.
  """
  global _to_parent
  ends = os.environ.pop(_VARIABLE, '')  # not for processes that we start
  if not ends:
    return False
  hear, _to_parent = map(int, ends.split(','))
  for end in (hear, _to_parent):
    os.set_inheritable(end, False)
    os.set_blocking(end, False)
  threading.Thread(
    target=_end_with_parent, args=(hear, silence), name='parent', daemon=True
  ).start()
  return True


def is_watched() -> bool:
  """Whether this process has such a parent."""
  return _to_parent is not None


def beat() -> None:
  """Says that there is progress: a step, a batch. Nothing without a parent."""
  if _to_parent is not None:
    # It is full when the parent is stopped, and closed when it is gone: the
    # thread that watches it will see.
    with contextlib.suppress(BlockingIOError, BrokenPipeError):
      os.write(_to_parent, b'\n')


def tell(**facts: object) -> None:
  """Tells the parent what its last words may need."""
  if _to_parent is not None:
    with contextlib.suppress(BlockingIOError, BrokenPipeError):
      os.write(_to_parent, json.dumps(facts).encode() + b'\n')


@contextlib.contextmanager
def patience() -> Iterator[None]:
  """Within it there is progress as long as this process is alive.

  For work whose length depends on the data: preparing it, waiting for others.
  """
  done = threading.Event()

  def beats():
    while not done.wait(_TICK):
      beat()

  threading.Thread(target=beats, name='patience', daemon=True).start()
  try:
    yield
  finally:
    done.set()
    beat()


def leave(code: int) -> NoReturn:
  """Ends a child at once, so that the others of the job see it gone.

  Python's own end would wait for them, while they wait for this process.
  """
  for stream in (sys.stdout, sys.stderr):
    with contextlib.suppress(OSError, ValueError):
      stream.flush()
  os._exit(code)


def _end_with_parent(hear: int, silence: float) -> None:
  quiet = 0.0
  while quiet < silence:
    # Short looks: while this process itself is stopped no time is counted.
    if not select.select([hear], [], [], _TICK)[0]:
      quiet += _TICK
      continue
    quiet = 0.0
    if not os.read(hear, 4096):
      break
  os._exit(1)  # nobody asks for it


# ---- The parent's side.


def supervise(stall_timeout: float) -> tuple[int, dict[str, object]]:
  """Runs this same command as a child, and passes signals on to it.

  Args:
    stall_timeout: Seconds without a `beat` until the child is killed.

  Returns:
    Its exit code, negative for a signal as `subprocess` has it, and what there
    is to say about its end: what it told last, `'stalled'` where it was killed
    for that, `'runtime'` with the last words of JAX's runtime.
  """
  hear, from_child = os.pipe()
  to_child, say = os.pipe()
  for end in (hear, say):
    os.set_blocking(end, False)
  child = subprocess.Popen(
    [sys.executable, *sys.orig_argv[1:]],
    stderr=subprocess.PIPE,
    env={**os.environ, _VARIABLE: f'{to_child},{from_child}'},
    pass_fds=(to_child, from_child),
    start_new_session=True,  # Ctrl-C reaches it once, by way of us
  )
  os.close(from_child)
  os.close(to_child)
  errors = _Errors(child.stderr)
  before = {
    number: signal.signal(number, lambda n, _: child.send_signal(n))
    for number in _FORWARDED
    if signal.getsignal(number) is not signal.SIG_IGN  # under nohup, say
  }
  try:
    facts = _watch(child, hear, say, stall_timeout)
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
    os.close(hear)
    os.close(say)
  facts['runtime'] = errors.end()
  return child.returncode, facts


def _watch(child, hear, say, stall_timeout):
  """Waits for the child's end; returns what it told."""
  told, facts, quiet = b'', {}, 0.0
  while child.poll() is None:
    with contextlib.suppress(BlockingIOError, BrokenPipeError):
      os.write(say, b'\n')
    started = time.monotonic()
    if select.select([hear], [], [], _TICK)[0]:
      heard = os.read(hear, 65536)
      told += heard.lstrip(b'\n')
      quiet = 0.0 if heard else quiet
      # Not a look at each beat; and at its end the pipe is always ready.
      with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_TICK / 10)
    # While this process itself is stopped no time is counted.
    quiet += min(time.monotonic() - started, 2 * _TICK)
    if quiet > stall_timeout:
      child.kill()
      child.wait()
      facts['stalled'] = True
  with contextlib.suppress(BlockingIOError):
    while heard := os.read(hear, 65536):
      told += heard
  for line in filter(None, told.split(b'\n')):
    facts |= json.loads(line)
  return facts


class _Errors:
  """Passes on the child's stderr, save for what the runtime says at its end."""

  # A record of the log of C++, which may have several lines; one about lost
  # processes; any record, C++ or ours.
  _FATAL = re.compile(rb'F\d{4} ')
  _ABOUT = re.compile(rb'[EW]\d{4} .*(coordination|distributed|[Hh]eartbeat)')
  _RECORD = re.compile(rb'[IWE]\d{4} |\d\d:\d\d:\d\d |\w+: |Traceback')

  def __init__(self, stream):
    self._stream = stream
    self._held: list[bytes] = []
    self._thread = threading.Thread(target=self._relay, daemon=True)
    self._thread.start()

  def _relay(self):
    fatal = about = False
    for line in self._stream:
      fatal = fatal or bool(self._FATAL.match(line))
      if self._RECORD.match(line):
        about = bool(self._ABOUT.match(line))
      if fatal or about:
        self._held.append(line)
      else:
        with contextlib.suppress(OSError):  # nobody reads it any more
          sys.stderr.buffer.write(line)
          sys.stderr.buffer.flush()

  def end(self) -> str:
    """What was held back, when the child has ended."""
    # Processes that it left behind for a moment hold its stderr, too.
    self._thread.join(_TICK)
    return b''.join(self._held).decode(errors='replace')
