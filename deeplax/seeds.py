"""Several seeds of one config, one run after the other."""

import contextlib
import dataclasses
import gc
import logging
import math
import pathlib
from collections.abc import Iterator, Sequence

import ml_collections
import numpy as np

from deeplax import (
  atomic,
  checkpoint,
  data,
  distributed,
  dry_run,
  fitting,
  interrupt,
  spread,
  tally,
)
from deeplax import config as config_lib
from deeplax import workdir as workdir_lib
from deeplax.data import DataError
from deeplax.data.workers import WorkerError
from deeplax.errors import RunError, Stopped, UserError
from deeplax.train import train_and_evaluate

log = logging.getLogger('deeplax')

FILE = 'seeds.json'


@dataclasses.dataclass(frozen=True)
class Seed:
  """The scores of a complete run.

  Attributes:
    seed: Its seed.
    folder: The run's, below that of the seeds.
    step: The last one.
    last: val mIoU after it; NaN where nothing is labelled.
    best: The highest of all evaluations.
    best_step: That of `best`; None if it is NaN.
  """

  seed: int
  folder: str
  step: int
  last: float
  best: float
  best_step: int | None


def train_seeds(
  config: ml_collections.ConfigDict, workdir: pathlib.Path, count: int
) -> list[Seed]:
  """Trains `config.seed`, + 1, ..., each as a run of its own in `seed_<n>`.

  Called again it goes on; runs that are complete stay as they are. In a job
  all processes train the same seed.

  Args:
    config: One of configs/.
    workdir: Of the seeds; made when absent.
    count: How many seeds.

  Returns:
    All complete seeds of the folder; `<workdir>/seeds.json` has them, too.

  Raises:
    Stopped: On a signal, as `train_and_evaluate`; between two seeds, too.
    UserError: Of a config, or of one seed, which is named; what was done of the
      others stays.
    DataError, WorkerError: Of one seed.
  """
  config_lib.validate(config)
  seeds = range(config.seed, config.seed + count)
  config_lib.validate(_with_seed(config, seeds[-1]))
  distributed.agree('--seeds', str(seeds), 'Start all with the same flags.')
  config = _check(config, workdir)
  plans = []
  with interrupt.stoppable() as stop:
    for seed in seeds:
      folder = workdir_lib.seed_folder(workdir, seed)
      log.info('Seed %d (%d of %d)', seed, seed - seeds[0] + 1, count)
      try:
        with distributed.one_of_several(folder.name), _named(seed):
          train_and_evaluate(_with_seed(config, seed), folder)
      except dry_run.Rehearsed as end:
        plans.append(str(end))
        continue
      # What was left open is the same for all, whatever the memory is by then.
      config = fitting.complete(config, folder)
      gc.collect()  # the state of this seed, before there is the next one's
      if seed != seeds[-1]:
        _look(stop, seed)
  if plans:
    # What all have in common is said once.
    lines = [line for plan in plans for line in plan.splitlines()]
    raise dry_run.Rehearsed('\n'.join(dict.fromkeys(lines)))
  found = read(workdir)
  if distributed.is_first():
    atomic.write_json(workdir / FILE, to_json(found))
  return found


def read(workdir: pathlib.Path) -> list[Seed]:
  """The complete seeds of a folder, of this start or before.

  Raises:
    RunError: There is none.
  """
  found = []
  for seed, folder in workdir_lib.complete_seeds(workdir).items():
    scores = checkpoint.read_scores(folder / 'checkpoints')
    last, best = max(scores), checkpoint.best_step(scores, scores)
    high = math.nan if best is None else scores[best]
    found.append(Seed(seed, folder.name, last, scores[last], high, best))
  return found


def spreads(seeds: Sequence[Seed]) -> dict[str, spread.Spread]:
  """Of `'last'` and of `'best'`."""
  return {
    key: spread.of([getattr(seed, key) for seed in seeds])
    for key in ('last', 'best')
  }


def to_json(seeds: Sequence[Seed]) -> dict[str, object]:
  """The attributes of each, and the spreads; NaN is null."""
  return {
    'metric': checkpoint.BEST_METRIC,
    'seeds': [
      {
        key: None if value != value else value  # NaN
        for key, value in dataclasses.asdict(seed).items()
      }
      for seed in seeds
    ],
    **{key: value.to_json() for key, value in spreads(seeds).items()},
  }


def table(seeds: Sequence[Seed]) -> str:
  """The scores and their spreads, for people."""
  rows = [('val mIoU, %', 'last', 'best', 'at step')]
  for seed in seeds:
    scores = (f'{100 * score:.2f}' for score in (seed.last, seed.best))
    rows.append((f'seed {seed.seed}', *scores, f'{seed.best_step}'))
  words = (value.words() for value in spreads(seeds).values())
  rows.append((f'mean of {len(seeds)}, ± std', *words, ''))
  return '\n'.join(
    f'{name:<22}{last:>16}{best:>16}{step:>10}'.rstrip()
    for name, last, best, step in rows
  )


def _with_seed(config, seed):
  config = config.copy_and_resolve_references()
  config.seed = seed
  return config.lock()


def _check(config, workdir):
  """The config as what has begun in the folder left it, which must be of it.

  Raises:
    RunError: It is another's.
  """
  if (workdir / workdir_lib.CONFIG).exists():
    raise RunError(
      f'{workdir} is a run itself, and would hold one for each seed. Choose '
      'another --workdir; what is there is left as it is.'
    )
  begun = {
    seed: folder
    for seed, folder in workdir_lib.seeds(workdir).items()
    if workdir_lib.has_checkpoint(folder)
  }
  if begun:
    config = fitting.complete(config, next(iter(begun.values())))
    dataset = config.dataset
    source = data.source(dataset.name, dataset.train_split, dataset.dir)
    resolved = config_lib.resolve(config, len(source))
    for seed, folder in begun.items():
      workdir_lib.check(folder, _with_seed(resolved, seed))
  return config


@contextlib.contextmanager
def _named(seed: int) -> Iterator[None]:
  """Errors within it say which seed they are of."""
  try:
    yield
  except (UserError, DataError, WorkerError, Stopped) as error:
    error.args = (f'seed {seed}: {error}',)
    raise
  except Exception as error:
    error.add_note(f'It was seed {seed}.')
    raise


def _look(stop: interrupt.Stop, seed: int) -> None:
  """Ends between two seeds where a process was told to stop."""
  told = tally.sum_over_processes(np.array([bool(stop)], np.int64))
  if told.any():
    who = stop.name if stop else 'another process was told to stop'
    raise Stopped(
      f'{who}: stopped after seed {seed}, which is complete. The same command '
      'goes on with the next one.'
    )
