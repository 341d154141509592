"""Pictures and masks from files: whole and checked, or a `DataError`.

Everything is decoded from bytes in memory: `cv2.imread` returns a truncated
JPEG as a partly grey picture without a word, `cv2.imdecode` refuses it. The
header is read first (Pillow, 0.1 ms), so that a file which claims to be huge is
refused before memory is taken for it, and what is decoded must be of that size.
"""

import dataclasses
import io
import os
import stat

import cv2
import numpy as np
from PIL import Image

from deeplax.data.colours import colour_mask
from deeplax.data.errors import DataError
from deeplax.data.info import DatasetInfo

_ORIENTATION = 0x0112  # the EXIF tag
_AGAIN = 'Fetch or export the file again.'
# Of Pillow's; others may start programs (EPS), and nobody needs them here.
_FORMATS = ('PNG', 'JPEG', 'BMP', 'WEBP', 'TIFF')
_LARGEST = 2**31 - 1  # bytes of a file, as OpenCV counts them
_ONE_CHANNEL = ('1', 'L', 'P', 'I;16', 'I;16B', 'I;16L', 'I', 'F')


@dataclasses.dataclass(frozen=True)
class Header:
  """What a picture file says of itself, before any pixel is decoded.

  Attributes:
    format: Pillow's name, e.g. `'PNG'`.
    mode: Pillow's mode, e.g. `'L'`, `'P'` (palette), `'RGB'`, `'I;16'`.
    height: Rows as stored, in pixels.
    width: Columns as stored, in pixels.
    orientation: EXIF orientation 1..8; 1 is upright.
  """

  format: str
  mode: str
  height: int
  width: int
  orientation: int = 1


def read_bytes(path: str | os.PathLike) -> bytes:
  """The whole file.

  Raises:
    DataError: It is missing, can't be opened, is no file (opening a pipe would
      wait for whoever writes into it), is empty, or has 2 GiB and more.
  """
  try:
    state = os.stat(path)
    if not stat.S_ISREG(state.st_mode):
      raise DataError(
        f'{_kind_of_file(state.st_mode)}, not a file.',
        fix='Put the picture there, or remove it.',
        file=path,
        kind='unreadable file',
      )
    if state.st_size > _LARGEST:
      raise DataError(
        f'refused before reading: {state.st_size} bytes, expected at most '
        f'{_LARGEST}.',
        fix='Cut the picture into tiles.',
        file=path,
        kind='too large',
      )
    with open(path, 'rb') as file:
      data = file.read()
  except FileNotFoundError as error:
    raise DataError(
      'no such file.', fix=_AGAIN, file=path, kind='missing file'
    ) from error
  except OSError as error:
    raise DataError(
      f"can't be opened: {error.strerror}.",
      fix='Check the path and its permissions.',
      file=path,
      kind='unreadable file',
    ) from error
  if not data:
    raise DataError(
      'the file is empty.', fix=_AGAIN, file=path, kind='damaged file'
    )
  return data


def _kind_of_file(mode: int) -> str:
  for is_one, words in (
    (stat.S_ISDIR, 'a folder'),
    (stat.S_ISFIFO, 'a named pipe'),
    (stat.S_ISSOCK, 'a socket'),
  ):
    if is_one(mode):
      return words
  return 'a device'


def header(data: bytes, path: str | os.PathLike = '') -> Header:
  """Format, mode and size of an encoded picture, without decoding it.

  Raises:
    DataError: Not a picture, or more pixels than Pillow's own limit against
      decompression bombs (179 million unless `Image.MAX_IMAGE_PIXELS` is set).
  """
  try:
    with _open(data) as image:
      return Header(
        image.format,
        image.mode,
        image.height,
        image.width,
        _turned(image, data),
      )
  except Image.DecompressionBombError as error:
    raise DataError(
      f'refused before decoding: {error}',
      fix='Cut the picture into tiles.',
      file=path,
      kind='too large',
    ) from error
  except Exception as error:  # parsers of broken bytes raise nearly anything
    raise DataError(
      f'not a picture that can be read (it starts with {data[:8]!r}).',
      fix='Expected PNG, JPEG, BMP, WebP or TIFF; replace or remove it.',
      file=path,
      kind='not a picture',
    ) from error


def _open(data: bytes) -> Image.Image:
  return Image.open(io.BytesIO(data), formats=_FORMATS)


def _turned(image: Image.Image, data: bytes) -> int:
  # A PNG's may stand behind the pixels: Pillow would decode any to look for it.
  if image.format == 'BMP' or (image.format == 'PNG' and b'eXIf' not in data):
    return 1
  try:
    value = image.getexif().get(_ORIENTATION, 1)
  except Exception:  # broken EXIF turns no picture: viewers ignore it too
    return 1
  return value if type(value) is int and 1 <= value <= 8 else 1


def decode_image(
  data: bytes, path: str | os.PathLike = '', *, upright: bool = False
) -> np.ndarray:
  """uint8[H, W, 3], RGB, of any picture: grey, palette, RGBA, 16 bits.

  Args:
    data: The encoded picture.
    path: For messages.
    upright: Turn the picture as its EXIF orientation says. Off for training
      pairs: masks carry no EXIF, so both must be read as they are stored.

  Raises:
    DataError: Not a picture, truncated or damaged, or too large.
  """
  head = header(data, path)
  flags = cv2.IMREAD_COLOR_RGB
  if not upright:
    flags |= cv2.IMREAD_IGNORE_ORIENTATION
  return _decode(data, flags, path, head)


def decode_mask(
  data: bytes, path: str | os.PathLike = '', info: DatasetInfo | None = None
) -> np.ndarray:
  """uint8[H, W] or uint16[H, W]: the ids as they are stored.

  Palette pictures give their indices (OpenCV would expand them to colours),
  grey pictures of 1, 2 or 4 bits the stored numbers (0..15, not stretched).

  Args:
    data: The encoded mask.
    path: For messages.
    info: Class table, so that the error for a colour mask can say more.

  Raises:
    DataError: As `decode_image`; or a colour mask, or a lossy format.
  """
  head = header(data, path)
  if head.format in ('JPEG', 'MPO'):
    raise DataError(
      'the mask is a JPEG, whose compression alters ids near every edge.',
      fix='Export the masks again as PNG.',
      file=path,
      kind='lossy mask',
    )
  if head.mode not in _ONE_CHANNEL:
    raise colour_mask(decode_image(data, path), head.mode, path, info)
  if head.mode in ('1', 'P'):
    try:
      with _open(data) as image:
        return np.asarray(image).astype(np.uint8)
    except Exception as error:
      raise _damaged(data, path) from error
  flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
  mask = _decode(data, flags, path, head)
  if mask.dtype not in (np.uint8, np.uint16) or mask.ndim != 2:
    raise DataError(
      f'the mask is {mask.dtype}{list(mask.shape)}, expected one channel of 8 '
      'or 16 bits.',
      fix='Save the class ids as an 8-bit single-channel PNG.',
      file=path,
      kind='mask type',
    )
  if head.format == 'PNG' and data[24] < 8:  # IHDR: bit depth
    mask //= 255 // (2 ** data[24] - 1)
  return mask


def read_image(path: str | os.PathLike, *, upright: bool = False) -> np.ndarray:
  """`decode_image` of a file."""
  return decode_image(read_bytes(path), path, upright=upright)


def read_mask(
  path: str | os.PathLike, info: DatasetInfo | None = None
) -> np.ndarray:
  """`decode_mask` of a file."""
  return decode_mask(read_bytes(path), path, info)


def read_instance(path: str | os.PathLike) -> np.ndarray:
  """int32[H, W]: Cityscapes instance ids, label_id * 1000 + k or label_id."""
  return read_mask(path).astype(np.int32)


def read_disparity(path: str | os.PathLike) -> np.ndarray:
  """float32[H, W], in pixels: (p - 1) / 256, and NaN where p = 0 (unmeasured).

  Zero is a valid disparity (infinitely far away), so what was not measured
  can't be zero too; use `np.isfinite` before any arithmetic.
  """
  raw = read_mask(path).astype(np.float32)
  return np.where(raw > 0, (raw - 1) / 256, np.float32('nan'))


# What a source reads on request, by the name of the extra.
EXTRAS = {'instance': read_instance, 'disparity': read_disparity}


def _decode(
  data: bytes, flags: int, path: str | os.PathLike, head: Header
) -> np.ndarray:
  if data[:2] == b'\xff\xd8' and not _jpeg_ends(data):
    raise _damaged(data, path)
  try:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
  except cv2.error as error:
    raise _damaged(data, path) from error
  if picture is None:
    raise _damaged(data, path)
  size = (head.height, head.width)
  turned = not flags & cv2.IMREAD_IGNORE_ORIENTATION
  if picture.shape[:2] not in (size, size[::-1] if turned else size):
    raise DataError(
      f'the header says {head.width}x{head.height} pixels, and '
      f'{picture.shape[1]}x{picture.shape[0]} come out.',
      fix=_AGAIN,
      file=path,
      kind='damaged file',
    )
  return picture


def _jpeg_ends(data: bytes) -> bool:
  """Whether there is an end-of-image marker after the compressed pixels.

  A download that broke off often leaves zeros up to the full length, which
  decode to grey without an error. The search starts behind the segments of the
  header, as these may hold a thumbnail with an end of its own.
  """
  at = 2
  while data[at : at + 1] == b'\xff' and data[at + 1 : at + 2] != b'\xda':
    if data[at + 1 : at + 2] == b'\xff':  # fill bytes are allowed
      at += 1
    else:
      at += 2 + int.from_bytes(data[at + 2 : at + 4], 'big')
  return data.rfind(b'\xff\xd9', at) >= 0


def _damaged(data: bytes, path: str | os.PathLike) -> DataError:
  """Why OpenCV gave nothing: Pillow says it in words."""
  try:
    with _open(data) as image:
      image.load()
      reason = f'OpenCV decodes no {image.format} of mode {image.mode}'
      kind, fix = 'unreadable file', 'Save it again as an 8-bit PNG.'
      if image.format in ('PNG', 'JPEG'):  # it does: their ends are missing
        reason, kind, fix = 'the file is damaged', 'damaged file', _AGAIN
  except Exception as error:  # see `header`
    reason, kind, fix = f'truncated or damaged: {error}', 'damaged file', _AGAIN
  return DataError(
    f'{reason} ({len(data)} bytes).', fix=fix, file=path, kind=kind
  )
