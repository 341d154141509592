"""What the commands in launch/ share: flags in, one-paragraph errors out."""

import logging
import pathlib
import sys
import textwrap
from collections.abc import Callable, Sequence

from absl import app, flags
from absl import logging as absl_logging

from deeplax.data.errors import DataError
from deeplax.errors import UserError


def run(main: Callable[[Sequence[str]], int | None]) -> None:
  """`absl.app.run` that ends in a clear line instead of a traceback.

  Errors that a user can mend go to stderr as one paragraph. Exit codes: 0
  done, 1 the run can't be done or did not succeed, 2 the command line or the
  config is wrong, 130 interrupted.
  """
  # Our own lines, not every phase that a library goes through.
  absl_logging.set_verbosity(absl_logging.ERROR)
  handler = logging.StreamHandler()
  handler.setFormatter(logging.Formatter('%(asctime)s %(message)s', '%H:%M:%S'))
  log = logging.getLogger('deeplax')
  log.setLevel(logging.INFO)
  log.propagate = False
  log.handlers = [handler]

  def guarded(argv):
    try:
      return main(argv)
    except (UserError, DataError) as error:
      return fail(error, 1)
    except KeyboardInterrupt:
      return fail('interrupted.', 130)

  app.run(guarded, flags_parser=_parse)


def fail(message: object, code: int) -> int:
  """Prints `message` to stderr, wrapped, and returns the exit code."""
  for part in f'error: {message}'.splitlines():
    print(textwrap.fill(part, 100, break_long_words=False), file=sys.stderr)
  return code


def config_name(path_and_argument: str) -> str:
  """'configs/r101.py:smoke,camvid' -> 'r101_smoke_camvid'."""
  path, _, argument = path_and_argument.partition(':')
  words = [pathlib.Path(path).stem, *argument.replace('=', '-').split(',')]
  return '_'.join(w for w in words if w)


def _parse(argv: Sequence[str]) -> Sequence[str]:
  try:
    return flags.FLAGS(list(argv))
  except flags.Error as error:
    sys.exit(fail(f'{error} (--help lists the flags)', 2))
  # A config file is code: whatever it raises comes out of the flag parser.
  except (AttributeError, KeyError, TypeError, ValueError, OSError) as error:
    message = error.args[0] if error.args else repr(error)
    hint = 'Every key stands in configs/common.py.'
    sys.exit(fail(f'--config: {message} {hint}', 2))
