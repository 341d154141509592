"""The folder of a run: whose it is, and what it can be loaded from."""

import contextlib
import fcntl
import logging
import os
import pathlib
import re
import socket
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import ml_collections

from deeplax import atomic, checkpoint, saved_config
from deeplax.data.errors import first_few
from deeplax.data.info import DatasetInfo
from deeplax.errors import RunError, UserError

log = logging.getLogger('deeplax')

CONFIG = 'config.json'
DATASET = 'dataset.json'
# Where launch/convert.py accounts for the weights it wrote here.
CONVERSION = 'conversion.txt'
LOCK = '.lock'


@contextlib.contextmanager
def locked(workdir: pathlib.Path, *, patience: float = 0) -> Iterator[None]:
  """Makes the folder, and keeps other runs out of it while this one lasts.

  The lock is the kernel's (`flock`): it ends with its process, however that
  ends. The file stays, and means nothing by itself.

  Args:
    workdir: Of the run.
    patience: Seconds to wait for the lock: a network drive may hold that of a
      host that is no more for a while.

  Raises:
    RunError: If the folder can't be written, or another run is at work there.
  """
  try:
    workdir.mkdir(parents=True, exist_ok=True)
    file = (workdir / LOCK).open('a+')
    with tempfile.TemporaryFile(dir=workdir):
      pass
  except OSError as error:
    raise RunError(
      f'the workdir {workdir} can not be written ({error.strerror}). Choose '
      'another one with --workdir.'
    ) from error
  with file:
    try:
      _lock(file, patience)
    except BlockingIOError as error:
      file.seek(0)
      raise RunError(
        f'another run is at work in {workdir}: {file.read().strip()}. Two '
        'would overwrite each other. Choose another --workdir, or wait for it.'
      ) from error
    except OSError as error:  # some network drives have no locks
      log.warning(
        'No lock on %s (%s): see to it that one run at a time uses it.',
        workdir,
        error.strerror,
      )
    file.truncate(0)
    file.write(f'process {os.getpid()} on {socket.gethostname()}\n')
    file.flush()
    yield


def who_locked(workdir: pathlib.Path) -> str:
  """Process and host of the run that is, or was last, at work there."""
  path = workdir / LOCK
  return path.read_text().strip() if path.exists() else 'nobody'


def _lock(file, patience):
  end = time.monotonic() + patience
  while True:
    try:
      return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      if time.monotonic() >= end:
        raise
      time.sleep(1)


def prepare(
  workdir: pathlib.Path,
  config: ml_collections.ConfigDict,
  info: DatasetInfo,
) -> None:
  """Writes down this config's run in its folder, or checks that it is that.

  Raises:
    RunError: If the folder holds another config's run.
  """
  check(workdir, config)
  saved_config.save(config, workdir / CONFIG)
  atomic.write_json(workdir / DATASET, info.to_json())


def check(workdir: pathlib.Path, config: ml_collections.ConfigDict) -> None:
  """Checks that a folder is free for a config's run, or holds that run.

  Raises:
    RunError: It holds another's.
  """
  path = workdir / CONFIG
  _refuse_seeds(workdir, 'Go on with --seeds, or choose another --workdir')
  if (workdir / CONVERSION).exists():
    raise RunError(
      f'{workdir} holds weights that launch/convert.py wrote, no run to go on '
      f'with. Start from them in another --workdir: --config.init_from='
      f'{workdir}'
    )
  if path.exists() and has_checkpoint(workdir):
    changed = saved_config.differences(saved_config.load(path), config)
    if changed:
      listing = '\n'.join(f'  {line}' for line in changed)
      raise RunError(
        f'{workdir} holds the run of another config. Use another --workdir, '
        f'or the config it was started with. What differs:\n{listing}'
      )


def has_checkpoint(workdir: pathlib.Path) -> bool:
  """Whether there is anything to go on from."""
  folder = workdir / 'checkpoints'
  return folder.is_dir() and any(p.name.isdigit() for p in folder.iterdir())


def seeds(workdir: pathlib.Path) -> dict[int, pathlib.Path]:
  """The runs in a folder of several seeds of one config, by seed.

  Returns:
    Nothing where there are none, or where the folder is a run itself.
  """
  if (workdir / CONFIG).exists() or not workdir.is_dir():
    return {}
  named = (
    (re.fullmatch(r'seed_(0|[1-9]\d*)', path.name), path)
    for path in workdir.iterdir()
  )
  return dict(
    sorted((int(m[1]), p) for m, p in named if m and (p / CONFIG).exists())
  )


def seed_folder(workdir: pathlib.Path, seed: int) -> pathlib.Path:
  """Where `seeds` finds the run of a seed."""
  return workdir / f'seed_{seed}'


def complete_seeds(workdir: pathlib.Path) -> dict[int, pathlib.Path]:
  """Those of `seeds` that are at their end; the others are said.

  Raises:
    RunError: None is.
  """
  found = seeds(workdir)
  complete = {s: folder for s, folder in found.items() if is_complete(folder)}
  left = ', '.join(str(seed) for seed in found if seed not in complete)
  if not complete:
    raise RunError(
      f'{workdir}: no seed is trained to its end (seeds {left}). The command '
      'that trained them goes on.'
    )
  if left:
    log.warning('%s: not trained to the end, left out: seeds %s', workdir, left)
  return complete


def is_complete(workdir: pathlib.Path) -> bool:
  """Whether a run is at its end, and its last step evaluated."""
  if not has_checkpoint(workdir):
    return False
  last = checkpoint.steps(workdir)[0][-1]
  total = saved_config.load(workdir / CONFIG).get('total_steps')
  return last == total and last in checkpoint.read_scores(
    workdir / 'checkpoints'
  )


def _refuse_seeds(workdir, advice='Choose one of them'):
  found = seeds(workdir)
  if found:
    raise RunError(
      f'{workdir} is not a run, it holds one for each seed of a config. '
      f'{advice}: {first_few(found.values())}.'
    )


def load_run(
  workdir: str | os.PathLike,
  *,
  step: int | None = None,
  best: bool = True,
) -> tuple[ml_collections.ConfigDict, DatasetInfo, dict[str, Any], int]:
  """Reads all that is needed to use a trained model.

  Args:
    workdir: Of a run.
    step: Of the checkpoint; default: the best by val mIoU, or the newest.
    best: False takes the newest.

  Returns:
    The run's config, its classes, `{'params', 'batch_stats'}` as numpy arrays
    (the averaged parameters where the run keeps them), and the step.

  Raises:
    RunError: If the folder is no run, is damaged, or has no (such) checkpoint.
  """
  workdir = pathlib.Path(workdir)
  config, info = load_config(workdir)
  variables, step = load_weights(workdir, step=step, best=best)
  return config, info, variables, step


def load_config(
  workdir: pathlib.Path,
) -> tuple[ml_collections.ConfigDict, DatasetInfo]:
  """The config of a run and its classes.

  Raises:
    RunError: If the folder is no run.
  """
  _refuse_seeds(workdir)
  config = saved_config.load(workdir / CONFIG)
  missing = {'dataset', 'input', 'model', 'loss'} - {*config}
  if missing:
    raise RunError(
      f'{workdir / CONFIG} is not the config of a run: it has no '
      f'{", ".join(sorted(missing))}. Expected what launch/train.py wrote.'
    )
  table = saved_config.load_json(workdir / DATASET)
  try:
    info = DatasetInfo.from_json(table)
  except (KeyError, TypeError, ValueError) as error:
    raise RunError(
      f'{workdir / DATASET} is no class table of a run ({error!r}). Copy the '
      'file of a run on the same data, or train again.'
    ) from error
  return config, info


def load_weights(
  workdir: pathlib.Path, **which: Any
) -> tuple[dict[str, Any], int]:
  """As `checkpoint.load_variables`, and one error for all kinds of damage."""
  _refuse_seeds(workdir)
  try:
    return checkpoint.load_variables(workdir, **which)
  except UserError:
    raise
  except Exception as error:  # Orbax raises bare ones, and many kinds
    reason = ' '.join(str(error.__cause__ or error).split())[:300]
    raise RunError(
      f'a checkpoint in {workdir / "checkpoints"} is damaged ({reason}). Copy '
      'the folder again, delete the one that is damaged, or choose another '
      'with --step.'
    ) from error
