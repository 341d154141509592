"""Finds and opens what TFDS has prepared, as ArrayRecord."""

import os

from deeplax.data.datasets import _tfds_folder
from deeplax.data.errors import DataError, missing_data


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
    folder = _tfds_folder.find(data_dir)
    with _tfds_folder.naming(folder):
      return tfds.builder_from_directory(folder)
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
  with _tfds_folder.naming(path):
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
    with _tfds_folder.naming(path):
      reader = builder.as_data_source(split, decoders=skip)
      len(reader)  # opens the files
      return reader
  except NotImplementedError as error:  # what TFDS raises for TFRecord
    raise DataError(
      f'prepared as {builder.info.file_format}, which has no random access.',
      fix="Prepare it again with file_format='array_record'.",
      file=path,
      kind='file format',
    ) from error
