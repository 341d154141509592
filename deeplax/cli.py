"""What the commands in launch/ share: flags in, one-paragraph errors out."""

import logging
import pathlib
import sys
import textwrap
from collections.abc import Callable, Sequence

from absl import app, flags
from absl import logging as absl_logging

from deeplax.data.errors import DataError
from deeplax.data.workers import WorkerError
from deeplax.errors import UserError


def run(main: Callable[[Sequence[str]], int | None]) -> None:
  """`absl.app.run` that ends in a clear line instead of a traceback.

  Errors that a user can mend go to stderr as one paragraph. Exit codes: 0
  done, 1 the run can't be done or did not succeed, 2 the command line or the
  config is wrong, 130 interrupted.
  """
  log_to_stderr()

  def guarded(argv):
    try:
      return main(argv)
    except (UserError, DataError, WorkerError) as error:
      return fail(error, 1)
    except KeyboardInterrupt:
      return fail('interrupted.', 130)

  app.run(guarded, flags_parser=_parse)


def log_to_stderr() -> None:
  """Our own lines, not every phase that a library goes through."""
  absl_logging.set_verbosity(absl_logging.ERROR)
  handler = logging.StreamHandler()
  handler.setFormatter(logging.Formatter('%(asctime)s %(message)s', '%H:%M:%S'))
  log = logging.getLogger('deeplax')
  log.setLevel(logging.INFO)
  log.propagate = False
  log.handlers = [handler]


def fail(message: object, code: int) -> int:
  """Prints `message` to stderr, wrapped, and returns the exit code."""
  for part in f'error: {message}'.splitlines():
    print(textwrap.fill(part, 100, break_long_words=False), file=sys.stderr)
  return code


def define_numbers(
  name: str, help_text: str, *, kind: type = float, count: int | None = None
) -> flags.FlagHolder:
  """A flag with numbers between commas, `--scales=.5,1`: a tuple, () if unset.

  Args:
    name: Of the flag.
    help_text: For --help.
    kind: int or float.
    count: How many there must be, if there are any.
  """
  return flags.DEFINE(_Numbers(kind, count), name, (), help_text)


class _Numbers(flags.ArgumentParser):
  syntactic_help = 'numbers, separated by commas'

  def __init__(self, kind, count):
    self._kind, self._count = kind, count

  def parse(self, argument):
    if isinstance(argument, tuple):
      return argument
    words = {int: 'whole numbers', float: 'numbers'}[self._kind]
    try:
      values = tuple(map(self._kind, argument.split(',')))
    except ValueError as error:
      raise ValueError(f'expected {words} between commas') from error
    if self._count and len(values) != self._count:
      raise ValueError(f'expected {self._count} {words}, not {len(values)}')
    return values

  def flag_type(self):
    return 'numbers'


def config_name(path_and_argument: str) -> str:
  """'configs/r101.py:smoke,camvid' -> 'r101_smoke_camvid'."""
  path, _, argument = path_and_argument.partition(':')
  words = [pathlib.Path(path).stem, *argument.replace('=', '-').split(',')]
  return '_'.join(w for w in words if w)


def _parse(argv: Sequence[str]) -> Sequence[str]:
  try:
    rest = flags.FLAGS(list(argv))
    if 'config' in flags.FLAGS and flags.FLAGS['config'].value is not None:
      flags.FLAGS['config'].value.to_dict()  # a missing file shows only now
    return rest
  except flags.Error as error:
    sys.exit(fail(_last_words(str(error)), 2))
  except OSError as error:
    sys.exit(fail(f'--config: {error}', 2))
  # A config file is code: whatever it raises comes out of the flag parser.
  except (AttributeError, KeyError, TypeError, ValueError) as error:
    message = str(error.args[0]).strip('"') if error.args else repr(error)
    hint = 'Every key stands in configs/common.py.'
    sys.exit(fail(f'--config: {message} {hint}', 2))


def _last_words(message: str) -> str:
  """A flag's error; of a traceback inside it, the place and the reason."""
  lines = [line.strip() for line in message.strip().splitlines()]
  if 'Traceback' not in message:
    return f'{message} (--help lists the flags)'
  places = [line for line in lines if line.startswith('File ')]
  return f'{lines[0]} {lines[-1]} ({places[-1]})'
