"""The evaluations of several seeds of one config as one: means and spreads."""

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deeplax import spread
from deeplax import workdir as workdir_lib
from deeplax.errors import RunError
from deeplax.report import saved
from deeplax.report.saved import Run

# Names of figures beyond those of `Run.scalars`.
BOUNDARY, CALIBRATION = 'boundary_iou', 'calibration_error'


def load(workdir: pathlib.Path) -> Run:
  """As `saved.load`; of a folder of seeds the mean over those complete.

  Raises:
    RunError: No run, or as `mean`.
  """
  if not workdir_lib.seeds(workdir):
    return saved.load(workdir)
  folders = workdir_lib.complete_seeds(workdir)
  return mean(workdir, {s: saved.load(path) for s, path in folders.items()})


def mean(workdir: pathlib.Path, runs: Mapping[int, Run]) -> Run:
  """One run with the mean of all figures, and `spreads`.

  Where a seed lacks a figure, as the IoU of a class that it neither met nor
  predicted, the mean is over the others. The confusion is the sum. Device and
  time are those of the first seed; pictures there are none.

  Args:
    workdir: Of the seeds.
    runs: Evaluations by seed, one or more.

  Raises:
    RunError: They were not evaluated alike.
  """
  first = next(iter(runs.values()))
  for what, of in (
    ('classes', lambda run: run.info.class_names),
    ('split', lambda run: run.result['split']),
    ('pictures', lambda run: run.result['pictures']),
    ('views', lambda run: run.views),
  ):
    for seed, run in runs.items():
      if of(run) != of(first):
        raise RunError(
          f'the last evaluations of the seeds in {workdir} are not alike '
          f'({what}: {_brief(of(first))} of {first.workdir.name}, '
          f'{_brief(of(run))} of seed_{seed}). Evaluate all of them: '
          f'launch/evaluate.py --workdir={workdir}'
        )
  found = list(runs.values())
  names = dict.fromkeys(name for run in found for name in run.scalars)
  figures = {name: [run.figure(name) for run in found] for name in names} | {
    BOUNDARY: [run.measures['boundary']['miou'] for run in found],
    CALIBRATION: [run.measures['calibration']['ece'] for run in found],
  }
  spreads = {name: spread.of(values) for name, values in figures.items()}
  n = len(found)
  return dataclasses.replace(
    first,
    name=workdir.resolve().name,
    workdir=workdir,
    file='+'.join(dict.fromkeys(run.file for run in found)),
    config={**first.config, 'seed': list(runs)},
    result={
      **first.result,
      'step': ', '.join(str(run.result['step']) for run in found),
      'written': max(str(run.result['written']) for run in found),
    },
    scalars={name: spreads[name].mean for name in names},
    confusion=sum(run.confusion for run in found),
    measures=_mean([run.measures for run in found]),
    pictures=[],
    views=f'{first.views}; mean ± standard deviation of {n} '
    f'seed{"s" * (n > 1)}',
    spreads=spreads,
  )


def table(runs: Sequence[Run]) -> str:
  """mIoU and IoU by class, for people; of seeds with their deviation."""
  rows = [
    ['', *(run.name for run in runs)],
    ['seeds', *(_count(run) for run in runs)],
    ['mIoU %', *(_words(run, 'miou') for run in runs)],
  ]
  for name in runs[0].info.class_names:
    rows.append([name, *(_words(run, f'iou/{name}') for run in runs)])
  widths = [max(map(len, column)) for column in zip(*rows)]
  return '\n'.join(
    '  '.join(
      f'{cell:{">" if i else "<"}{width}}'
      for i, (cell, width) in enumerate(zip(row, widths))
    )
    for row in rows
  )


def _count(run):
  return str(len(run.config['seed'])) if run.spreads else '-'


def _words(run, name):
  if not run.spreads:
    value = run.figure(name)
    return '-' if math.isnan(value) else f'{100 * value:.2f}'
  found = run.spreads.get(name, spread.of([]))
  fewer = f' (n = {found.n})' if 0 < found.n < run.spreads['miou'].n else ''
  return found.words() + fewer


def _brief(value):
  return len(value) if isinstance(value, tuple) else value


def _mean(trees: Sequence[Any]) -> Any:
  """Of the numbers in trees of one form, over those that are not NaN.

  None where one of them has None.
  """
  first = trees[0]
  if any(tree is None for tree in trees):
    return None
  if isinstance(first, Mapping):
    return {key: _mean([tree[key] for tree in trees]) for key in first}
  if isinstance(first, list):
    return [_mean(values) for values in zip(*trees)]
  known = [value for value in trees if not math.isnan(value)]
  # What all have in common keeps its type: counts are whole numbers.
  return known[0] if len({*known}) == 1 else float(np.mean(known or [math.nan]))
