"""Predicts videos, cameras and folders of frames: the result is a video."""

import contextlib
import dataclasses
import itertools
import logging
import pathlib
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import tqdm

from deeplax import interrupt
from deeplax.batching import batch_size_of, predict_all
from deeplax.data import DataError
from deeplax.data.geometry import MEAN_PIXEL
from deeplax.data.info import DatasetInfo
from deeplax.overlap import Threads
from deeplax.predictor import Predictor, Prepared
from deeplax.video_files import Clip
from deeplax.video_view import View
from deeplax.video_writer import VideoWriter

log = logging.getLogger('deeplax')


@dataclasses.dataclass
class Filmed:
  """What came of a clip.

  Start-up is what is done once: loading, compiling, a first batch to try. It is
  in neither of the two rates.

  Attributes:
    target: The video.
    frames: Predicted, and in it.
    fps: Of it.
    seconds: From then until the video is closed: decoding, network, drawing and
      encoding, which overlap.
    network_seconds: In which the device was at work on batches, from when one
      was handed over, or the one before was done, until its labels lay on the
      device. A batch that is not full counts as if it were.
    network_frames: In these batches.
    problems: What could not be used, in words.
    signal: Number of that which ended a clip before its own end; None where
      none did, and for cameras, which have no other end.
  """

  target: pathlib.Path
  frames: int = 0
  fps: float = 0.0
  seconds: float = 0.0
  network_seconds: float = 0.0
  network_frames: int = 0
  problems: list[str] = dataclasses.field(default_factory=list)
  signal: int | None = None

  def __str__(self) -> str:
    if not self.frames:
      return f'{self.target}: no frame, no video'
    network = self.network_frames / max(self.network_seconds, 1e-9)
    return (
      f'{self.target}: {self.frames} frames, {self.fps:g} a second, no sound. '
      f'End to end {self.frames / self.seconds:.2f} frames a second, the '
      f'network alone {network:.2f}; start-up is in neither'
    )


@dataclasses.dataclass
class _Frame:
  """A frame that was read, or the reason why it could not be."""

  image: np.ndarray | None = None
  prepared: Prepared | None = None
  seconds: float = 0.0  # when it was read
  error: DataError | None = None


def film(
  predictor: Predictor,
  clip: Clip,
  target: pathlib.Path,
  info: DatasetInfo,
  *,
  view: str = 'overlay',
  fps: float | None = None,
  max_frames: int | None = None,
  batch_size: int | None = None,
) -> Filmed:
  """Predicts a clip and draws every frame into a video.

  Threads decode ahead, draw behind and encode, while the device works. Ctrl-C
  ends the video behind the last frame that is done: it is whole and plays. So
  ends that of a camera, which shows each frame until the network has the next.

  Args:
    predictor: Of a run.
    clip: Is read to its end, and closed.
    target: The video; its suffix, of `video_writer.CODECS`, says which kind.
    info: The classes.
    view: Of `video_view.VIEWS`.
    fps: Of the video; default: that of the clip.
    max_frames: Of the clip; default: all.
    batch_size: Default: 1 for a camera, which would wait for the others, else
      see `batching.predict_all`.

  Raises:
    RunError: The video can't be written; there is none then.
  """
  result = Filmed(target, fps=fps or clip.fps)
  if clip.live:
    batch_size = batch_size or 1
  draw = View(info, clip.size, view)
  clock = _Clock(predictor)
  with contextlib.ExitStack() as stack:
    stack.callback(clip.close)
    writer = VideoWriter(target, result.fps, draw.size)
    stack.callback(writer.discard)
    try:
      clock.warm_up(clip.size, batch_size)
      _predict(clock, clip, draw, writer, result, max_frames, batch_size)
    except KeyboardInterrupt as error:
      interrupt.take_up()
      number = next(iter(error.args), signal.SIGINT)
      result.signal = None if clip.live else number
    writer.close()
  result.seconds = time.perf_counter() - clock.begun
  result.network_seconds, result.network_frames = clock.seconds, clock.frames
  return result


def _predict(clock, clip, draw, writer, result, max_frames, batch_size):
  show = _show(writer, result, clip.live)
  with (
    Threads(clip.threads) as reading,
    Threads() as drawing,
    Threads(1) as writing,
    clock,
  ):
    frames = _frames(reading, clock, clip, result, max_frames)
    pairs = predict_all(clock, frames, batch_size)
    for frame, canvas in drawing.ahead(
      lambda pair: (pair[0], draw(pair[0].image, pair[1])), pairs
    ):
      writing.behind(show, frame, canvas)


def _frames(
  threads: Threads,
  predictor: Predictor,
  clip: Clip,
  result: Filmed,
  max_frames: int | None,
) -> Iterator[_Frame]:
  """Those that can be used; says what can't."""

  def read(index):
    try:
      image = clip.read(index)
      if image is None:
        return None
      if image.shape[:2] != clip.size:
        raise DataError(
          f'frame {index} has {image.shape[:2]} pixels (height, width), '
          f'expected {clip.size} as before.',
          file=clip.name,
          kind='sizes',
        )
    except DataError as error:
      return _Frame(error=error)
    return _Frame(image, predictor.prepare(image), time.perf_counter())

  def problem(words):
    log.error('%s', words)
    result.problems.append(words)

  count = min((n for n in (clip.count, max_frames) if n), default=None)
  bar = tqdm.tqdm(
    threads.ahead(read, range(max_frames) if max_frames else itertools.count()),
    total=count,
    unit='frame',
    dynamic_ncols=True,
    disable=not sys.stderr.isatty(),
  )
  with bar:
    for frame in bar:
      if frame is None:
        if words := clip.missing():
          problem(words)
        return
      if frame.error is None:
        yield frame
      else:
        problem(f'left out: {frame.error}')


def _show(writer: VideoWriter, result: Filmed, live: bool) -> Callable:
  """What adds a frame to the video, in its order.

  That of a camera keeps the time: a frame that took long to come is preceded by
  the one before it, as often as need be, and one that comes early is left out.
  """
  began, last = None, None

  def show(frame, canvas):
    nonlocal began, last
    result.frames += 1
    if live:
      began = frame.seconds if began is None else began
      due = round((frame.seconds - began) * result.fps)
      while last is not None and writer.count < due:
        writer.write(last)
      last = canvas
      if writer.count > due:
        return
    writer.write(canvas)

  return show


class _Clock:
  """A predictor that knows how long the device was at work.

  Attributes:
    begun: When start-up was over.
    seconds: That the device was at work since.
    frames: In the batches that it did in them.
  """

  def __init__(self, predictor: Predictor):
    self._predictor = predictor
    self.num_classes = predictor.num_classes
    self.largest_scale = predictor.largest_scale
    self.prepare, self.finish = predictor.prepare, predictor.finish
    self.begun, self.seconds, self.frames = time.perf_counter(), 0.0, 0
    self._end = 0.0
    # One: it waits for the batches in their order.
    self._waiting = ThreadPoolExecutor(1, 'deeplax-clock')

  def warm_up(self, size: tuple[int, int], batch_size: int | None) -> None:
    """Compiles for pictures of `size`, and does a first batch."""
    image = np.full((*size, 3), MEAN_PIXEL, np.uint8)
    ready = self.prepare(image)
    count = batch_size_of(self, ready, batch_size)
    images = np.repeat(ready.image[None], count, axis=0)
    out = self._predictor.start(images, ready.size)
    self.finish(image, np.asarray(out)[0])
    self.begun = time.perf_counter()

  def start(self, images: np.ndarray, size: tuple[int, int]) -> jax.Array:
    """See `Predictor.start`."""
    begun = time.perf_counter()
    out = self._predictor.start(images, size)
    self._waiting.submit(self._wait, begun, len(images), out)
    return out

  def _wait(self, begun, count, out):
    jax.block_until_ready(out)
    end = time.perf_counter()
    self.seconds += end - max(begun, self._end)
    self.frames += count
    self._end = end

  def __enter__(self) -> '_Clock':
    return self

  def __exit__(self, *_: object) -> None:
    self._waiting.shutdown()
