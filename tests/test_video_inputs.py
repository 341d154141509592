"""Which inputs are videos, what they become, and what can't be."""

import pathlib

import pytest
from PIL import Image

from deeplax import video_inputs
from deeplax.errors import RunError
from tests import videos


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)


def touch(*names):
  for name in names:
    path = pathlib.Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b'x')


def plan(*inputs, output='out'):
  return [(t.name, str(t.target)) for t in video_inputs.plan(inputs, output)]


@pytest.mark.parametrize(
  'inputs, output, expected',
  [
    (['a.png'], 'out', False),
    (['photos'], 'out', False),
    (['*.png'], 'out', False),
    (['a.png'], 'out.mp4', True),
    (['a.png'], 'OUT.WebM', True),
    (['a.png', 'b.mp4'], 'out', True),
    (['a.png,b.mp4'], 'out', True),
    (['*.MO[V]'], 'out', True),
    (['0'], 'out', True),
    (['7'], 'out', False),  # a file of that name
    (['clips.mp4'], 'out', False),  # a folder
    (['photos'], 'clips.mp4', False),
  ],
)
def test_when_a_video_is_wanted(inputs, output, expected):
  touch('a.png', 'photos/b.png', 'c.MOV', '7', 'clips.mp4/a.png')
  assert video_inputs.wanted(inputs, output) is expected


def test_each_video_has_a_result_of_its_own():
  touch('a.mp4', 'x/a.avi', 'b.MOV', 'odd')
  found = plan('*.*', 'x/a.avi', '2')
  assert [name for name, _ in found] == ['a.mp4', 'b.MOV', 'x/a.avi', '2']
  targets = [target for _, target in found]
  assert targets[1::2] == ['out/b.mp4', 'out/camera2.mp4']
  assert len(set(targets)) == 4  # the two called `a`
  assert all(pathlib.Path(t).parent == pathlib.Path('out') for t in targets)
  assert plan('odd', output='o.avi') == [('odd', 'o.avi')]


@pytest.mark.parametrize('text', ['frames', 'frames/*.png'])
def test_frames_are_in_the_order_of_their_numbers(monkeypatch, text):
  for number in (1, 2, 10, 9, 100):
    touch(f'frames/shot-{number}.png')
  touch('frames/notes.txt')
  monkeypatch.setattr(video_inputs, 'Frames', lambda name, paths: paths)
  (take,) = video_inputs.plan([text, 'frames/shot-2.png'], 'out.mp4')
  numbers = [path.stem.rpartition('-')[2] for path in take.open()]
  assert numbers == ['1', '2', '9', '10', '100']


def test_the_sequences_of_the_demo_are_joined(tmp_path):
  """Cityscapes' leftImg8bit/demoVideo: a folder for each."""
  folder = tmp_path / 'leftImg8bit' / 'demoVideo'
  number = 0
  for sequence in ('stuttgart_00', 'stuttgart_01', 'stuttgart_02'):
    for i in (1, 2):
      name = f'{sequence}_000000_{i:06}_leftImg8bit.png'
      (folder / sequence).mkdir(parents=True, exist_ok=True)
      Image.fromarray(videos.frame(number)).save(folder / sequence / name)
      number += 1
  (take,) = video_inputs.plan([str(folder)], 'out.mp4')
  clip = take.open()
  assert clip.count == 6 and clip.fps == 20
  assert [clip.read(i)[0, 0, 0] // 13 for i in range(6)] == list(range(6))
  (take,) = video_inputs.plan([str(folder / 'stuttgart_01')], 'out.mp4')
  assert take.open().count == 2


@pytest.mark.parametrize(
  'inputs, output, words',
  [
    ([], 'o.mp4', 'no input'),
    (['no.mp4'], 'out', '--input no.mp4: there is no such file'),
    (['empty'], 'o.mp4', 'no picture in this folder'),
    (['a.mp4', 'b.mp4'], 'o.mp4', 'one video, and the inputs make 2'),
    (['a.mp4', 'p.png'], 'o.mp4', 'a.mp4, the pictures'),
    (['a.mp4', 'p.png'], 'out', '1 pictures .* beside 1 videos'),
    (['a.mp4'], 'o.wmv', 'read, not written.*\\.mp4'),
    (['a.mp4'], 'a.mp4', 'one of the inputs and would be overwritten'),
    (['a.mp4'], 'link.mp4', 'one of the inputs and would be overwritten'),
    (['a.mp4'], '.', 'one of the inputs and would be overwritten'),
  ],
)
def test_what_can_not_be(inputs, output, words):
  touch('a.mp4', 'b.mp4', 'p.png', 'empty/x.txt')
  pathlib.Path('link.mp4').symlink_to('a.mp4')
  with pytest.raises(RunError, match=words):
    video_inputs.plan(inputs, output)
