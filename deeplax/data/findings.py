"""What the label doctor may find, in words, and its report."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from deeplax.data import class_weights
from deeplax.data.errors import DataError
from deeplax.data.info import IGNORE_LABEL, DatasetInfo


@dataclasses.dataclass(frozen=True)
class Problem:
  """One finding.

  Attributes:
    severity: `'error'`, `'warning'` or `'note'`.
    kind: Short name; equal findings are listed together.
    file: The file, or '' if it is about the whole split.
    found: What was found, and what was expected.
    fix: What to do.
  """

  severity: str
  kind: str
  file: str
  found: str
  fix: str


@dataclasses.dataclass(frozen=True)
class Report:
  """What the doctor found; `str()` is the listing for people.

  Attributes:
    name: Name of the data set.
    split: Name of the split.
    total: Examples in the split.
    read: Examples that were read.
    problems: Findings, errors first.
    counts: int64[256], pixels by train id; 255 is void.
    class_names: Names by train id.
  """

  name: str
  split: str
  total: int
  read: int
  problems: tuple[Problem, ...]
  counts: np.ndarray
  class_names: tuple[str, ...]

  @property
  def failed(self) -> bool:
    """Whether there is an error: training would stop or learn nonsense."""
    return any(p.severity == 'error' for p in self.problems)

  @property
  def advice(self) -> str:
    """Class weights for the train split, if any are called for, or ''."""
    if not self.split.startswith('train'):
      return ''
    return class_weights.advice(self.counts, self.class_names)

  def __str__(self) -> str:
    groups = {}
    for p in self.problems:
      groups.setdefault((p.severity, p.kind, p.fix), []).append(p)
    severities = [p.severity for p in self.problems]
    summary = ', '.join(
      f'{severities.count(s)} {s}{"s" if severities.count(s) > 1 else ""}'
      for s in ('error', 'warning', 'note')
      if s in severities
    )
    lines = [
      f'{self.name} {self.split}: read {self.read} of {self.total} pictures: '
      f'{summary or "no problems found"}.'
    ]
    for (severity, kind, fix), members in groups.items():
      lines.append(f'{severity}: {kind} ({len(members)})')
      for p in members[:5]:
        lines.append(f'  {p.file}: {p.found}' if p.file else f'  {p.found}')
      if len(members) > 5:
        lines.append(f'  and {len(members) - 5} more')
      if fix:
        lines.append(f'  fix: {fix}')
    if self.counts.any():
      lines += self._table()
    if self.read == self.total:
      lines += self.advice.splitlines()
    return '\n'.join(lines)

  def _table(self) -> Iterator[str]:
    total = max(int(self.counts.sum()), 1)
    width = max(map(len, (*self.class_names, 'class')))
    yield f'{"class":<{width}}  {"pixels":>14}  {"share":>8}'
    rows = [*enumerate(self.class_names), (IGNORE_LABEL, 'void')]
    for train_id, name in rows:
      count = int(self.counts[train_id])
      yield f'{name:<{width}}  {count:>14,}  {count / total:>8.3%}'


def problem(error: DataError) -> Problem:
  return Problem('error', error.kind, error.file, error.found, error.fix)


def zero_255(file: str) -> Problem:
  return Problem(
    'error',
    '0/255 mask',
    file,
    'the ids are 0 and 255 only: 255 is no class (void at best), so that '
    'nothing but class 0 could be learnt.',
    'Save the second class as 1, e.g. mask = (mask == 255).astype(np.uint8).',
  )


def all_void(file: str, partial: bool) -> Problem:
  return Problem(
    'warning' if partial else 'error',
    'all-ignore picture',
    file,
    'every pixel is void: there is nothing to learn or to measure.',
    'Remove the pair, or check `void_id` and the ids of the mask.',
  )


def empty() -> Problem:
  return Problem(
    'error', 'empty split', '', 'the split has no examples.', 'Add some.'
  )


def never_seen(
  counts: np.ndarray,
  info: DatasetInfo,
  read: int,
  partial: bool,
  split: str,
) -> list[Problem]:
  lost = [n for n, c in zip(info.class_names, counts) if not c]
  if not lost or not read:
    return []
  where = f'in the {read} pictures of a sample' if partial else f'in {split}'
  return [
    Problem(
      'warning' if partial else 'error',
      'class never seen',
      '',
      f'{", ".join(lost)}: no pixel {where}.',
      'Check that the ids of the masks are those of the class table; take '
      'classes without pixels out of it.',
    )
  ]


def palette(file: str) -> Problem:
  return Problem(
    'note',
    'palette PNG',
    file,
    'a mask with a palette; its indices are taken as class ids.',
    '',
  )


def turned(file: str, orientation: int) -> Problem:
  return Problem(
    'warning',
    'EXIF orientation',
    file,
    f'EXIF orientation {orientation}: viewers turn this picture, training '
    'reads it as it is stored, like its mask.',
    'Check that the mask fits the picture as stored; if it was drawn on the '
    'turned one, turn the pixels (PIL.ImageOps.exif_transpose).',
  )
