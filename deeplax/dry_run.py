"""`--dry_run`: a command ends before it writes, and says what it would do."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator

_WANTED = contextvars.ContextVar('dry_run', default=False)


class Rehearsed(Exception):  # noqa: N818, no error
  """Everything up to here is in order; what would follow, in words."""


@contextlib.contextmanager
def rehearsal(wanted: bool = True) -> Iterator[None]:
  """Inside of it, if `wanted`, `ends_here` does."""
  token = _WANTED.set(wanted)
  try:
    yield
  finally:
    _WANTED.reset(token)


def ends_here(words: Callable[[], str]) -> None:
  """Stands where all is checked and nothing is written yet.

  Args:
    words: What would be done; called in a rehearsal alone.

  Raises:
    Rehearsed: In a rehearsal.
  """
  if _WANTED.get():
    raise Rehearsed(words())
