"""Pictures as a caller has them: files, folders, Pillow's, arrays."""

import glob
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from deeplax import picture_files, picture_paths
from deeplax.data.errors import DataError
from deeplax.errors import UserError

_EXPECTED = (
  'expected a path, a PIL image, or an array uint8[H, W, 3] (RGB), [H, W] '
  '(grey) or [H, W, 4] (RGBA)'
)


class Stored(NamedTuple):
  """A picture as it is stored.

  Attributes:
    image: uint8[H, W, 3], RGB.
    orientation: EXIF's, 1..8: how it is to be turned to be upright.
    path: Of its file, if it was read from one by us.
  """

  image: np.ndarray
  orientation: int = 1
  path: pathlib.Path | None = None


class Source(NamedTuple):
  """One picture to be read.

  Attributes:
    picture: A file to read, or the picture.
    named: Whether the caller named it, or it lay in a folder.
    error: Why there is none.
  """

  picture: pathlib.Path | Stored | None
  named: bool = True
  error: ValueError | None = None

  def read(self) -> Stored:
    """The picture.

    Raises:
      DataError, UserError: It can't be used.
    """
    if self.error is not None:
      raise self.error
    if isinstance(self.picture, Stored):
      return self.picture
    return Stored(*picture_files.read(self.picture), self.picture)


def is_single(images: Any) -> bool:
  """Whether this is one picture: no list, folder or pattern."""
  if isinstance(images, (str, os.PathLike)):
    path = os.path.expanduser(os.fsdecode(images))
    if os.path.isdir(path):
      return False
    return os.path.isfile(path) or not glob.has_magic(path)
  if isinstance(images, bytes):  # an iterable of numbers, which nobody means
    return True
  return _is_pixels(images) or not isinstance(images, Iterable)


def sources(images: Any) -> Iterator[Source]:
  """The pictures that are meant, in order; those in memory are converted.

  Args:
    images: A path, a folder, a pattern, a PIL image, an array, or any number of
      these, which are taken one by one.
  """
  alone = isinstance(images, (str, os.PathLike)) or is_single(images)
  for thing in [images] if alone else images:
    try:
      if isinstance(thing, (str, os.PathLike)):
        if not os.fspath(thing):  # pathlib would take it for the folder here
          raise UserError(f"'' is no picture; {_EXPECTED}.")
        named = is_single(thing)
        found = picture_paths.expand(os.fsdecode(thing))
        yield from (Source(path, named) for path, _ in found)
      else:
        yield Source(_in_memory(thing))
    except (DataError, UserError) as error:
      yield Source(None, error=error)


def _is_pixels(thing: Any) -> bool:
  return isinstance(thing, Image.Image) or hasattr(thing, '__array__')


def _in_memory(thing: Any) -> Stored:
  if isinstance(thing, Image.Image):
    return _of_pillow(thing)
  if hasattr(thing, '__array__'):
    return Stored(_of_array(np.asarray(thing)))
  raise UserError(f'{type(thing).__name__} is no picture; {_EXPECTED}.')


def _of_pillow(image: Image.Image) -> Stored:
  """RGB as the same file would give it; transparency is left out."""
  mode = image.mode
  if mode in ('F', 'I', 'LAB'):
    raise UserError(
      f'a PIL image of mode {mode!r} has no colours of 0..255. Make it "L" or '
      '"RGB" first, with the scale that its numbers have.'
    )
  try:
    image.load()
    if mode.startswith('I;16'):  # convert() would cut off what is above 255
      grey = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
      rgb = np.stack([grey] * 3, -1)
    else:
      # Of premultiplied colours only the plain ones become RGB.
      plain = image.convert({'La': 'LA', 'RGBa': 'RGBA'}.get(mode, mode))
      rgb = np.array(plain.convert('RGB'))  # a copy: theirs may change
  except Exception as error:  # decoders of broken bytes raise nearly anything
    raise DataError(
      f'truncated or damaged: {error}.',
      fix='Fetch or export it again.',
      file=getattr(image, 'filename', ''),
      kind='damaged file',
    ) from error
  if not rgb.size:
    size = f'{image.width}x{image.height}'
    raise UserError(f'a PIL image of {size} pixels is empty; {_EXPECTED}.')
  return Stored(rgb, _orientation(image))


def _orientation(image: Image.Image) -> int:
  try:
    value = image.getexif().get(picture_files.ORIENTATION, 1)
  except Exception:  # broken EXIF turns no picture: viewers ignore it too
    return 1
  return value if type(value) is int and 1 <= value <= 8 else 1


def _of_array(image: np.ndarray) -> np.ndarray:
  found = f'an array {image.dtype}{list(image.shape)}'
  if image.ndim == 2:
    image = image[..., None]
  if image.ndim != 3 or image.shape[-1] not in (1, 3, 4) or not image.size:
    hint = ''
    if image.ndim == 4:
      hint = ' Of a batch give list(images).'
    elif image.ndim == 3 and image.shape[0] in (1, 3, 4):
      hint = ' Put the channels last: np.moveaxis(image, 0, -1).'
    raise UserError(f'{found} is no picture; {_EXPECTED}.{hint}')
  if image.dtype != np.uint8:
    hint = 'Bring its values to 0..255 and give image.astype(np.uint8).'
    if image.dtype == bool or _is_up_to_one(image):
      hint = 'Give (image * 255).round().astype(np.uint8).'
    elif image.dtype == np.uint16:
      hint = 'Of 16 bits give (image >> 8).astype(np.uint8).'
    raise UserError(f'{found} has no colours of 8 bits; {_EXPECTED}. {hint}')
  rgb = image if image.shape[-1] == 3 else image[..., :3]
  return np.array(np.broadcast_to(rgb, (*image.shape[:2], 3)))


def _is_up_to_one(image: np.ndarray) -> bool:
  return image.dtype.kind == 'f' and float(image.max()) <= 1
