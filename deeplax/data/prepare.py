"""Turns any data set into another form of itself."""

import os
import re
from collections.abc import Callable, Sequence

from deeplax import data, dry_run
from deeplax.data.check import check
from deeplax.data.errors import DataError
from deeplax.data.findings import Report
from deeplax.data.write_cityscapes import write_cityscapes_tree
from deeplax.data.write_memmap import write_memmap
from deeplax.data.write_tfds import write_tfds

FORMS = ('tfds', 'memmap', 'cityscapes')


def check_splits(
  name: str,
  data_dir: str | os.PathLike,
  splits: Sequence[str],
  tell: Callable[[Report], None],
) -> bool:
  """The label doctor on splits, one after the other, reading all of them.

  Args:
    name, data_dir, splits: As for `prepare`.
    tell: Gets each report as soon as it is there, e.g. `print`.

  Returns:
    Whether nothing is wrong.
  """
  healthy = True
  for split in splits:
    report = check(name, split, data_dir, progress=True)
    tell(report)
    healthy = healthy and not report.failed
  return healthy


def prepare(
  name: str,
  data_dir: str | os.PathLike,
  splits: Sequence[str],
  output: str | os.PathLike,
  to: str,
  *,
  extras: Sequence[str] | None = None,
) -> tuple[str, str]:
  """Writes splits of a data set; goes on where it was interrupted.

  Args:
    name: Name of the data set, as for `deeplax.data.source`.
    data_dir: Its folder.
    splits: Their names.
    output: Folder for the result.
    to: `'memmap'` (a folder for each split), `'tfds'` (output/name/1.0.0) or
      `'cityscapes'` (the official tree).
    extras: Further arrays to keep; None keeps what the form is incomplete
      without: instances in a Cityscapes tree, where there are any.

  Returns:
    (`dataset.name`, `dataset.dir`) to train from the result.

  Raises:
    DataError: Names the file or folder, what was found and what to do.
  """
  if to not in FORMS:
    raise DataError(
      f'there is no form {to!r}.',
      fix=f'Choose one of {", ".join(FORMS)}.',
      kind='unknown option',
    )
  if to == 'tfds' and extras:
    raise DataError(
      f'--to=tfds keeps image, label and id only, not {", ".join(extras)}.',
      fix='Leave --extras out, or use --to=memmap or --to=cityscapes.',
      kind='unknown option',
    )
  if 'camera' in (extras or ()):
    raise DataError(
      'the extra camera is not kept: it is no array of pixels.',
      fix='Leave it out of --extras; there are instance and disparity.',
      kind='unknown option',
    )
  for split in splits:
    if not re.fullmatch(r'\w+', split):
      raise DataError(
        f"split {split!r} can't become the name of a folder.",
        fix='Give whole splits, e.g. --splits=train,val.',
        kind='unknown split',
      )
  if data_dir and os.path.realpath(output) == os.path.realpath(data_dir):
    raise DataError(
      'is the folder of the data set itself; its files would be mixed up.',
      fix='Give another --output.',
      file=output,
      kind='unwritable',
    )
  info = data.info(name, data_dir)
  where = os.fspath(output)

  def plan():
    counts = {s: len(_open(name, s, data_dir, to, extras)[0]) for s in splits}
    words = ', '.join(f'{count} of {split}' for split, count in counts.items())
    return f'{words} of {name} would be written as {to} below {where}.'

  dry_run.ends_here(plan)
  for split in splits:
    source, kept = _open(name, split, data_dir, to, extras)
    if to == 'memmap':
      write_memmap(source, info, os.path.join(output, split), extras=kept)
    elif to == 'tfds':
      where = write_tfds(source, info, split, output)
    else:
      write_cityscapes_tree(source, info, split, output, extras=kept)
  return to, where


def _open(
  name: str,
  split: str,
  data_dir: str | os.PathLike,
  to: str,
  extras: Sequence[str] | None,
) -> tuple[data.Source, tuple[str, ...]]:
  if extras is None and to == 'cityscapes':
    try:
      wanted = ('instance',)
      return data.source(name, split, data_dir, extras=wanted), wanted
    except DataError as error:
      if error.kind not in ('unknown option', 'missing file'):
        raise
  kept = tuple(extras or ())
  return data.source(name, split, data_dir, extras=kept), kept
