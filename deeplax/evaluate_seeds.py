"""Evaluates a run, or every seed in a folder of them, and their spread."""

import datetime
import logging
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from deeplax import atomic, dry_run, evaluation_files
from deeplax import workdir as workdir_lib
from deeplax.data import DataError
from deeplax.errors import RunError, UserError
from deeplax.evaluate_run import evaluate_run
from deeplax.evaluation import Evaluation
from deeplax.report import saved, seeds

log = logging.getLogger('deeplax')

_OPTIONS = ('output_stride', 'scales', 'flip', 'window', 'max_pictures', 'crf')


def evaluate(workdir: str | os.PathLike, **options: Any) -> int:
  """`evaluate_run`; of a folder of seeds it evaluates each complete one.

  Of these it prints mean and standard deviation (n - 1) for each output stride,
  and writes them to `<workdir>/evaluation/<split>-<options>.json`. A seed that
  can't be evaluated is left out and said.

  Args:
    workdir: Of a run, or of seeds.
    **options: Of `evaluate_run`.

  Returns:
    An exit code, 1 if a seed was left out because of an error.

  Raises:
    UserError, DataError: Of the run, or of all seeds.
  """
  workdir = pathlib.Path(workdir)
  if not workdir_lib.seeds(workdir):
    evaluate_run(workdir, **options)
    return 0
  folders = workdir_lib.complete_seeds(workdir)
  found, errors, plans = {}, {}, []
  for seed, folder in folders.items():
    try:
      found[seed] = evaluate_run(folder, **options)
    except dry_run.Rehearsed as end:
      plans.append(str(end))
    except (UserError, DataError) as error:
      if jax.process_count() > 1:  # the others may not have met it
        raise
      errors[seed] = error
  if errors and not (found or plans):
    raise next(iter(errors.values()))
  for seed, error in errors.items():
    log.error('error: left out: seed %d: %s', seed, error)
  if plans:
    target = f'Mean and deviation would go to {workdir}/evaluation.'
    raise dry_run.Rehearsed('\n'.join([*plans, target]))
  if jax.process_index() == 0:
    _summarize(workdir, folders, found, options.get('step'))
  return int(bool(errors))


def _summarize(
  workdir: pathlib.Path,
  folders: Mapping[int, pathlib.Path],
  found: Mapping[int, Sequence[Evaluation]],
  step: int | None,
) -> None:
  """Prints and writes what the seeds have in common, by output stride."""
  for evaluations in zip(*found.values(), strict=True):
    runs = {
      seed: saved.load(folders[seed], evaluation.file)
      for seed, evaluation in zip(found, evaluations)
    }
    mean = seeds.mean(workdir, runs)
    print(f'\n{workdir}, {mean.result["split"]}: {mean.views}')
    for seed, run in runs.items():
      print(
        f'seed {seed}, step {run.result["step"]}: mIoU '
        f'{100 * run.figure("miou"):.2f} %'
      )
    print(seeds.table([mean]))
    print(f'Written to {_write(workdir, runs, mean, step)}')


def _write(workdir, runs, mean, step):
  result = mean.result
  name = evaluation_files.name_of(result['split'], step, result)
  path = workdir / 'evaluation' / f'{name}.json'
  evaluation_files.make_folder(path.parent)
  try:
    atomic.write_json(
      path,
      {
        'split': result['split'],
        **{key: result[key] for key in _OPTIONS},
        'written': datetime.datetime.now(datetime.UTC).isoformat(),
        'seeds': [
          {
            'seed': seed,
            'step': run.result['step'],
            'file': f'{run.workdir.name}/evaluation/{run.file}.json',
          }
          for seed, run in runs.items()
        ],
        'figures': {
          name: found.to_json() for name, found in mean.spreads.items()
        },
      },
    )
  except OSError as error:
    raise RunError(f'{path} can not be written ({error.strerror}).') from error
  return path
