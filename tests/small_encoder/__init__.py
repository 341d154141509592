"""`model.encoder='small'`: for runs where any network will do.

ResNet-18 takes its time to compile, and 90 MB a checkpoint.
"""

import contextlib
import pathlib
from collections.abc import Iterator

from deeplax.models import encoders

_FOLDER = str(pathlib.Path(__file__).parent)


def add() -> None:
  """Makes the encoder known, to a process that is there for it alone."""
  encoders.__path__.append(_FOLDER)


@contextlib.contextmanager
def known() -> Iterator[None]:
  """Within it the encoder is known; other tests go through all there are."""
  add()
  try:
    yield
  finally:
    encoders.__path__.remove(_FOLDER)
