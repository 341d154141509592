"""Examples that can't be used: raised, or counted and left out."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from deeplax.data.errors import DataError

_log = logging.getLogger(__name__)
_MESSAGES = 100  # of skipped examples that are kept


class Faults:
  """What is to be done about errors, and what has been met."""

  def __init__(self, on_error: str, most_in_a_row: int | None = None):
    self._raise = on_error == 'raise'
    self._most_in_a_row = most_in_a_row
    self._in_a_row = 0
    self.skipped = 0
    self.messages: dict[str, None] = {}  # an ordered set

  def take(self, errors: Sequence[DataError], good: bool) -> None:
    """Raises the first of `errors` or counts them all."""
    for error in errors:
      if self._raise:
        raise error
      self.skipped += 1
      message = str(error)
      if message not in self.messages and len(self.messages) < _MESSAGES:
        self.messages[message] = None
        _log.warning('skipped: %s', message)
        if len(self.messages) == _MESSAGES:
          _log.warning('Further examples that are skipped are only counted.')
    self._in_a_row = 0 if good else self._in_a_row + len(errors)
    if self._most_in_a_row and self._in_a_row >= self._most_in_a_row:
      raise DataError(
        f'not one of the last {self._in_a_row} examples can be used, with '
        f"on_error 'skip'. The last one: {errors[-1]}",
        kind='nothing usable',
      )


def checked(elements: Iterable[dict], faults: Faults) -> Iterator[dict]:
  """The elements that hold pictures; errors go to `faults` on the way.

  Errors travel as data: raised in a worker they would come wrapped, and at a
  moment that depends on the number of workers.
  """
  for element in elements:
    errors, fatal = element.pop('errors'), element.pop('fatal', None)
    # A picture of its own (evaluation) has no 'valid' yet.
    good = 'image' in element and np.any(element.get('valid', True))
    faults.take(errors, good=bool(good))
    if fatal is not None:
      raise fatal
    if 'image' in element:
      owned = {k: _own(v) for k, v in element.items()}
      del element  # not to hold shared memory until the next one is asked for
      yield owned


def _own(value: Any) -> Any:
  """Copies out of workers' shared memory, which is then free at once.

  Otherwise a batch that lives until the process ends leaks its segment.
  """
  shared = isinstance(value, np.ndarray) and type(value) is not np.ndarray
  return np.array(value) if shared else value
