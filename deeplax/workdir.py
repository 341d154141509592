"""The folder of a run: whose it is, and what it can be loaded from."""

import logging
import os
import pathlib
import tempfile
from typing import Any

import ml_collections

from deeplax import checkpoint
from deeplax import config as config_lib
from deeplax.data.info import DatasetInfo
from deeplax.errors import RunError, UserError

log = logging.getLogger('deeplax')

CONFIG = 'config.json'
DATASET = 'dataset.json'
# Where launch/convert.py accounts for the weights it wrote here.
CONVERSION = 'conversion.txt'


def prepare(
  workdir: pathlib.Path,
  config: ml_collections.ConfigDict,
  info: DatasetInfo,
) -> None:
  """Makes the folder of this config's run, or checks that it is.

  Raises:
    RunError: If the folder can't be written or holds another config's run.
  """
  try:
    workdir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=workdir):
      pass
  except OSError as error:
    raise RunError(
      f'the workdir {workdir} can not be written ({error.strerror}). Choose '
      'another one with --workdir.'
    ) from error
  path = workdir / CONFIG
  if (workdir / CONVERSION).exists():
    raise RunError(
      f'{workdir} holds weights that launch/convert.py wrote, no run to go on '
      f'with. Start from them in another --workdir: --config.init_from='
      f'{workdir}'
    )
  if path.exists() and has_checkpoint(workdir):
    changed = config_lib.differences(config_lib.load(path), config)
    if changed:
      listing = '\n'.join(f'  {line}' for line in changed)
      raise RunError(
        f'{workdir} holds the run of another config. Use another --workdir, '
        f'or the config it was started with. What differs:\n{listing}'
      )
  config_lib.save(config, path)
  checkpoint.write_json(workdir / DATASET, info.to_json())


def has_checkpoint(workdir: pathlib.Path) -> bool:
  """Whether there is anything to go on from."""
  folder = workdir / 'checkpoints'
  return folder.is_dir() and any(p.name.isdigit() for p in folder.iterdir())


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
  config = config_lib.load(workdir / CONFIG)
  missing = {'dataset', 'input', 'model', 'loss'} - {*config}
  if missing:
    raise RunError(
      f'{workdir / CONFIG} is not the config of a run: it has no '
      f'{", ".join(sorted(missing))}. Expected what launch/train.py wrote.'
    )
  try:
    info = DatasetInfo.from_json(config_lib.load_json(workdir / DATASET))
  except (KeyError, TypeError) as error:
    raise RunError(
      f'{workdir / DATASET} is no class table of a run ({error!r}). Copy the '
      'file of a run on the same data, or train again.'
    ) from error
  variables, step = _load_variables(workdir, step=step, best=best)
  return config, info, variables, step


def _load_variables(workdir, **which):
  """As `checkpoint.load_variables`, and one error for all kinds of damage."""
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


def load_initial(
  location: str, variables: dict[str, Any], *, strict: bool
) -> dict[str, Any]:
  """Fills fresh variables with another run's, and logs what did not match.

  Args:
    location: A workdir, optionally `workdir@latest`, `workdir@best` (the
      default) or `workdir@STEP`.
    variables: Freshly drawn.
    strict: Every array of this model must be found.

  Raises:
    RunError: If nothing matches, or not all does and `strict` is set.
  """
  path, _, which = location.partition('@')
  if which not in ('', 'best', 'latest') and not which.isdigit():
    raise RunError(
      f'init_from (={location!r}): what follows @ must be best, latest or a '
      f'step, not {which!r}.'
    )
  source, step = _load_variables(
    pathlib.Path(path),
    step=int(which) if which.isdigit() else None,
    best=which != 'latest',
  )
  merged, report, complete = checkpoint.merge(variables, source)
  log.info('init_from %s, step %d: %s', path, step, report)
  if report.startswith('0 of') or (strict and not complete):
    raise RunError(
      f'init_from (={location!r}) does not fit this model'
      f'{" (init_strict is set)" if strict else ""}: {report}'
    )
  return merged
