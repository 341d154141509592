"""`model.encoder='small'`: for runs where any network will do.

ResNet-18 takes its time to compile, and 90 MB a checkpoint.
"""

import pathlib

from deeplax.models import encoders


def add() -> None:
  """Makes the encoder known to this process."""
  folder = str(pathlib.Path(__file__).parent)
  if folder not in encoders.__path__:
    encoders.__path__.append(folder)
