"""The Python API: a trained run as a function of pictures."""

import contextlib
import itertools
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tqdm

from deeplax import crf as crf_lib
from deeplax import run_predictor
from deeplax.batching import predict_all
from deeplax.data.errors import DataError
from deeplax.errors import RunError, UserError
from deeplax.overlap import Threads
from deeplax.picture_files import BACK, turn
from deeplax.picture_inputs import Source, Stored, is_single, sources
from deeplax.predictor import Prepared
from deeplax.result import Result
from deeplax.run_predictor import RunPredictor

log = logging.getLogger('deeplax')

_CRF_KEYS = (*crf_lib.DEEPLAB_V2, 'normalization', 'method')


def load(
  workdir: str | os.PathLike,
  *,
  step: int | None = None,
  output_stride: int | None = None,
  scales: Sequence[float] = (1.0,),
  flip: bool = False,
  window: tuple[int, int] | None = None,
  full_size: bool = False,
  batch_size: int | None = None,
  spatial: int | None = None,
  crf: bool | Mapping[str, Any] | None = None,
) -> 'Segmenter':
  """A trained run as a function of pictures, `model('street.jpg')`.

  >>> import deeplax
  >>> model = deeplax.load('runs/r101')
  >>> model('street.jpg').labels.shape
  (64, 96)
  >>> best = deeplax.load('runs/r101', flip=True, scales=(0.75, 1.0))
  >>> sharp = deeplax.load('runs/r101', crf=dict(num_iterations=2))
  >>> deeplax.load('runs/r102')
  Traceback (most recent call last):
    ...
  deeplax.errors.RunError: runs/r102/config.json is missing: runs/r102 is not \
the workdir of a run. Expected the folder that launch/train.py wrote (its \
--workdir).

  The choices are those of launch/predict.py, and so are the answers.

  Args:
    workdir: Of a run, or what launch/convert.py wrote.
    step: Of a checkpoint; default: the best by val mIoU, or the newest.
    output_stride: 8, 16 or 32; default: that of the config.
    scales: Of the picture, whose probabilities are averaged.
    flip: Averages over mirror images, too.
    window: (height, width) of sliding windows; None for the whole picture.
    full_size: Leaves out a resize in the config's `input.eval`.
    batch_size: Pictures of one shape at once; default: 1 on a CPU, elsewhere
      what fits. What is missing in a batch is filled up, so that 1 is quickest
      for single pictures.
    spatial: Devices that share the rows of a picture; default: that of the
      config, where the devices here allow it.
    crf: Whether predictions go through the CRF; default: the config's. A
      mapping turns it on and changes what is in it: `num_iterations`,
      `spatial`, `bilateral`, `normalization`, `method`.

  Raises:
    UserError: No run, no such checkpoint, or a choice that can't be.
  """
  changes = dict(crf) if isinstance(crf, Mapping) else {}
  _check(batch_size, scales, window, changes)
  with _quiet_orbax():
    loaded = run_predictor.load(
      workdir,
      step=step,
      output_stride=output_stride,
      scales=scales,
      flip=flip,
      window=window,
      full_size=full_size,
      spatial=spatial,
      crf=True if isinstance(crf, Mapping) else crf,
      crf_options=changes,
    )
  return Segmenter(loaded, os.fspath(workdir), batch_size)


def _check(batch_size, scales, window, changes):
  """What the flags of the command see to."""
  if batch_size is not None and batch_size < 1:
    raise RunError(f'batch_size (={batch_size}) must be 1 or more.')
  for name, numbers, kinds in (
    ('scales', scales, (int, float)),
    ('window', (1, 1) if window is None else window, int),
  ):
    if not isinstance(numbers, Sequence) or not all(
      isinstance(n, kinds) for n in numbers
    ):
      raise RunError(
        f'{name} (={numbers!r}) must be a tuple of numbers, such as '
        'scales=(0.75, 1.0) or window=(512, 1024).'
      )
  if window is not None and (len(window) != 2 or min(window) < 1):
    raise RunError(
      f'window (={window}) must be a height and a width in pixels.'
    )
  unknown = [key for key in changes if key not in _CRF_KEYS]
  if unknown:
    raise RunError(
      f'crf has no {unknown[0]!r}; it has: {", ".join(_CRF_KEYS)}.'
    )


@contextlib.contextmanager
def _quiet_orbax() -> Iterator[None]:
  """It warns that a folder which is only to be read is only to be read."""
  absl = logging.getLogger('absl')
  level = absl.level
  absl.setLevel(logging.ERROR)
  try:
    yield
  finally:
    absl.setLevel(level)


class _Picture(NamedTuple):
  """A picture that was read, or the reason why it could not be."""

  index: int
  named: bool
  stored: Stored | None = None
  image: np.ndarray | None = None  # upright
  prepared: Prepared | None = None
  error: ValueError | None = None


class Segmenter:
  """A trained run; `load` makes it. Compiled once for each shape of picture.

  >>> import deeplax
  >>> model = deeplax.load('runs/r101')
  >>> model
  Segmenter(runs/r101, step 0, 19 classes)
  >>> import numpy as np, PIL.Image
  >>> image = PIL.Image.open('street.jpg')
  >>> [r.labels.shape for r in model([image, np.asarray(image)[:32]])]
  [(64, 96), (32, 96)]
  >>> [result.path.name for result in model('photos')]
  ['a.png', 'b.png']
  >>> for result in model.stream('photos'):
  ...   path = result.save(f'out/{result.path.stem}.png')

  Attributes:
    class_names: By train id.
    palette: uint8[256, 3], RGB by train id; void is black.
    step: Of the checkpoint.
  """

  def __init__(
    self, loaded: RunPredictor, name: str, batch_size: int | None = None
  ):
    """Of `load`.

    Args:
      loaded: Network, weights, classes.
      name: Of the run, for `repr`.
      batch_size: See `load`.
    """
    self._predictor, self._info, self.step = loaded
    self._name, self._batch_size = name, batch_size
    self.class_names, self.palette = self._info.class_names, self._info.palette

  def __repr__(self) -> str:
    return (
      f'Segmenter({self._name}, step {self.step}, '
      f'{len(self.class_names)} classes)'
    )

  def __call__(self, images: Any) -> Result | list[Result]:
    """The prediction for a picture, or a list of them for several.

    Args:
      images: One picture: the path of a file, a PIL image of any mode, or an
        array of numpy, JAX or another library, uint8[H, W, 3] RGB (OpenCV's
        are BGR: `image[..., ::-1]`), [H, W] grey, or [H, W, 4], whose alpha is
        left out. Or several: a folder (searched through, by suffix), a pattern
        such as `'shots/*.jpg'`, or a list or iterator of any of these.

    Returns:
      A `Result`, or for several a list, in their order. Of a folder or a
      pattern what is no picture is left out, with a line in the log
      (`result.path` tells which is which).

    Raises:
      UserError: There is no such file; or a value that is no picture: floats,
        among others, whose scale nobody knows.
      DataError: A file that was named is damaged or no picture.
    """
    if is_single(images):
      ((_, result),) = self._predict(sources(images))
      return result
    pictures = list(sources(images))
    results = tqdm.tqdm(
      self._predict(pictures),
      total=len(pictures),
      unit='picture',
      dynamic_ncols=True,
      disable=not sys.stderr.isatty(),
    )
    # Those of one shape came together.
    return [r for _, r in sorted(results, key=lambda found: found[0])]

  def stream(self, images: Any) -> Iterator[Result]:
    """As a call with several pictures, each result as soon as it is there.

    For more pictures than memory holds: threads read a few ahead. Where shapes
    differ, those of one shape come together, on accelerators; `result.path`
    tells which is which.
    """
    for _, result in self._predict(sources(images)):
      yield result

  def _predict(
    self, pictures: Iterable[Source]
  ) -> Iterator[tuple[int, Result]]:
    """Results with their place among the pictures."""
    errors = []

    def usable(read):
      for picture in read:
        if picture.error is None:
          yield picture
        elif picture.named:
          errors.append(picture.error)
          return  # what came before it is finished first
        else:
          log.error('skipped: %s', picture.error)

    with Threads() as threads:
      read = threads.ahead(self._read, zip(itertools.count(), pictures))
      found = predict_all(self._predictor, usable(read), self._batch_size)
      for picture, pred in found:
        yield picture.index, self._result(picture.stored, pred)
    if errors:
      raise errors[0]

  def _read(self, numbered: tuple[int, Source]) -> _Picture:
    index, source = numbered
    try:
      stored = source.read()
    except (DataError, UserError) as error:
      return _Picture(index, source.named, error=error)
    image = turn(stored.image, stored.orientation)
    ready = self._predictor.prepare(image)
    return _Picture(index, source.named, stored, image, ready)

  def _result(self, stored: Stored, pred: np.ndarray) -> Result:
    back = BACK[stored.orientation]

    def probs():
      upright = turn(stored.image, stored.orientation)
      return turn(self._predictor.probs(upright), back)

    return Result(stored, turn(pred, back), self._info, probs)
