"""Finds and opens what TFDS has prepared, as ArrayRecord."""

import contextlib
import os
from collections.abc import Iterator

from deeplax.data.errors import DataError, first_few, missing_data


def package():
  """The module tensorflow_datasets, needed to read them only."""
  try:
    import tensorflow_datasets
  except ImportError as error:
    raise DataError(
      f"tensorflow_datasets can't be imported ({error}).",
      fix='pip install tensorflow-datasets array_record',
      kind='missing package',
    ) from error
  return tensorflow_datasets


def open_builder(data_dir: str, argument: str):
  """The prepared builder, read only."""
  tfds = package()
  if not argument:
    return tfds.builder_from_directory(_version_folder(data_dir))
  try:
    builder = tfds.builder(argument, data_dir=data_dir or None)
  except (ValueError, AssertionError, RuntimeError, OSError) as error:
    # An unknown name lists every data set there is: keep the first line.
    raise DataError(
      f'tfds:{argument}: {str(error).strip().splitlines()[0]}',
      fix='Names: https://www.tensorflow.org/datasets/catalog/overview.',
      kind='unknown dataset',
    ) from error
  if not (builder.data_path / 'dataset_info.json').exists():
    raise _unprepared(argument, data_dir, os.fspath(builder.data_path))
  return builder


def _version_folder(data_dir: str) -> str:
  """`data_dir`, or the one folder below it, with dataset_info.json."""
  if '://' in data_dir:  # a bucket: no walking there
    return data_dir
  found = []
  for parent, below, names in os.walk(data_dir):
    if 'dataset_info.json' in names:
      found.append(parent)
      below.clear()
    if os.path.relpath(parent, data_dir).count(os.sep) >= 2:
      below.clear()
  if not found:
    raise missing_data(
      'tfds',
      f'dataset_info.json in {data_dir} and below',
      'Write one with launch/prepare.py --to=tfds, or name a data set of TFDS '
      '(--config.dataset.name=tfds:oxford_iiit_pet).',
    )
  if len(found) > 1:
    raise DataError(
      f'{data_dir} holds {len(found)} data sets or versions: '
      f'{first_few(sorted(found))}.',
      fix='Give the folder of one as --config.dataset.dir.',
      kind='doubled name',
    )
  return found[0]


def _unprepared(argument: str, data_dir: str, path: str) -> DataError:
  where = f'data_dir={data_dir!r}, ' if data_dir else ''
  return missing_data(
    f'tfds:{argument}',
    os.path.join(path, 'dataset_info.json'),
    'Nothing is downloaded during a run. Prepare it once, as ArrayRecord: '
    'python -c "import tensorflow_datasets as tfds; '
    f"tfds.builder('{argument}', {where}file_format='array_record')"
    '.download_and_prepare()".',
  )


def open_reader(path: str, split: str, pictures: list[str]):
  """TFDS's random-access source, whose pictures come encoded."""
  tfds = package()
  builder = tfds.builder_from_directory(path)
  skip = {key: tfds.decode.SkipDecoding() for key in pictures}
  known = sorted(builder.info.splits)
  if split.partition('[')[0] not in known:
    raise DataError(
      f'there is no split {split!r}; splits: {", ".join(known) or "none"}.',
      fix='Set --config.dataset.train_split and --config.dataset.eval_split.',
      file=path,
      kind='missing data set',
    )
  try:
    return builder.as_data_source(split, decoders=skip)
  except NotImplementedError as error:  # what TFDS raises for TFRecord
    raise DataError(
      f'prepared as {builder.info.file_format}, which has no random access.',
      fix="Prepare it again with file_format='array_record'.",
      file=path,
      kind='file format',
    ) from error


@contextlib.contextmanager
def reading(where: str) -> Iterator[None]:
  """What a reader raises in it comes out as a `DataError` about `where`."""
  try:
    yield
  except (DataError, MemoryError):
    raise
  except Exception as error:  # readers of broken bytes raise nearly anything
    raise DataError(
      f"the records can't be read: {error}.",
      fix='Prepare this data set again.',
      file=where,
      kind='damaged file',
    ) from error
