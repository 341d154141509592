"""Predicts pictures with a trained run: overlays, colours and ids as PNG."""

import contextlib
import dataclasses
import functools
import logging
import os
import pathlib
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tqdm

from deeplax import (
  dry_run,
  picture_files,
  picture_paths,
  run_predictor,
  submission,
  visualize,
)
from deeplax.batching import predict_all
from deeplax.data import DataError
from deeplax.data.info import DatasetInfo
from deeplax.errors import RunError
from deeplax.overlap import Threads
from deeplax.picture_files import BACK, turn
from deeplax.predictor import Predictor, Prepared

log = logging.getLogger('deeplax')

FORMATS = ('overlay', 'color', 'train_id', 'label_id')
SUBMISSION = 'submission'  # label_id, but for many pictures together


@dataclasses.dataclass
class Predicted:
  """What `predict_run` did.

  Attributes:
    written: Files, in the order of the pictures.
    failed: Message by picture that could not be used.
    pictures: How many could.
    shapes: How many the network was compiled for.
    seconds: From the start to the last file, loading and compiling included.
  """

  written: list[pathlib.Path] = dataclasses.field(default_factory=list)
  failed: dict[pathlib.Path, str] = dataclasses.field(default_factory=dict)
  pictures: int = 0
  shapes: int = 0
  seconds: float = 0.0

  def __str__(self) -> str:
    return (
      f'{self.pictures} pictures in {self.seconds:.1f} s, '
      f'{self.pictures / self.seconds:.2f} a second from start to end; '
      f'shapes compiled: {self.shapes}'
    )


@dataclasses.dataclass
class _Picture:
  """A picture that was read, or the reason why it could not be."""

  path: pathlib.Path
  image: np.ndarray | None = None  # upright
  orientation: int = 1  # of what is stored
  prepared: Prepared | None = None
  error: DataError | None = None
  targets: list[pathlib.Path] = dataclasses.field(default_factory=list)


def predict_run(
  workdir: str | os.PathLike,
  inputs: Sequence[str],
  output: str | os.PathLike,
  *,
  formats: Sequence[str] = ('overlay',),
  batch_size: int | None = None,
  **options: Any,
) -> Predicted:
  """Predicts pictures of any size and writes PNGs below `output`.

  `overlay` is 0.35 picture + 0.65 class colours, `color` the colours alone,
  `train_id` and `label_id` ids of one channel; void is 255 and 0 there.
  `submission` is `label_id` under the names of Cityscapes' benchmark, and in a
  zip for its server, if every picture could be used.

  A photograph whose EXIF says that it lies on its side is turned upright for
  the network. What is written has the stored pixels' grid and the same EXIF
  orientation: whatever reads both the photograph and the result, with regard to
  EXIF or without, finds them aligned.

  Args:
    workdir: Of a run.
    inputs: See `picture_paths.find`.
    output: Folder.
    formats: Of `FORMATS`, and `SUBMISSION`.
    batch_size: Pictures of one shape at once; default: what
      `batching.default_batch_size` finds.
    **options: Checkpoint, views, CRF: see `run_predictor.load`.

  Raises:
    RunError: No run, nothing to predict, an option that can't be, or pictures
      that make no submission.
  """
  known = (*FORMATS, SUBMISSION)
  unknown = [f for f in formats if f not in known]
  if unknown or not formats:
    raise RunError(
      f'--format {",".join(unknown)!r} is not known; expected one or more of '
      f'{",".join(known)}.'
    )
  if batch_size is not None and batch_size < 1:
    raise RunError(f'batch_size (={batch_size}) must be 1 or more.')
  start = time.perf_counter()
  output = pathlib.Path(output)
  pictures = picture_paths.find(inputs, output)
  predictor, info, _ = run_predictor.load(workdir, **options)
  if SUBMISSION in formats:
    submission.check(info, pictures)
  dry_run.ends_here(lambda: _plan(pictures, output, formats))
  picture_paths.make(output)  # minutes of compilation come next
  result = predict_pictures(
    predictor, pictures, output, info, formats, batch_size
  )
  if {'overlay', 'color'} & set(formats) and result.written:
    strip = visualize.legend(info.class_names, info.palette)
    target = picture_paths.target(output, 'classes', 'legend')
    picture_files.write_png(target, strip)
  if SUBMISSION in formats:
    result.written += submission.pack(output, pictures, result.failed)
  result.seconds = time.perf_counter() - start
  return result


def _plan(pictures, output, formats):
  targets = [
    f'{path} -> {output / name}_{kind}.png'
    if kind in FORMATS
    else f'{path} -> {output}, under the name that the benchmark wants'
    for path, name in pictures.items()
    for kind in formats
  ]
  return '\n'.join(targets)


def predict_pictures(
  predictor: Predictor,
  pictures: Mapping[pathlib.Path, str],
  output: pathlib.Path,
  info: DatasetInfo,
  formats: Sequence[str],
  batch_size: int | None = None,
) -> Predicted:
  """Predicts pictures in batches; threads read and write meanwhile.

  Args:
    predictor: Of a run.
    pictures: Names of the results by path, see `picture_paths.find`.
    output: Folder.
    info: The classes.
    formats: As for `predict_run`.
    batch_size: See `batching.predict_all`.

  Raises:
    RunError: A result can't be written, or would overwrite an input.
  """
  result = Predicted()
  with Threads() as threads:
    read = tqdm.tqdm(
      threads.ahead(functools.partial(_read, predictor), pictures),
      total=len(pictures),
      unit='picture',
      dynamic_ncols=True,
      disable=not sys.stderr.isatty(),
    )
    with read:
      usable = _usable(read, result, pictures, output, formats)
      for picture, pred in predict_all(predictor, usable, batch_size):
        threads.behind(_write, picture, pred, info, formats)
  result.shapes = len(predictor.shapes)
  return result


def _read(predictor: Predictor, path: pathlib.Path) -> _Picture:
  with _naming(path):
    try:
      image, orientation = picture_files.read(path)
      image = turn(image, orientation)
      return _Picture(path, image, orientation, predictor.prepare(image))
    except DataError as error:
      return _Picture(path, error=error)


def _usable(
  read: Iterable[_Picture],
  result: Predicted,
  names: Mapping[pathlib.Path, str],
  output: pathlib.Path,
  formats: Sequence[str],
) -> Iterator[_Picture]:
  """Leaves out what can't be used, and says where the rest is written."""
  # Not Path.resolve, which raises for a link that leads to itself.
  originals = {os.path.realpath(path) for path in names}
  for picture in read:
    if picture.error is not None:
      log.error('skipped: %s', picture.error)
      result.failed[picture.path] = str(picture.error)
      continue
    for kind in formats:
      if kind == SUBMISSION:
        target = submission.target(output, picture.path)
      else:
        target = picture_paths.target(output, names[picture.path], kind)
      if os.path.realpath(target) in originals:
        raise RunError(
          f'{target} is one of the inputs and would be overwritten; give '
          'another --output.'
        )
      picture.targets.append(target)
    result.written += picture.targets
    result.pictures += 1
    yield picture


def _write(picture, pred, info, formats):
  back = BACK[picture.orientation]
  with _naming(picture.path):
    for kind, target in zip(formats, picture.targets):
      pixels = turn(render(kind, picture.image, pred, info), back)
      level = {'level': 9} if kind == SUBMISSION else {}
      picture_files.write_png(target, pixels, picture.orientation, **level)


@contextlib.contextmanager
def _naming(path: pathlib.Path) -> Iterator[None]:
  """Whatever goes wrong in a thread says with which picture."""
  try:
    yield
  except Exception as error:
    error.add_note(f'The picture was {path}.')
    raise


def render(
  kind: str, image: np.ndarray, pred: np.ndarray, info: DatasetInfo
) -> np.ndarray:
  """What is written as `kind`: uint8[H, W] or [H, W, 3]."""
  if kind == 'train_id':
    return pred
  if kind in ('label_id', SUBMISSION):
    return info.train_to_label[pred]
  colours = visualize.colour(pred, info.palette)
  return colours if kind == 'color' else visualize.overlay(image, colours)
