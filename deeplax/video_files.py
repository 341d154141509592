"""Moving pictures: the frames of a video, of a camera, or of a folder.

OpenCV decodes with its FFmpeg, pictures alone: no sound.
"""

import contextlib
import math
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Protocol

# Damage is ours to tell; FFmpeg would print each broken block.
os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')
# A file can be a list of others to fetch: of this machine alone.
os.environ.setdefault(
  'OPENCV_FFMPEG_CAPTURE_OPTIONS', 'protocol_whitelist;file'
)

import cv2
import numpy as np
from PIL import Image

from deeplax import picture_files
from deeplax.data import DataError, files

# Frames a second where nobody says: those of the course project's video.
FPS = 20.0
MOST_FPS = 1000
# Such files count their frames; that of others is estimated from the length.
_COUNTED = ('.mp4', '.m4v', '.mov', '.avi', '.3gp')
_HEADER = 2**16  # bytes, which nearly always hold all that is asked for


class Clip(Protocol):
  """Frames in their order, all of one size.

  Attributes:
    name: For messages.
    fps: Frames a second.
    size: (height, width) of a frame.
    count: Of frames, as far as known; else None.
    live: Whether it goes on until somebody stops it.
    threads: How many may read at once; None: any number.
  """

  name: str
  fps: float
  size: tuple[int, int]
  count: int | None
  live: bool
  threads: int | None

  def read(self, index: int) -> np.ndarray | None:
    """The frame `index`, uint8[H, W, 3], RGB; None behind the last one.

    Indices are asked for in order; what is no file of its own gives the next.

    Raises:
      DataError: This one can't be used; others may be.
    """

  def missing(self) -> str:
    """After the end: what could not be read, in words; '' if nothing."""

  def close(self) -> None:
    """Lets go of the file or device."""


class Video:
  """A video file, turned upright as it says; see `Clip`."""

  live, threads = False, 1

  def __init__(self, path: pathlib.Path):
    """Opens the file and decodes its first frame.

    Raises:
      DataError: No video that can be decoded, or its frames are too large.
    """
    self.name = str(path)
    # Absolute, or FFmpeg takes `concat:x` for a command.
    self._capture = open_video(os.path.abspath(path), cv2.CAP_FFMPEG)
    self._first = _first_frame(self._capture, path)
    if self._first is None:
      raise DataError(
        'no video that can be decoded.',
        fix='It is damaged or cut off, no video at all, or OpenCV lacks its '
        'codec. Fetch it again, or convert it (H.264 in .mp4 is understood).',
        file=path,
        kind='not a video',
      )
    self.size, self.fps = self._first.shape[:2], _rate(self._capture)
    count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
    self.count = int(count) if math.isfinite(count) and count > 0 else None
    self._counted = path.suffix.lower() in _COUNTED
    self._read, self._end = 0, 0.0

  def read(self, index: int) -> np.ndarray | None:
    frame, self._first = self._first, None
    if frame is None:
      done, frame = self._capture.read()
      if not done:
        return None
    self._read += 1
    self._end = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 + 1 / self.fps
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)

  def missing(self) -> str:
    # Where the rate varies the estimated count is too large: time decides.
    if self.count is None or self._read >= self.count:
      return ''
    ends = self._end > (self.count - 1.5) / self.fps
    if ends and not self._counted:
      return ''
    return (
      f'{self.name}: {self._read} of {self.count} frames could be read, which '
      'are done. The rest is damaged or was cut off; fetch the file again.'
    )

  def close(self) -> None:
    self._capture.release()


class Camera:
  """What a camera sees until somebody stops it; see `Clip`."""

  live, threads, count = True, 1, None

  def __init__(self, number: int):
    """Opens it and takes a picture.

    Raises:
      DataError: There is none, or it gives no picture.
    """
    self.name = f'camera {number}'
    self._capture = open_video(number, cv2.CAP_ANY)
    first = _first_frame(self._capture, self.name)
    if first is None:
      raise DataError(
        'there is none, or it gives no picture.',
        fix='Is it plugged in, may you read /dev/video*, does another program '
        'use it? --input=0 is the first one.',
        file=self.name,
        kind='no camera',
      )
    self.size, self.fps = first.shape[:2], _rate(self._capture)

  def read(self, index: int) -> np.ndarray | None:
    done, frame = self._capture.read()
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) if done else None

  def missing(self) -> str:
    return f'{self.name}: gives no pictures any more. Was it unplugged?'

  def close(self) -> None:
    self._capture.release()


class Frames:
  """Picture files as frames; see `Clip`."""

  live, threads = False, None

  def __init__(self, name: str, paths: Sequence[pathlib.Path]):
    """Looks at the headers of all of them.

    Args:
      name: For messages.
      paths: In order.

    Raises:
      DataError: None is a picture, or they are not of one size.
    """
    self.name, self._paths = name, paths
    self.fps, self.count = FPS, len(paths)
    sizes: dict[tuple[int, int], list[pathlib.Path]] = {}
    problem = None
    for path in paths:
      try:
        sizes.setdefault(_header_size(path), []).append(path)
      except DataError as error:  # `read` says it again
        problem = error
    if not sizes:
      raise problem
    if len(sizes) > 1:
      found = ', '.join(
        f'{w}x{h} ({len(some)}, e.g. {some[0]})'
        for (h, w), some in list(sizes.items())[:3]
      )
      raise DataError(
        f'pictures of {len(sizes)} sizes: {found}.',
        fix='The frames of a video have one size. Give those of each size a '
        'call of their own, or a folder as --output: pictures may differ.',
        file=name,
        kind='sizes',
      )
    (self.size,) = sizes

  def read(self, index: int) -> np.ndarray | None:
    if index >= self.count:
      return None
    image, orientation = picture_files.read(self._paths[index])
    return picture_files.turn(image, orientation)

  def missing(self) -> str:
    return ''  # each was told of by itself

  def close(self) -> None:
    pass  # nothing is open


def open_video(source: str | int, backend: int) -> cv2.VideoCapture:
  """Opened or not, but without a word on stderr."""
  with quiet():
    try:
      return cv2.VideoCapture(source, backend)
    except cv2.error:
      return cv2.VideoCapture()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
  """OpenCV and FFmpeg print what they dislike past Python: to nobody."""
  try:
    before = os.dup(2)
  except OSError:  # closed by whoever started us
    yield
    return
  nobody = os.open(os.devnull, os.O_WRONLY)
  try:
    os.dup2(nobody, 2)
    yield
  finally:
    os.dup2(before, 2)
    os.close(before)
    os.close(nobody)


def _first_frame(capture, name):
  """BGR, or None."""
  pixels = 1.0
  for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT):
    pixels *= capture.get(side)
  if pixels > 2 * Image.MAX_IMAGE_PIXELS:  # as for pictures
    capture.release()
    raise DataError(
      f'refused before decoding: frames of {pixels:.0f} pixels, expected at '
      f'most {2 * Image.MAX_IMAGE_PIXELS}.',
      file=name,
      kind='too large',
    )
  frame = capture.read()[1] if capture.isOpened() else None
  if frame is None:
    capture.release()
  return frame


def _rate(capture):
  """What the file says, if that can be."""
  fps = capture.get(cv2.CAP_PROP_FPS)
  return fps if 0 < fps <= MOST_FPS else FPS


def _header_size(path):
  """(height, width) of a picture turned upright."""
  if not path.is_file():  # opening a pipe would wait
    files.read_bytes(path)
  with contextlib.suppress(OSError, DataError), path.open('rb') as file:
    return _upright(files.header(file.read(_HEADER), path))
  return _upright(files.header(files.read_bytes(path), path))


def _upright(head):
  size = head.height, head.width
  return size[::-1] if head.orientation >= 5 else size
