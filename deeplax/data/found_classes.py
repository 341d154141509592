"""The classes of masks that come without a class table: the ids they hold."""

import functools
import json
import logging
import os
from collections.abc import Iterable
from concurrent import futures

import numpy as np
import tqdm

from deeplax.data import files
from deeplax.data.errors import DataError, first_few

log = logging.getLogger('deeplax')

# More ids than that are grey levels: smoothed edges, depths, photographs.
MOST = 200
_VOID = 255
_DELAY = 2.0  # seconds until progress is shown


def find(paths: Iterable[str], table: str) -> dict[str, list]:
  """Reads all masks and makes a class table of their ids; says so in a line.

  Every id is a class, `class_<id>`, and 255 is void. Where the masks hold 0 and
  255 alone, both are classes: that is how editors save two of them.

  Args:
    paths: Of the masks. Those that can't be read are left to the label doctor.
    table: Path of the class table that there could be, for messages.

  Returns:
    The contents of a classes.json: `names`, and `ids` as they are stored.

  Raises:
    DataError: None can be read, or these are no class ids.
  """
  states = [os.stat(path) for path in paths]
  key = tuple(
    (path, state.st_mtime_ns, state.st_size)
    for path, state in zip(paths, states)
  )
  return _find(key, table)


# Asked for many times in the life of a run, and a second each or a minute.
@functools.lru_cache(maxsize=4)
def _find(key, table):
  paths = [path for path, *_ in key]
  found, where, errors = {}, {}, []
  with futures.ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
    looked = tqdm.tqdm(
      pool.map(_ids, paths),
      'finding classes',
      len(paths),
      disable=None,
      delay=_DELAY,
      leave=False,
    )
    for path, ids in zip(paths, looked):
      if isinstance(ids, DataError):
        errors.append(ids)
        continue
      for i in ids:
        where.setdefault(i, path)
        found[i] = found.get(i, 0) + 1
  if len(errors) == len(paths):
    raise errors[0]
  ids = _classes(sorted(found), where, table)
  tree = {'names': [f'class_{i}' for i in ids], 'ids': ids}
  void = '255 is a class, not void' if _VOID in ids else '255 is void'
  unread = f' ({len(errors)} more can not be read)' if errors else ''
  log.info(
    '%s is missing: %d classes by the ids in %d masks%s: %s; %s. Names of your '
    'own go there, e.g. %s',
    *(table, len(ids), len(paths) - len(errors), unread),
    *(first_few(tree['names'], 12), void, _example(ids)),
  )
  return tree


def _ids(path: str) -> list[int] | DataError:
  try:
    mask = files.read_mask(path)
  except DataError as error:
    return error
  return np.flatnonzero(np.bincount(mask.ravel())).tolist()


def _classes(ids: list[int], where: dict[int, str], table: str) -> list[int]:
  """The ids that are classes.

  Raises:
    DataError: They can't be.
  """
  if ids == [0, _VOID]:
    return ids
  # 65535 is the void of 16 bits.
  classes = [i for i in ids if i not in (_VOID, 65535)]
  listed = f'{first_few(ids, 10)}; {table} is missing'
  if len(classes) < 2:
    raise DataError(
      f'the masks hold the ids {listed}: expected two classes or more beside '
      'void (255).',
      fix='Save classes as 0, 1, ...; where these ids are meant, write them '
      f'there: {_example(classes or [0])}',
      file=where[ids[0]],
      kind='ids out of range',
    )
  if classes[-1] > _VOID:
    raise DataError(
      f'the masks hold the ids {listed}. The id {classes[-1]} needs 16 bits; '
      'classes have 8, 0..254, and 255 is void.',
      fix='Save class ids instead of instances, or name what counts as void '
      f'in {table}: {{"names": [...], "void_id": [...]}}.',
      file=where[classes[-1]],
      kind='ids out of range',
    )
  if len(classes) > MOST:
    raise DataError(
      f'the masks hold {len(classes)} different ids, which look like grey '
      f'levels, not like classes; {table} is missing.',
      fix='Masks that were smoothed or went through JPEG have them at every '
      'edge: export them again as PNG without smoothing. If all are classes, '
      'write their names there.',
      file=where[classes[-1]],
      kind='ids out of range',
    )
  return classes


def _example(ids: list[int]) -> str:
  """A classes.json for these ids, shortened."""
  names = json.dumps([f'class_{i}' for i in ids[:3]])[:-1]
  more = ', ...]' if len(ids) > 3 else ']'
  if ids == [*range(len(ids))]:
    return names + more
  numbers = json.dumps(ids[:3])[:-1]
  return f'{{"names": {names}{more}, "ids": {numbers}{more}}}'
