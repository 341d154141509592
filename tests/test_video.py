"""A clip becomes a video: every frame, in order, with its prediction."""

import os
import signal
import time

import numpy as np
import pytest
from PIL import Image

from deeplax import interrupt, video
from deeplax.data import DataError
from deeplax.data.info import DatasetInfo, Label
from deeplax.errors import RunError
from deeplax.video import film
from deeplax.video_files import Frames, Video
from deeplax.video_view import View
from tests import videos


class Clip:
  """Frames 0, 1, ... of class 0, 1, ...; `at[i]` is called before frame i."""

  name, fps, size, threads = 'clip', 10.0, (48, 480), 1
  count = None

  def __init__(self, length, live=False, at=None):
    self._length, self.live, self._at = length, live, at or {}
    self.closed = False
    self.read_frames = 0

  def read(self, index):
    if index >= self._length:
      return None
    self._at.get(index, lambda: None)()
    self.read_frames += 1
    return videos.frame(index % 19, self.size)

  def missing(self):
    return ''

  def close(self):
    self.closed = True


def shown(path):
  """The class that each frame of a side-by-side video shows, as predicted."""
  return [
    np.bincount(videos.classes(f[10:40, 500:900]).ravel()).argmax()
    for f in videos.read(path)[0]
  ]


def run(clip, path, **options):
  options = {'view': 'side_by_side', **options}
  return film(videos.predictor(), clip, path, videos.INFO, **options)


@pytest.mark.parametrize('batch_size', [None, 5])
def test_every_frame_in_order(tmp_path, batch_size):
  clip = Clip(17)
  result = run(clip, tmp_path / 'a.avi', batch_size=batch_size)
  assert shown(tmp_path / 'a.avi') == list(range(17))
  assert videos.read(tmp_path / 'a.avi')[1] == 10
  assert (result.frames, result.problems, result.signal) == (17, [], None)
  assert clip.closed
  # A batch to warm up is in no figure; one that is not full counts whole.
  assert result.network_frames == (20 if batch_size else 17)
  assert 0 < result.network_seconds <= result.seconds
  assert '17 frames, 10 a second, no sound' in str(result)
  assert f'end {17 / result.seconds:.2f} frames a second' in str(result)
  alone = result.network_frames / result.network_seconds
  assert f'alone {alone:.2f}' in str(result)


def test_a_video_file(tmp_path):
  source = videos.write(tmp_path / 'in.avi', 9, 12.5, (48, 480))
  result = run(Video(source), tmp_path / 'out.mp4')
  assert result.frames == 9
  frames, fps = videos.read(tmp_path / 'out.mp4')
  assert (len(frames), fps) == (9, 12.5)
  # On the left the frame itself; codecs alter colours a little.
  left = frames[4][5:43, 5:235].astype(int)
  assert np.abs(left - videos.frame(4, (48, 480))[5:43, 5:235]).max() < 25


def test_rate_and_number_of_frames_can_be_given(tmp_path):
  clip = Clip(30)
  run(clip, tmp_path / 'a.avi', fps=25, max_frames=4)
  assert shown(tmp_path / 'a.avi') == [0, 1, 2, 3]
  assert videos.read(tmp_path / 'a.avi')[1] == 25
  assert clip.read_frames == 4


def test_frames_that_can_not_be_used_are_left_out(tmp_path, caplog):
  paths = [tmp_path / f'{i}.png' for i in range(6)]
  for i, path in enumerate(paths):
    Image.fromarray(videos.frame(i, (48, 480))).save(path)
  paths[2].write_bytes(paths[2].read_bytes()[:-50])
  paths[4].write_text('torn')
  result = run(Frames('here', paths), tmp_path / 'a.avi')
  assert shown(tmp_path / 'a.avi') == [0, 1, 3, 5]
  assert [('2.png' in p, '4.png' in p) for p in result.problems] == [
    (True, False),
    (False, True),
  ]
  assert len(caplog.records) == 2


def test_a_video_that_ends_too_early(tmp_path, caplog):
  source = videos.write(tmp_path / 'in.avi', 19)
  source.write_bytes(source.read_bytes()[: source.stat().st_size * 3 // 4])
  result = run(Video(source), tmp_path / 'out.avi')
  assert 3 < result.frames < 15
  assert len(videos.read(tmp_path / 'out.avi')[0]) == result.frames
  assert len(caplog.records) == 1
  assert f'{result.frames} of 19 frames' in result.problems[0]
  # Nobody asked for the rest.
  assert run(Video(source), tmp_path / 'b.avi', max_frames=2).problems == []


def test_a_frame_of_another_size(tmp_path):
  class Changing(Clip):
    def read(self, index):
      frame = super().read(index)
      return frame[:40] if index == 3 else frame

  result = run(Changing(5), tmp_path / 'a.avi')
  assert shown(tmp_path / 'a.avi') == [0, 1, 2, 4]
  assert 'frame 3 has (40, 480)' in result.problems[0]


def interrupted():
  os.kill(os.getpid(), signal.SIGINT)
  time.sleep(0.2)  # the main thread has it


@pytest.mark.parametrize('live', [False, True])
def test_an_interrupt_leaves_a_video_that_plays(tmp_path, live):
  clip = Clip(10**6, live=live, at={40: interrupted})
  with interrupt.insistent(every=0.05):
    result = run(clip, tmp_path / 'a.avi', batch_size=1)
    time.sleep(0.3)  # and it is not said again
  # A camera has no other end.
  assert result.signal == (None if live else signal.SIGINT)
  assert clip.closed and clip.read_frames < 60
  assert 0 < result.frames <= 41
  assert os.listdir(tmp_path) == ['a.avi']
  if not live:
    expected = [i % 19 for i in range(result.frames)]
    assert shown(tmp_path / 'a.avi') == expected


def test_an_interrupt_before_the_first_frame(tmp_path):
  clip = Clip(9, at={0: interrupted})
  with interrupt.insistent():
    result = run(clip, tmp_path / 'a.avi')
  assert (result.frames, result.signal) == (0, signal.SIGINT)
  assert 'no frame, no video' in str(result)
  assert not list(tmp_path.iterdir())


def test_a_camera_keeps_the_time():
  """Frames at 0, 0.5, 0.52, 0.55 and 1.25 s, of a video with ten a second."""

  class Writer:
    written = ''

    def write(self, canvas):
      self.written += canvas

    @property
    def count(self):
      return len(self.written)

  for live, expected in ((True, 'aaaaabdddddde'), (False, 'abcde')):
    writer, result = Writer(), video.Filmed('x', fps=10)
    show = video._show(writer, result, live)
    for canvas, seconds in zip('abcde', (7.0, 7.5, 7.52, 7.55, 8.25)):
      show(video._Frame(seconds=seconds), canvas)
    assert writer.written == expected
    assert result.frames == 5  # were predicted


def test_the_network_is_not_charged_for_waiting(monkeypatch):
  clock = video._Clock(videos.predictor())
  ends = iter([13.0, 15.0, 21.0])
  monkeypatch.setattr(video.time, 'perf_counter', lambda: next(ends))
  # Handed over at 10; at 11, while the first was at work; at 20, after a pause.
  for begun in (10.0, 11.0, 20.0):
    clock._wait(begun, 4, np.zeros(1))
  assert (clock.seconds, clock.frames) == (3 + 2 + 1, 12)


def test_a_failure_leaves_no_video(tmp_path, monkeypatch):
  def broken(*_):
    raise MemoryError('no room')

  clip = Clip(9)
  monkeypatch.setattr(View, '__call__', broken)
  with pytest.raises(MemoryError):
    run(clip, tmp_path / 'a.avi')
  assert not list(tmp_path.iterdir()) and clip.closed


def test_what_can_not_be_written_is_said_at_once(tmp_path):
  clip = Clip(9)
  with pytest.raises(RunError, match='can not be written'):
    run(clip, tmp_path / 'no' / 'a.avi')
  assert clip.read_frames == 0 and clip.closed


@pytest.mark.parametrize('kind', ['overlay', 'side_by_side'])
@pytest.mark.parametrize('size', [(37, 481), (48, 1000), (9, 7)])
def test_views(kind, size):
  view = View(videos.INFO, size, kind)
  rng = np.random.default_rng(0)
  image = rng.integers(0, 256, (*size, 3), np.uint8)
  pred = rng.integers(0, 19, size, np.uint8)
  drawn = view(image, pred)[..., ::-1].astype(int)
  assert drawn.shape == (*view.size, 3)
  assert not any(side % 2 for side in view.size)
  colours = videos.INFO.palette[pred].astype(int)
  parts = [image, colours]
  if kind == 'overlay':
    parts = [0.35 * image + 0.65 * colours]
  zoom = max(-(-480 // (size[1] * len(parts))), 1)
  height, width = size[0] * zoom, size[1] * zoom
  for i, part in enumerate(parts):
    part = np.repeat(np.repeat(part, zoom, 0), zoom, 1)
    found = drawn[:height, i * width : (i + 1) * width]
    assert np.abs(found - part).max() <= 0.51
  # Below it every class has its colour.
  legend = drawn[height:].reshape(-1, 3)
  for colour in videos.INFO.palette[:19]:
    assert (legend == colour).all(-1).sum() > 100
  assert view.size[1] - width * len(parts) in (0, 1)


def test_the_legend_grows_with_the_video():
  heights = [
    View(videos.INFO, (10, width), 'overlay').size[0] - 10
    for width in (1280, 2560)
  ]
  assert heights[1] == pytest.approx(2 * heights[0], abs=2)


def test_a_class_name_longer_than_the_video():
  info = DatasetInfo('x', (Label('y' * 300, 0, 0, 'z', (9, 9, 9)),))
  assert View(info, (48, 480), 'overlay').size[1] == 480


def test_clips_that_break_say_why(tmp_path):
  def broken():
    raise DataError('torn', file='frame 2')

  result = run(Clip(4, at={2: broken}), tmp_path / 'a.avi')
  assert result.problems == ['left out: frame 2: torn']
