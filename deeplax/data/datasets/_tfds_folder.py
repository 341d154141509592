"""A folder that TFDS prepared: where it lies, and damage in it as one error."""

import contextlib
import os
from collections.abc import Iterator

from deeplax.data.errors import DataError, first_few, missing_data


@contextlib.contextmanager
def naming(where: str | os.PathLike) -> Iterator[None]:
  """Raises a DataError that names `where`, whatever goes wrong in it.

  Which errors a damaged file leads to is not documented: those of JSON, of
  protocol buffers, of ArrayRecord and of TFDS itself were met.
  """
  try:
    yield
  except (DataError, NotImplementedError, MemoryError):
    raise
  except Exception as error:
    reason = ' '.join(str(error).split())[:200]
    raise DataError(
      f'damaged, or no data set of TFDS ({type(error).__name__}: {reason}).',
      fix='Copy the folder again, or prepare the data set again.',
      file=where,
      kind='damaged file',
    ) from error


def find(data_dir: str) -> str:
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
