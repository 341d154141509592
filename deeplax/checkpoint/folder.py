"""The folder of checkpoints, as far as names and checksums tell."""

import logging
import pathlib
import shutil

import orbax.checkpoint as ocp

from deeplax import checksums

log = logging.getLogger('deeplax')


def set_damaged_aside(directory: pathlib.Path) -> None:
  """Leaves a folder whose newest checkpoint is sound, for whoever goes on.

  What is damaged is named and renamed, to `damaged-<step>`; what a killed run
  left half written is deleted. Only the folder's one writer may do this.
  """
  if not directory.is_dir():
    return
  for part in directory.glob(f'*{ocp.path.atomicity.TMP_DIR_SUFFIX}*'):
    shutil.rmtree(part)
  steps = saved_steps(directory)
  for step in reversed(steps):
    damage = checksums.damage(directory / str(step))
    if not damage:
      return
    aside = _free_name(directory / f'damaged-{step}')
    (directory / str(step)).rename(aside)
    log.warning(
      'The checkpoint of step %d is damaged: %s. It is skipped, and kept as '
      '%s.',
      step,
      damage,
      aside,
    )
  if steps:
    log.warning('No checkpoint is sound: the run begins again, at step 0.')


def saved_steps(directory: pathlib.Path) -> list[int]:
  """Steps by the names of the folders, without opening anything."""
  return sorted(int(p.name) for p in directory.iterdir() if p.name.isdigit())


def _free_name(path):
  names = [path, *(path.with_name(f'{path.name}-{i}') for i in range(2, 1000))]
  return next(name for name in names if not name.exists())
