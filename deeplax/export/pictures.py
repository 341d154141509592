"""Pictures at the size of an export: to compare on, and to calibrate with."""

import itertools
import logging
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import ml_collections
import numpy as np

from deeplax import data, picture_files, picture_paths
from deeplax.data import ops as operations
from deeplax.data.info import DatasetInfo
from deeplax.errors import RunError
from deeplax.evaluate_run import open_split

log = logging.getLogger('deeplax')


class Picture(NamedTuple):
  """A picture, brought to the size of the export.

  Attributes:
    name: Its id, or its path below the folder that was named.
    image: uint8[H, W, 3].
    label: uint8[H, W], 255 where there is none.
  """

  name: str
  image: np.ndarray
  label: np.ndarray


class Pictures:
  """Pictures that are read as they are needed; those that can't be are said.

  Attributes:
    labelled: Whether they have labels.
    where: What they are, in words.
    failed: Messages of those that could not be used.
  """

  def __init__(
    self,
    source: Sequence[dict[str, Any]],
    size: tuple[int, int],
    *,
    where: str,
    labelled: bool,
    skip: bool,
  ):
    """Reads nothing yet.

    Args:
      source: Gives `{'image', 'label', 'id'}`, see `data.Source`.
      size: (height, width) to bring them to.
      where: See above.
      labelled: See above.
      skip: Whether one that can't be used is left out, or else is an error.
    """
    self._source, self._skip = source, skip
    self._ops = operations.parse('resize({}, {})'.format(*size))
    self.where, self.labelled = where, labelled
    self.failed: list[str] = []

  def __len__(self) -> int:
    return len(self._source)

  def __iter__(self) -> Iterator[Picture]:
    for i in range(len(self._source)):
      try:
        example = operations.apply(
          self._ops, self._source[i], np.random.default_rng(0)
        )
      except data.DataError as error:
        if not self._skip:
          raise
        if str(error) not in self.failed:  # looked at twice
          log.error('skipped: %s', error)
          self.failed.append(str(error))
        continue
      yield Picture(str(example['id']), example['image'], example['label'])

  def check(self) -> None:
    """Reads up to the first that can be used: before minutes of other work.

    Raises:
      RunError: There is none.
      DataError: As when they are read.
    """
    if next(iter(self), None) is None:
      raise RunError(
        f'{self.where}: none of the {len(self)} pictures can be used, expected '
        'at least one. The reasons stand above; choose others.'
      )


def of_run(
  config: ml_collections.ConfigDict,
  info: DatasetInfo,
  size: tuple[int, int],
  output: pathlib.Path,
  *,
  inputs: Sequence[str],
  max_pictures: int,
  calibration: int,
  data_dir: str | None,
) -> tuple[Pictures, Pictures | None]:
  """What to compare on, and what to find the ranges of 8 bits on.

  Args:
    config: Of the run.
    info: Its classes.
    size: To bring them to.
    output: Nothing below this folder is taken.
    inputs: See `picture_paths.find`; nothing for the evaluation split.
    max_pictures: To compare on, at most.
    calibration: Of the training split, for the ranges; 0 for none.
    data_dir: Default: `config.dataset.dir`.

  Raises:
    RunError: There are none.
    DataError: Not one of them can be used.
  """

  def of(split, count, otherwise=''):
    try:
      return of_split(config, info, split, size, count, data_dir=data_dir)
    except data.DataError as error:
      raise RunError(
        f'{error} Or say with --data_dir where it is{otherwise}.'
      ) from error

  if inputs:
    shown = of_files(inputs, size, max_pictures, output)
  else:
    shown = of(
      config.dataset.eval_split,
      max_pictures,
      ', or compare on any other pictures: --pictures',
    )
  shown.check()
  if not calibration:
    return shown, None
  ranges = of(config.dataset.train_split, calibration)
  ranges.check()
  return shown, ranges


def of_split(
  config: ml_collections.ConfigDict,
  info: DatasetInfo,
  split: str,
  size: tuple[int, int],
  count: int,
  *,
  data_dir: str | None = None,
) -> Pictures:
  """Pictures of a split of the run's data, spread evenly over it.

  Args:
    config: Of the run.
    info: Its classes.
    split: Of the data set.
    size: To bring them to.
    count: How many, at most.
    data_dir: Default: `config.dataset.dir`.

  Raises:
    RunError, DataError: As `evaluate_run.open_split`.
  """
  source = open_split(config, info, split, data_dir, None)
  return Pictures(
    _Chosen(source, count),
    size,
    where=f'{config.dataset.name}, {split}',
    labelled=True,
    skip=config.dataset.on_error == 'skip',
  )


def of_files(
  inputs: Sequence[str],
  size: tuple[int, int],
  count: int,
  output: pathlib.Path,
) -> Pictures:
  """Pictures that are named on the command line.

  Args:
    inputs: See `picture_paths.find`.
    size: To bring them to.
    count: How many, at most.
    output: Nothing below this folder is taken.

  Raises:
    RunError: There are none.
  """
  found = picture_paths.find(inputs, output).items()
  files = [*itertools.islice(found, count)]
  where = ', '.join(pathlib.Path(text).name for text in inputs)
  return Pictures(_Files(files), size, where=where, labelled=False, skip=True)


class _Chosen:
  """`count` pictures of a source, spread evenly."""

  def __init__(self, source, count):
    self._source = source
    self._indices = np.unique(
      np.linspace(0, len(source) - 1, min(count, len(source))).astype(int)
    )

  def __len__(self):
    return len(self._indices)

  def __getitem__(self, i):
    return self._source[int(self._indices[i])]


class _Files:
  """Pictures without labels, upright."""

  def __init__(self, files):
    self._files = files

  def __len__(self):
    return len(self._files)

  def __getitem__(self, i):
    path, name = self._files[i]
    image, orientation = picture_files.read(path)
    image = picture_files.turn(image, orientation)
    label = np.full(image.shape[:2], 255, np.uint8)
    return {'image': image, 'label': label, 'id': name}
