"""One file of a memory map."""

import os

import numpy as np

from deeplax.data.errors import DataError

AGAIN = 'Delete the folder and prepare it again.'


class Mapped:
  """A mapped file that is not read behind its end."""

  def __init__(self, path: str, dtype: type, size: int):
    self._path, self._size = path, size
    try:
      self._file = open(path, 'rb')  # noqa: SIM115
    except OSError as error:
      raise damaged(path, f"can't be opened: {error.strerror}") from error
    self._check()
    self._array = np.asarray(np.memmap(self._file, dtype, mode='r'))

  def array(self) -> np.ndarray:
    """All of it, flat."""
    self._check()
    return self._array

  def _check(self) -> None:
    # Of the file that is mapped: another one of its name may be there by now.
    size = os.fstat(self._file.fileno()).st_size
    if size != self._size:
      raise damaged(self._path, f'it has {size} bytes, expected {self._size}')


def damaged(path: str, what: str) -> DataError:
  return DataError(
    f'{what}.',
    fix=AGAIN,
    file=path,
    kind='damaged file',
  )
