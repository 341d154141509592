"""Predicts pictures with a trained run: overlays, colours and ids as PNG."""

import collections
import concurrent.futures
import dataclasses
import io
import logging
import os
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tqdm
from PIL import Image

from deeplax import config as config_lib
from deeplax import inference, models, picture_paths, refinement, visualize
from deeplax import workdir as workdir_lib
from deeplax.data import DataError, files
from deeplax.data.info import DatasetInfo
from deeplax.errors import RunError
from deeplax.predictor import Predictor, evaluation_multiple, evaluation_size

log = logging.getLogger('deeplax')

FORMATS = ('overlay', 'color', 'train_id', 'label_id')

_ORIENTATION = 0x0112  # the EXIF tag
# Pictures that are read ahead, and written behind.
_AHEAD = 3


@dataclasses.dataclass
class Predicted:
  """What `predict_run` did.

  Attributes:
    written: Files, in order.
    failed: Message by picture that could not be used.
  """

  written: list[pathlib.Path] = dataclasses.field(default_factory=list)
  failed: dict[pathlib.Path, str] = dataclasses.field(default_factory=dict)


def predict_run(
  workdir: str | os.PathLike,
  inputs: Sequence[str],
  output: str | os.PathLike,
  *,
  formats: Sequence[str] = ('overlay',),
  step: int | None = None,
  output_stride: int | None = None,
  scales: Sequence[float] = (1.0,),
  flip: bool = False,
  window: tuple[int, int] | None = None,
  full_size: bool = False,
  crf: bool | None = None,
  crf_options: Mapping[str, Any] | None = None,
) -> Predicted:
  """Predicts pictures of any size and writes PNGs below `output`.

  `overlay` is 0.35 picture + 0.65 class colours, `color` the colours alone,
  `train_id` and `label_id` ids of one channel; void is 255 and 0 there.

  A photograph whose EXIF says that it lies on its side is turned upright for
  the network. What is written has the stored pixels' grid and the same EXIF
  orientation: whatever reads both the photograph and the result, with regard to
  EXIF or without, finds them aligned.

  Args:
    workdir: Of a run.
    inputs: See `picture_paths.find`.
    output: Folder.
    formats: Of `FORMATS`.
    step: Of a checkpoint; default: the best, or the newest.
    output_stride: Default: `config.model.output_stride`.
    scales, flip, window: See `inference.predict_logits`.
    full_size: Leaves out a resize in `config.input.eval`.
    crf: Whether predictions go through the CRF; default: `config.crf.use`.
    crf_options: What to change of `config.crf`.

  Raises:
    RunError: No run, nothing to predict, or an option that can't be.
  """
  unknown = [f for f in formats if f not in FORMATS]
  if unknown or not formats:
    raise RunError(
      f'--format {",".join(unknown)!r} is not known; expected one or more of '
      f'{",".join(FORMATS)}.'
    )
  output = pathlib.Path(output)
  pictures = picture_paths.find(inputs, output)
  config, info, variables, step = workdir_lib.load_run(workdir, step=step)
  given = refinement.options(config, crf, **(crf_options or {}))
  options = config_lib.model_options(config)
  if output_stride is not None:
    options['output_stride'] = output_stride
  try:
    scales = inference.check_scales(scales)
    model = models.build(config_lib.num_outputs(config, info), **options)
  except ValueError as error:
    raise RunError(str(error)) from error
  picture_paths.make(output)  # minutes of compilation come next
  predictor = Predictor(
    model,
    variables,
    info,
    resize_to=None if full_size else evaluation_size(config.input.eval),
    pad_to=evaluation_multiple(config.input.eval),
    scales=scales,
    flip=flip,
    **config_lib.resampling(config),
    window=window,
    crf=given,
  )
  result = predict_pictures(predictor, pictures, output, info, formats)
  if {'overlay', 'color'} & set(formats) and result.written:
    strip = visualize.legend(info.class_names, info.palette)
    write_png(picture_paths.target(output, 'classes', 'legend'), strip)
  return result


def predict_pictures(
  predictor: Predictor,
  pictures: dict[pathlib.Path, str],
  output: pathlib.Path,
  info: DatasetInfo,
  formats: Sequence[str],
) -> Predicted:
  """Predicts the pictures one after the other; reads and writes in threads."""
  result = Predicted()
  # Not Path.resolve, which raises for a link that leads to itself.
  originals = {os.path.realpath(path) for path in pictures}
  bar = tqdm.tqdm(
    total=len(pictures),
    unit='picture',
    dynamic_ncols=True,
    disable=not sys.stderr.isatty(),
  )
  with bar, concurrent.futures.ThreadPoolExecutor(_AHEAD) as pool:
    writing = collections.deque()
    for path, image, orientation in _read_all(list(pictures), pool):
      bar.update()
      if isinstance(image, DataError):
        log.error('skipped: %s', image)
        result.failed[path] = str(image)
        continue
      pred = turn(predictor(turn(image, orientation)), _BACK[orientation])
      for kind in formats:
        target = picture_paths.target(output, pictures[path], kind)
        if os.path.realpath(target) in originals:
          raise RunError(
            f'{target} is one of the inputs and would be overwritten; give '
            'another --output.'
          )
        picture = render(kind, image, pred, info)
        writing.append(pool.submit(write_png, target, picture, orientation))
        result.written.append(target)
      while len(writing) > _AHEAD * len(formats):
        writing.popleft().result()
    for future in writing:
      future.result()
  return result


def _read_all(
  paths: list[pathlib.Path], pool: concurrent.futures.Executor
) -> Iterator[tuple[pathlib.Path, np.ndarray | DataError, int]]:
  """(path, picture as stored or its error, EXIF orientation), in order."""
  waiting = collections.deque()
  for i, path in enumerate(paths):
    while len(waiting) < _AHEAD and i + len(waiting) < len(paths):
      waiting.append(pool.submit(_read, paths[i + len(waiting)]))
    yield (path, *waiting.popleft().result())


def _read(path):
  try:
    data = files.read_bytes(path)
    image = files.decode_image(data, path)
    orientation = _orientation(data, path)
  except DataError as error:
    return error, 1
  return image, orientation if orientation in _BACK else 1


def _orientation(data, path):
  head = files.header(data, path)
  if head.format == 'PNG' and b'eXIf' in data:
    with Image.open(io.BytesIO(data)) as image:
      return image.getexif().get(_ORIENTATION, 1)
  return head.orientation


def render(
  kind: str, image: np.ndarray, pred: np.ndarray, info: DatasetInfo
) -> np.ndarray:
  """What is written as `kind`, one of `FORMATS`: uint8[H, W] or [H, W, 3]."""
  if kind == 'train_id':
    return pred
  if kind == 'label_id':
    return info.train_to_label[pred]
  colours = visualize.colour(pred, info.palette)
  return colours if kind == 'color' else visualize.overlay(image, colours)


# EXIF orientation that undoes another.
_BACK = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}


def turn(image: np.ndarray, orientation: int) -> np.ndarray:
  """Stored pixels -> upright, for an EXIF orientation 1..8."""
  if orientation in (5, 6, 7, 8):  # first row is a column of the scene
    image = image.swapaxes(0, 1)
  rows = -1 if orientation in (3, 4, 7, 8) else 1
  columns = -1 if orientation in (2, 3, 6, 7) else 1
  return np.ascontiguousarray(image[::rows, ::columns])


def write_png(
  path: pathlib.Path, image: np.ndarray, orientation: int = 1
) -> None:
  """Writes uint8[H, W] or [H, W, 3], all at once or not at all."""
  part = path.with_name(f'{path.name}.part')
  options = {}
  if orientation != 1:
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    options['exif'] = exif
  try:
    Image.fromarray(image).save(part, 'PNG', compress_level=3, **options)
    part.replace(path)
  except OSError as error:
    part.unlink(missing_ok=True)
    raise RunError(
      f'{path} can not be written ({error.strerror or error}). Choose another '
      '--output, or make room.'
    ) from error
