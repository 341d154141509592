"""Writes a video, whole or not at all."""

import contextlib
import os
import pathlib

import cv2
import numpy as np

from deeplax import atomic
from deeplax.errors import RunError
from deeplax.video_files import open_video, quiet

# Kind of file -> codec: such that OpenCV's own packages can encode them.
CODECS = {
  '.mp4': 'mp4v',
  '.m4v': 'mp4v',
  '.mov': 'mp4v',
  '.mkv': 'mp4v',
  '.avi': 'MJPG',
  '.webm': 'VP80',
}


class VideoWriter:
  """A video of frames of one size, beside its final place until it is whole.

  Attributes:
    path: That place.
    count: Frames written.
  """

  def __init__(self, path: pathlib.Path, fps: float, size: tuple[int, int]):
    """Begins the file.

    Args:
      path: Its suffix, one of `CODECS`, says which kind of file it is. Links
        that lie in the way are replaced, never followed.
      fps: Frames a second; kept to a thousandth.
      size: (height, width), both even, as codecs want them.

    Raises:
      RunError: It can't be written, or there is no encoder.
    """
    self.path, self.count, self._size = path, 0, size
    suffix = path.suffix.lower()
    codec = CODECS[suffix]
    self._part = path.with_name(f'.{path.stem}.part{suffix}')
    self._writer = cv2.VideoWriter()
    try:
      if path.is_dir():
        raise IsADirectoryError(21, 'there is a folder of that name')
      self._part.unlink(missing_ok=True)  # of a run that was killed, or a link
      self._part.open('xb').close()
    except OSError as error:
      raise self._fails(error.strerror) from error
    with quiet():
      self._writer.open(
        os.path.abspath(self._part),
        cv2.CAP_FFMPEG,
        cv2.VideoWriter.fourcc(*codec),
        fps,
        size[::-1],
      )
    if not self._writer.isOpened():
      self.discard()
      raise RunError(
        f'{path}: this OpenCV can not encode {size[1]}x{size[0]} pixels at '
        f'{fps:g} frames a second with the codec {codec}. Choose another '
        f'suffix for --output, of {", ".join(CODECS)}, or another --fps.'
      )

  def write(self, frame: np.ndarray) -> None:
    """Adds a frame, uint8[H, W, 3] in BGR."""
    # OpenCV would leave out, without a word, what it does not like.
    if frame.shape != (*self._size, 3) or frame.dtype != np.uint8:
      raise ValueError(
        f'the frame is {frame.dtype}{frame.shape}; expected uint8 and '
        f'{(*self._size, 3)}.'
      )
    self._writer.write(frame)
    self.count += 1

  def close(self) -> None:
    """Ends the file and gives it its name, if there is a frame in it.

    Raises:
      RunError: It could not be written whole.
    """
    try:
      with quiet():
        self._writer.release()
      if self.count:
        self._check()
        with self._part.open('rb') as file:
          os.fsync(file.fileno())
        atomic.publish(self._part, self.path)
    except OSError as error:
      raise self._fails(error.strerror) from error
    finally:
      self.discard()

  def discard(self) -> None:
    """Removes a file that has not got its name."""
    with quiet():
      self._writer.release()
    with contextlib.suppress(OSError):  # above all, that there is none
      self._part.unlink()

  def _check(self):
    """OpenCV says nothing of a disk that is full."""
    found = open_video(os.path.abspath(self._part), cv2.CAP_FFMPEG)
    frames = round(found.get(cv2.CAP_PROP_FRAME_COUNT))
    found.set(cv2.CAP_PROP_POS_FRAMES, frames - 1)
    last = found.read()[0]
    found.release()
    # Some kinds of file know how many they have by their length.
    if frames < self.count - 1 or not last:
      raise self._fails(
        f'of its {self.count} frames not all have arrived; is the disk full?'
      )

  def _fails(self, reason):
    return RunError(
      f'{self.path} can not be written ({reason}). Choose another --output, or '
      'make room.'
    )
