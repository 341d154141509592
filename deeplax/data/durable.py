"""Writing that survives being killed: a journal, one writer.

The order is always: data, `fsync`, then the line or the name that says the data
is there. So what a journal or a final name promises is on the disk.
"""

import contextlib
import errno
import fcntl
import json
import logging
import os
import shutil
from collections.abc import Iterator
from typing import Any

from deeplax import atomic
from deeplax.data.errors import DataError

_log = logging.getLogger(__name__)


def to_json(tree: Any) -> bytes:
  """JSON, the same bytes for the same tree."""
  return (json.dumps(tree, indent=1, sort_keys=True) + '\n').encode()


@contextlib.contextmanager
def only_writer(directory: str | os.PathLike) -> Iterator[None]:
  """Makes the folder and waits until no other process writes into it.

  The lock is the kernel's (`flock`), so that it ends with its process however
  that ends; the file `.lock` itself stays and means nothing.

  Raises:
    DataError: The folder can't be made or written, or the disk is full.
  """
  try:
    os.makedirs(directory, exist_ok=True)
    lock = open(os.path.join(directory, '.lock'), 'ab')  # noqa: SIM115
  except OSError as error:
    raise DataError(
      f"can't be written: {error.strerror}.",
      fix='Choose a folder that you may write to.',
      file=directory,
      kind='unwritable',
    ) from error
  with lock:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      _log.info('Another process writes %s; waiting for it.', directory)
      fcntl.flock(lock, fcntl.LOCK_EX)
    try:
      yield
    except OSError as error:
      if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        raise
      raise DataError(
        'the disk (or the quota) is full; what was written so far is kept.',
        fix='Free some space and start again: it goes on where it stopped.',
        file=directory,
        kind='disk full',
      ) from error


class Journal:
  """A plan, then a line for everything done; the way back after a kill.

  Attributes:
    done: What is finished, in order.
  """

  def __init__(self, path: str | os.PathLike, plan: dict[str, Any]):
    """Opens a journal, or begins one.

    Args:
      path: Its file.
      plan: What is being made; JSON types only. An unfinished journal of
        another plan is refused.

    Raises:
      DataError: The folder holds unfinished work on something else.
    """
    self._path = os.fspath(path)
    self.done: list[Any] = []
    lines = []
    if os.path.exists(path):
      with open(path, 'rb') as file:
        # A kill can leave half a line at the end.
        lines = [x for x in file.read().splitlines(True) if x.endswith(b'\n')]
    if lines:
      found, *self.done = map(json.loads, lines)
      if found != plan:
        raise DataError(
          'holds unfinished work on something else: '
          f'{_difference(found, plan)}.',
          fix='Choose another folder, or delete this one.',
          file=os.path.dirname(self._path),
          kind='another data set',
        )
    else:
      lines = [_line(plan)]
      atomic.write(path, lines[0])
    os.truncate(path, sum(map(len, lines)))
    self._file = open(path, 'ab')  # noqa: SIM115

  def add(self, entries: list[Any]):
    """Notes what is done; its data must be synced already."""
    self._file.write(b''.join(map(_line, entries)))
    self._file.flush()
    os.fsync(self._file.fileno())
    self.done += entries

  def keep(self, count: int):
    """Forgets all but the first `count` entries."""
    if count == len(self.done):
      return
    self._file.close()
    with open(self._path, 'rb') as file:
      lines = file.read().splitlines(True)
    os.truncate(self._path, sum(map(len, lines[: count + 1])))
    self.done = self.done[:count]
    self._file = open(self._path, 'ab')  # noqa: SIM115

  def close(self):
    self._file.close()

  def remove(self):
    """The work is finished and published."""
    self.close()
    os.remove(self._path)


def _line(entry: Any) -> bytes:
  return (json.dumps(entry, sort_keys=True) + '\n').encode()


def _difference(found: dict, plan: dict) -> str:
  parts = [
    f'{key} is {found.get(key)!r}, expected {plan.get(key)!r}'
    for key in sorted({*found, *plan})
    if found.get(key) != plan.get(key)
  ]
  return '; '.join(parts)


def check_space(directory: str | os.PathLike, needed: int):
  """Stops before hours of work that the disk can't hold.

  Raises:
    DataError: Less than `needed` bytes are free.
  """
  free = shutil.disk_usage(directory).free
  if free < needed:
    raise DataError(
      f'about {_size(needed)} are still to be written, {_size(free)} are free.',
      fix='Free some space, or choose a folder on another disk.',
      file=directory,
      kind='disk full',
    )


def _size(count: int) -> str:
  unit = 'GB' if count >= 1e9 else 'MB'
  return f'{count / (1e9 if unit == "GB" else 1e6):.1f} {unit}'
