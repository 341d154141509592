"""What the commands in launch/ share: flags in, one-paragraph errors out."""

import contextlib
import errno
import gc
import logging
import os
import re
import signal
import sys
import textwrap
import threading
from collections.abc import Callable, Sequence

from absl import app, flags
from absl import logging as absl_logging

from deeplax import (
  compilation_cache,
  config_files,
  dry_run,
  host_memory,
  interrupt,
  job,
)
from deeplax.data.errors import DataError
from deeplax.data.workers import WorkerError
from deeplax.distributed import Job
from deeplax.errors import ConfigError, Stopped, UserError
from deeplax.job import STOPPED


def run(
  main: Callable[[Sequence[str]], int | None],
  *,
  positional: bool = False,
  processes: Callable[[], Job] | None = None,
  rehearsable: bool = False,
) -> None:
  """`absl.app.run` that ends in a clear line instead of a traceback.

  Errors that a user can mend go to stderr as one paragraph. Exit codes: 0
  done, 1 the run can't be done or did not succeed, 2 the command line or the
  config is wrong, 75 a run stopped as it was told and has saved what it did
  (the same command goes on), 76 a process of the job is lost, 130 interrupted,
  143 terminated.

  Args:
    main: Takes the words of the command line that are no flags, after the name
      of the command; returns an exit code, None for 0.
    positional: Whether there may be such words.
    processes: Of `define_distributed`, for a command that several can share.
    rehearsable: Whether there is a flag `--dry_run`, see `dry_run`.
  """
  for stream in ('stdout', 'stderr'):
    if getattr(sys, stream) is None:  # closed by whoever started us
      setattr(sys, stream, open(os.devnull, 'w'))  # noqa: SIM115
  if hasattr(sys.stdout, 'reconfigure'):  # names need not be UTF-8
    sys.stdout.reconfigure(errors='backslashreplace')
  if rehearsable:
    flags.DEFINE_bool(
      'dry_run', False, 'Only say what would be done.', module_name=sys.argv[0]
    )
  log_to_stderr()
  host_memory.keep_freed_memory()
  compilation_cache.enable()

  def guarded(argv):
    if argv[1:] and not positional:
      return fail(f'{" ".join(argv[1:])}: flags only (--help lists them).', 2)
    if processes is None:
      return attempt(lambda: main(argv))
    return job.run(processes(), lambda: main(argv), attempt, fail)

  def attempt(work):
    try:
      wanted = rehearsable and flags.FLAGS.dry_run
      with interrupt.insistent(), dry_run.rehearsal(wanted):
        code = work()
      sys.stdout.flush()
      return code
    except dry_run.Rehearsed as end:
      print(f'{end}\n--dry_run: nothing is written.', flush=True)
      return 0
    except ConfigError as error:
      return fail(error, 2)
    except (UserError, DataError, WorkerError) as error:
      return fail(error, 1)
    except BrokenPipeError:
      # Whoever read our output has gone, as `head` does: not worth a word.
      os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
      return 1
    except (OSError, RuntimeError, MemoryError) as error:
      words = _machine_fails(error)
      if not words:
        raise
      words, code = f'error: {words}', 1
    # With the exceptions go the frames that hold on to things.
    except Stopped as stopped:
      words, code = f'{stopped}', STOPPED
      if stopped.in_order:
        say(words)
        return code
    except KeyboardInterrupt as interrupted:
      number = next(iter(interrupted.args), signal.SIGINT)
      how = 'interrupted' if number == signal.SIGINT else 'terminated'
      words, code = f'error: {how}.', 128 + number
    return _leave(words, code)

  app.run(guarded, flags_parser=_parse)


def _leave(words, code):
  """Ends this process after a signal, when all `with` and `finally` are done.

  Python's own end would wait for the threads of libraries, and crashes now and
  then inside of a compiler.
  """
  sys.unraisablehook = threading.excepthook = lambda _: None
  gc.collect()  # what still holds on to semaphores
  say(words)
  with contextlib.suppress(OSError):  # the other end of a pipe is gone
    sys.stdout.flush()
  os._exit(code)


def _machine_fails(error: Exception) -> str:
  """In words, if memory or the disk fails us; '' for other errors."""
  # Notes say, for one, with which file it happened.
  notes = getattr(error, '__notes__', [])
  full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
  if getattr(error, 'errno', None) in full:
    where = f' ({error.filename})' if error.filename else ''
    return ' '.join(
      [
        f'the disk or the quota is full{where}.',
        *notes,
        'Free some space and start the same command again: a run goes on from '
        'its newest checkpoint.',
      ]
    )
  denied = (errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE)
  if getattr(error, 'errno', None) in denied:
    return (
      f'{error.filename or "a file"} can not be written or read '
      f'({error.strerror}). Give access to it, or choose another place.'
    )
  if isinstance(error, MemoryError) or 'RESOURCE_EXHAUSTED' in str(error):
    reason = f'{error}'.strip().partition('\n')[0][:300] or 'no reason given'
    reason = ' '.join([f'{reason.rstrip(".")}.', *notes])
    return (
      f'out of memory: {reason} Lower the batch size, the scales '
      'or the size of the pictures, or set model.remat=True; '
      'launch/describe.py --memory says what a training step needs.'
    )
  return ''


def log_to_stderr() -> None:
  """Our own lines, not every phase that a library goes through."""
  # A damaged picture is our error to tell.
  os.environ.setdefault('OPENCV_LOG_LEVEL', 'ERROR')
  # What they call an error is raised as well, or mended.
  absl_logging.set_verbosity(absl_logging.FATAL)
  sys.unraisablehook = _report
  handler = logging.StreamHandler()
  handler.setFormatter(_Printable('%(asctime)s %(message)s', '%H:%M:%S'))
  log = logging.getLogger('deeplax')
  log.setLevel(logging.INFO)
  log.propagate = False
  log.handlers = [handler]


def _report(dropped):
  """Python's own report of what nobody can catch, but for one."""
  # Orbax' threads say this a hundred times, when a save has failed already.
  if f'{dropped.exc_value}' != 'Event loop is closed':
    sys.__unraisablehook__(dropped)


class _Printable(logging.Formatter):
  def format(self, record: logging.LogRecord) -> str:
    return printable(super().format(record))


def printable(text: str) -> str:
  """Names of files can hold what a terminal obeys: shown as `\\x1b`."""
  return ''.join(
    c if c.isprintable() or c in '\n\t' else ascii(c)[1:-1] for c in text
  )


def fail(message: object, code: int) -> int:
  """Prints `message` to stderr, wrapped, and returns the exit code."""
  say(printable(f'error: {message}'))
  return code


def say(message: str) -> None:
  """Prints to stderr, wrapped; to nobody, where nobody reads it any more."""
  with contextlib.suppress(OSError):
    for part in message.splitlines():
      print(textwrap.fill(part, 100, break_long_words=False), file=sys.stderr)


def _parse(argv: Sequence[str]) -> Sequence[str]:
  try:
    rest = flags.FLAGS(list(argv))
    if 'config' in flags.FLAGS and flags.FLAGS['config'].value is not None:
      config_files.check(flags.FLAGS['config'].value)
    return rest
  except flags.Error as error:
    sys.exit(fail(_last_words(str(error)), 2))
  except KeyboardInterrupt:
    sys.exit(fail('interrupted.', 130))
  except SystemExit as end:
    # absl's --help ends with 1, as if something were wrong.
    asked = {word.lstrip('-') for word in argv[1:]} & {'help', 'helpfull', '?'}
    sys.exit(0 if asked and end.code == 1 else end.code)
  # A config file is code: whatever it raises comes out of the flag parser.
  except Exception as error:
    sys.exit(fail(f'--config: {config_files.explain(error)}', 2))


def _last_words(message: str) -> str:
  """A flag's error; of a traceback inside it, the place and the reason."""
  lines = [line.strip() for line in message.strip().splitlines()]
  if 'Traceback' not in message:
    for theirs, ours in _PLAIN.items():
      message = re.sub(theirs, ours, message)
    return f'{message.rstrip(".")} (--help lists the flags).'
  places = [line for line in lines if line.startswith('File ')]
  return f'{lines[0]} {lines[-1]} ({places[-1]})'


# Python's words for a wrong value, and ours.
_PLAIN = {
  r"invalid literal for int\(\) with base 10: ('.*')": (
    r'expected a whole number, not \1'
  ),
  r"could not convert string to float: ('.*')": r'expected a number, not \1',
  r"\('Non-boolean argument to boolean flag', ('.*')\)": (
    r'expected true or false, not \1'
  ),
  r'flag --(\w+)=None: Flag --\w+ must have a value other than None': (
    r'--\1 is missing'
  ),
}
