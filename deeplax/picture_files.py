"""A picture as it is stored: read, turned upright and back, written as PNG."""

import contextlib
import pathlib

import numpy as np
from PIL import Image

from deeplax.data import files
from deeplax.errors import RunError

ORIENTATION = 0x0112  # the EXIF tag
# The EXIF orientation that undoes another.
BACK = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
# Of zlib: against 3, a quarter less time for 4 % more bytes of an overlay.
_LEVEL = 1


def read(path: pathlib.Path) -> tuple[np.ndarray, int]:
  """uint8[H, W, 3], RGB, as it is stored, and its EXIF orientation, 1..8.

  Raises:
    DataError: No picture that can be used.
  """
  data = files.read_bytes(path)
  image = files.decode_image(data, path)
  return image, files.header(data, path).orientation


def turn(image: np.ndarray, orientation: int) -> np.ndarray:
  """Stored pixels -> upright, for an EXIF orientation 1..8."""
  if orientation in (5, 6, 7, 8):  # first row is a column of the scene
    image = image.swapaxes(0, 1)
  rows = -1 if orientation in (3, 4, 7, 8) else 1
  columns = -1 if orientation in (2, 3, 6, 7) else 1
  return np.ascontiguousarray(image[::rows, ::columns])


def write_png(
  path: pathlib.Path,
  image: np.ndarray,
  orientation: int = 1,
  *,
  level: int = _LEVEL,
) -> None:
  """Writes uint8[H, W] or [H, W, 3], all at once or not at all.

  Links that lie in the way are replaced, never followed.

  Args:
    path: Of the file.
    image: The stored pixels.
    orientation: What their EXIF says, 1..8.
    level: Of zlib, to 9, the smallest.

  Raises:
    RunError: It can't be written.
  """
  part = path.with_name(f'{path.name}.part')
  options = {}
  if orientation != 1:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options['exif'] = exif
  try:
    part.unlink(missing_ok=True)  # of a run that was killed, or a link
    with part.open('xb') as file:  # a new file, whatever comes in between
      Image.fromarray(image).save(file, 'PNG', compress_level=level, **options)
    part.replace(path)
  except OSError as error:
    raise RunError(
      f'{path} can not be written ({error.strerror or error}). Choose another '
      'folder, or make room.'
    ) from error
  finally:
    with contextlib.suppress(OSError):  # above all, that there is none
      part.unlink()
