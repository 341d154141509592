"""The folder of an export: it has its name when it is whole, and compared."""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator

from deeplax import atomic
from deeplax.errors import RunError
from deeplax.export.card import JSON


@contextlib.contextmanager
def unfinished(target: pathlib.Path) -> Iterator[pathlib.Path]:
  """A folder to work in, gone afterwards unless it was published.

  Raises:
    RunError: Something else has the name that it is to get.
  """
  if target.exists() and not (target / JSON).exists():
    raise RunError(
      f'{target} is there, and no export. Move it away, or choose another '
      '--output.'
    )
  part = target.with_name(f'.{target.name}.part')
  shutil.rmtree(part, ignore_errors=True)  # of a call that was killed
  part.mkdir()
  try:
    yield part
  finally:
    shutil.rmtree(part, ignore_errors=True)


def publish(part: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
  """Gives a finished, synced folder its name; an older one goes."""
  old = target.with_name(f'.{target.name}.old')
  shutil.rmtree(old, ignore_errors=True)
  if target.exists():
    os.rename(target, old)
  atomic.publish(part, target)
  shutil.rmtree(old, ignore_errors=True)
  return target
