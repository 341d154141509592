"""Writes the report of one run, or of several beside each other."""

import dataclasses
import logging
import os
import pathlib
from collections.abc import Sequence

from deeplax import atomic, dry_run
from deeplax.errors import RunError, UserError
from deeplax.report import page, saved, seeds

log = logging.getLogger('deeplax')


def write(
  workdir: str | os.PathLike, evaluation: pathlib.Path | None = None
) -> pathlib.Path:
  """Writes `<workdir>/report/index.html`; returns its path.

  Args:
    workdir: Of a run.
    evaluation: The JSON of an evaluation; default: that of the last one.

  Raises:
    RunError: No such thing, or the page can't be written.
  """
  workdir = pathlib.Path(workdir)
  run = saved.load(workdir, evaluation)
  return _publish(workdir / 'report' / 'index.html', [run])


def compare(
  workdirs: Sequence[str | os.PathLike], output: str | os.PathLike | None = None
) -> int:
  """Writes one page of the last evaluations of several runs.

  A run without one, or of other classes than the first, is left out and said.
  Of a folder of seeds they are the means over the seeds.

  Args:
    workdirs: Of runs, or of seeds.
    output: An HTML file; default: `report/index.html` beside the first workdir.

  Returns:
    0, or 1 if a run was left out.

  Raises:
    RunError: Fewer than two runs are left, or the page can't be written.
  """
  paths = [pathlib.Path(w) for w in workdirs]
  if len(paths) < 2:
    raise RunError(
      f'compare needs two workdirs or more, not {len(paths)}: '
      'launch/evaluate.py --compare runs/a runs/b'
    )
  runs, left_out = [], []
  for path in paths:
    try:
      run = seeds.load(path)
    except UserError as error:
      left_out.append(str(error))
      continue
    if runs and run.info.class_names != runs[0].info.class_names:
      left_out.append(
        f'{path} has other classes ({len(run.info.class_names)}) than '
        f'{runs[0].workdir} ({len(runs[0].info.class_names)}); compare runs on '
        'the same data.'
      )
      continue
    runs.append(run)
  if len(runs) < 2:
    raise RunError(' '.join(left_out))
  for reason in left_out:
    log.error('error: left out: %s', reason)
  if len({run.name for run in runs}) < len(runs):
    runs = [dataclasses.replace(run, name=str(run.workdir)) for run in runs]
  if output is None:
    output = paths[0].resolve().parent / 'report' / 'index.html'
  dry_run.ends_here(
    lambda: f'{", ".join(r.name for r in runs)} would be compared in {output}.'
  )
  print(seeds.table(runs))
  print(f'Report: {_publish(pathlib.Path(output), runs)}')
  return int(bool(left_out))


def _publish(path, runs):
  content = page.render(runs)
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write(path, content)
  except OSError as error:
    raise RunError(
      f'{path} can not be written ({error.strerror}). Make room or give access '
      'to it.'
    ) from error
  return path
