"""Which inputs are videos, cameras or frames, and which video each becomes."""

import glob
import os
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from deeplax import picture_paths
from deeplax.errors import RunError
from deeplax.video_files import Camera, Clip, Frames, Video
from deeplax.video_writer import CODECS

# Those that are not written are only read.
SUFFIXES = (*CODECS, '.mpg', '.mpeg', '.ts', '.wmv', '.flv', '.3gp', '.ogv')


class Take(NamedTuple):
  """One clip and its result.

  Attributes:
    name: Of the input, for messages.
    open: Gives the clip, or raises DataError.
    target: The video to be written.
  """

  name: str
  open: Callable[[], Clip]
  target: pathlib.Path


def wanted(inputs: Sequence[str], output: str | os.PathLike) -> bool:
  """Whether a video is to be written: `output` or an input is one.

  A whole number that is no file's name is a camera.
  """
  return _is_one_video(output) or any(
    _is_camera(text) or _is_video(text) for text in picture_paths.split(inputs)
  )


def plan(inputs: Sequence[str], output: str | os.PathLike) -> list[Take]:
  """What is to be done; nothing is opened.

  Pictures, be they given one by one or in folders, are the frames of one video,
  folder after folder: the sequences of Cityscapes' `leftImg8bit/demoVideo` are
  joined. Numbers in names count, 2.png comes before 10.png.

  Args:
    inputs: Files, folders, patterns and numbers of cameras.
    output: A video for one input; or the folder for `<name>.mp4` of each.

  Raises:
    RunError: An input that doesn't exist, pictures without the name of a video,
      several inputs for one video, or a video that is an input or of a kind
      that can't be written.
  """
  output = pathlib.Path(output)
  takes: dict[pathlib.Path, Callable[[], Clip]] = {}
  names, pictures = {}, {}
  for text in picture_paths.split(inputs):
    if _is_camera(text):
      takes[pathlib.Path(text)] = _opener(Camera, int(text))
      names[pathlib.Path(text)] = f'camera{int(text)}'
      continue
    found = picture_paths.expand(text, picture_paths.real(output), '--input ')
    for path in sorted((path for path, _ in found), key=_by_number):
      if path.suffix.lower() in picture_paths.SUFFIXES:
        pictures[path] = text
      else:
        takes[path] = _opener(Video, path)
        names[path] = path.stem
  count = len(takes) + bool(pictures)
  if not count:
    raise RunError(
      'no input: give --input a video, a folder of frames or a camera (0).'
    )
  if _is_one_video(output):
    _check_one(output, count, list(takes), pictures)
    targets = dict.fromkeys(takes, output)
  else:
    if pictures:
      raise RunError(
        f'--input holds {len(pictures)} pictures ({next(iter(pictures))}, ...) '
        f'beside {len(takes)} videos or cameras. Predict them apart, or give '
        '--output the name of a video, out.mp4, to make one of the pictures.'
      )
    distinct = picture_paths.distinct(names)
    targets = {path: output / f'{distinct[path]}.mp4' for path in takes}
  _check_targets(set(targets.values()) or {output}, [*takes, *pictures])
  plans = [Take(str(p), takes[p], targets[p]) for p in takes]
  if pictures:
    name = ', '.join(dict.fromkeys(pictures.values()))
    plans.append(Take(name, _opener(Frames, name, list(pictures)), output))
  return plans


def _opener(kind, *arguments):
  return lambda: kind(*arguments)


def _check_one(output, count, videos, pictures):
  if output.suffix.lower() not in CODECS:
    raise RunError(
      f'--output {output}: videos of this kind are read, not written. Expected '
      f'one of {", ".join(CODECS)}.'
    )
  if count > 1:
    found = [str(v) for v in videos] + ['the pictures'] * bool(pictures)
    raise RunError(
      f'--output {output} is one video, and the inputs make {count}: '
      f'{", ".join(found)[:300]}. Give a folder as --output, or each a call of '
      'its own.'
    )


def _check_targets(targets, originals):
  real = {os.path.realpath(path) for path in originals}
  for target in targets:
    if os.path.realpath(target) in real:
      raise RunError(
        f'{target} is one of the inputs and would be overwritten; give another '
        '--output.'
      )


def _is_one_video(output):
  output = pathlib.Path(output)
  return output.suffix.lower() in SUFFIXES and not output.is_dir()


def _is_camera(text):
  return text.isascii() and text.isdigit() and not os.path.lexists(text)


def _is_video(text):
  try:
    if os.path.isdir(text):
      return False
    found = [text]
    if glob.has_magic(text) and not os.path.lexists(text):
      found = glob.glob(os.path.expanduser(text), recursive=True)
  except (OSError, ValueError):  # a name that can't be: said by `plan`
    return False
  return any(pathlib.Path(f).suffix.lower() in SUFFIXES for f in found)


def _by_number(path):
  """Order of names in which 2 comes before 10."""
  parts = re.split(r'([0-9]+)', str(path))
  return [(int(p), '') if i % 2 else (0, p) for i, p in enumerate(parts)], path
