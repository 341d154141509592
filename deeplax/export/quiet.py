"""Keeps what compilers write to stderr away from people."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
  """What C++ writes to stderr is lost; Python's lines and logs are not.

  TensorFlow's converter writes a page a line where it fails, and some lines
  where it does not. Its exceptions have the reason as well.
  """
  before = sys.stderr
  handlers = [
    handler
    for handler in logging.getLogger('deeplax').handlers
    if getattr(handler, 'stream', None) is before
  ]
  before.flush()
  with (
    open(os.dup(2), 'w', errors='backslashreplace', buffering=1) as ours,
    open(os.devnull, 'w') as nobody,
  ):
    try:
      os.dup2(nobody.fileno(), 2)
      sys.stderr = ours
      for handler in handlers:
        handler.setStream(ours)
      yield
    finally:
      ours.flush()
      os.dup2(ours.fileno(), 2)
      sys.stderr = before
      for handler in handlers:
        handler.setStream(before)
