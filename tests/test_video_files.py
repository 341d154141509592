"""Videos are read and written whole, or it is said what is missing."""

import os
import pathlib
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from deeplax import video_files, video_writer
from deeplax.data import DataError
from deeplax.errors import RunError
from deeplax.video_files import Camera, Frames, Video
from deeplax.video_writer import CODECS, VideoWriter
from tests import videos

ROOT = pathlib.Path(__file__).resolve().parents[1]


def frames_of(clip):
  found, index = [], 0
  while (frame := clip.read(index)) is not None:
    found.append(frame)
    index += 1
  return found


def written(path, count=30, fps=12.5, size=(48, 64)):
  writer = VideoWriter(path, fps, size)
  for i in range(count):
    writer.write(videos.frame(i % 19, size)[..., ::-1])
  writer.close()
  return path


@pytest.mark.parametrize('suffix', CODECS)
def test_frames_come_back_in_order_with_rate_and_colour(tmp_path, suffix):
  path = written(tmp_path / f'a{suffix}', fps=30000 / 1001)
  assert os.listdir(tmp_path) == [path.name]
  clip = Video(path)
  assert (clip.size, clip.count) == ((48, 64), 30)
  assert clip.fps == pytest.approx(30000 / 1001, abs=1e-3)
  found = frames_of(clip)
  assert len(found) == 30 and clip.missing() == ''
  for i, frame in enumerate(found):
    middle = frame[20:28, 10:20].reshape(-1, 3).mean(0)
    np.testing.assert_allclose(middle, [13 * (i % 19) + 6, 0, 0], atol=12)


@pytest.mark.parametrize('suffix', ['.avi', '.mkv', '.webm'])
def test_a_video_that_was_cut_off(tmp_path, suffix):
  path = written(tmp_path / f'a{suffix}', count=60)
  path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
  clip = Video(path)
  found = frames_of(clip)
  assert 10 < len(found) < 50
  assert f'{len(found)} of 60 frames' in clip.missing()
  assert str(path) in clip.missing()


def test_damage_in_the_middle_is_told(tmp_path):
  path = written(tmp_path / 'a.mp4', count=60)
  data = bytearray(path.read_bytes())
  half = len(data) // 2
  data[half : half + 300] = bytes(x ^ 0x5A for x in data[half : half + 300])
  path.write_bytes(data)
  clip = Video(path)
  assert len(frames_of(clip)) < 60 and 'of 60 frames' in clip.missing()


@pytest.mark.parametrize('content', ['', 'no video at all', 'cut'])
def test_no_video(tmp_path, content, capfd):
  path = tmp_path / 'a.mp4'
  if content == 'cut':  # its table of frames stands at the end
    written(path)
    path.write_bytes(path.read_bytes()[:-500])
  else:
    path.write_text(content)
  with pytest.raises(DataError, match=r'a\.mp4: no video that can be decoded'):
    Video(path)
  assert capfd.readouterr().err == ''


def test_a_name_is_no_command(tmp_path, monkeypatch):
  written(tmp_path / 'a.avi')
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'a.avi').rename('concat:b.avi')
  assert len(frames_of(Video(pathlib.Path('concat:b.avi')))) == 30


def test_a_list_of_files_elsewhere_is_not_fetched(tmp_path):
  path = tmp_path / 'a.mp4'
  path.write_text(
    '#EXTM3U\n#EXTINF:1,\nhttp://localhost:9/a.ts\n#EXT-X-ENDLIST\n'
  )
  with pytest.raises(DataError, match='no video'):
    Video(path)


def test_no_camera():
  with pytest.raises(DataError, match='camera 97: there is none'):
    Camera(97)


def test_pictures_as_frames(tmp_path):
  paths = [tmp_path / f'{i}.png' for i in range(4)]
  for i, path in enumerate(paths):
    Image.fromarray(videos.frame(i)).save(path)
  lying = Image.Exif()
  lying[0x0112] = 6
  Image.fromarray(np.rot90(videos.frame(3))).save(paths[3], exif=lying)
  paths[2].write_bytes(paths[2].read_bytes()[:120])
  clip = Frames('here', paths)
  assert (clip.size, clip.count) == ((48, 64), 4)
  for i in (0, 1, 3):
    np.testing.assert_array_equal(clip.read(i), videos.frame(i))
  with pytest.raises(DataError, match=r'2\.png'):
    clip.read(2)
  assert clip.read(4) is None


def test_pictures_of_several_sizes_are_refused(tmp_path):
  paths = [tmp_path / f'{i}.png' for i in range(3)]
  for i, path in enumerate(paths):
    Image.fromarray(videos.frame(0, (48, 64 + i // 2))).save(path)
  with pytest.raises(DataError, match=r'64x48 \(2, .*65x48 \(1, .*2\.png'):
    Frames('here', paths)
  paths[0].write_text('no')
  with pytest.raises(DataError, match=r'0\.png: not a picture'):
    Frames('here', paths[:1])


def test_a_codec_that_is_missing(tmp_path, monkeypatch, capfd):
  monkeypatch.setitem(CODECS, '.avi', 'ZZZZ')
  with pytest.raises(RunError, match=r'codec ZZZZ.*another suffix'):
    VideoWriter(tmp_path / 'a.avi', 20, (48, 64))
  assert not list(tmp_path.iterdir())
  assert capfd.readouterr().err == ''


@pytest.mark.parametrize('what', ['folder', 'nowhere'])
def test_a_video_that_can_not_be_written(tmp_path, what):
  path = tmp_path / 'a.mp4' if what == 'folder' else tmp_path / 'no' / 'a.mp4'
  if what == 'folder':
    path.mkdir()
  with pytest.raises(RunError, match='can not be written'):
    VideoWriter(path, 20, (48, 64))


def test_a_full_disk_is_seen(tmp_path):
  code = f"""
import pathlib, resource
import cv2
import numpy as np
from deeplax.video_writer import RunError, VideoWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
writer = VideoWriter(pathlib.Path({str(tmp_path / 'a.avi')!r}), 20, (48, 64))
for i in range(200):
  writer.write(np.full((48, 64, 3), i, np.uint8))
try:
  writer.close()
except RunError as error:
  print(error)
"""
  done = subprocess.run(
    [sys.executable, '-c', code],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
  )
  assert 'can not be written' in done.stdout, done
  assert not list(tmp_path.iterdir())


def test_frames_that_do_not_fit_are_an_error(tmp_path):
  writer = VideoWriter(tmp_path / 'a.mp4', 20, (48, 64))
  for frame in (np.zeros((48, 66, 3), np.uint8), np.zeros((48, 64, 3))):
    with pytest.raises(ValueError, match='expected uint8'):
      writer.write(frame)
  writer.close()  # without a frame there is no video
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('planted', ['a.mp4', '.a.part.mp4'])
def test_links_are_replaced_not_followed(tmp_path, planted):
  secret, out = tmp_path / 'secret', tmp_path / 'out'
  secret.write_text('mine')
  out.mkdir()
  (out / planted).symlink_to(secret)
  written(out / 'a.mp4')
  assert secret.read_text() == 'mine'
  assert os.listdir(out) == ['a.mp4'] and not (out / 'a.mp4').is_symlink()


def test_what_was_there_stays_until_the_new_one_is_whole(tmp_path, monkeypatch):
  path = written(tmp_path / 'a.mp4', count=5)
  writer = VideoWriter(path, 20, (48, 64))
  writer.write(videos.frame(1))
  assert len(videos.read(path)[0]) == 5
  monkeypatch.setattr(video_writer.atomic, 'publish', _broken)
  with pytest.raises(RunError, match='No space left'):
    writer.close()
  assert len(videos.read(path)[0]) == 5
  assert os.listdir(tmp_path) == ['a.mp4']


def _broken(*_):
  raise OSError(28, 'No space left on device')


def test_a_camera_gives_frames_until_it_is_unplugged(tmp_path, monkeypatch):
  path = written(tmp_path / 'a.avi', count=6)
  opened = []

  def plugged_in(number, backend):
    opened.append(number)
    return cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)

  monkeypatch.setattr(video_files, 'open_video', plugged_in)
  camera = Camera(2)
  assert opened == [2] and camera.live and camera.size == (48, 64)
  assert camera.fps == 12.5 and camera.count is None
  # The first picture, which told its size, is past.
  numbers = [frame[24, 16, 0] // 13 for frame in frames_of(camera)]
  assert numbers == [1, 2, 3, 4, 5]
  assert camera.missing().startswith('camera 2: gives no pictures any more')
