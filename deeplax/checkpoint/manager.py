"""Orbax's manager, with our names, checksums and choice of what is kept."""

import asyncio
import contextlib
import dataclasses
import errno
import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

import jax
import orbax.checkpoint as ocp

from deeplax import atomic, checksums
from deeplax.checkpoint.scores import best_step

# Kept besides the best: should the newest be damaged, there is another.
NEWEST = 2


def composite(kind: type, items: dict[str, Any]) -> ocp.args.Composite:
  """Arguments of a save or restore, of one kind for all items."""
  return ocp.args.Composite(**{name: kind(x) for name, x in items.items()})


@contextlib.contextmanager
def disk_errors(directory: os.PathLike) -> Iterator[None]:
  """Makes of Orbax's errors that a disk is full those that Python has."""
  try:
    yield
  except (ValueError, RuntimeError) as error:
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
      if os.strerror(number) in str(error):
        raise OSError(number, os.strerror(number), str(directory)) from error
    raise


def check_space(directory: os.PathLike, items: Any) -> None:
  """Fails before anything is written where there surely is no room for it."""
  needed = sum(leaf.nbytes for leaf in jax.tree.leaves(items))
  if shutil.disk_usage(directory).free < needed:
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(directory))
    error.add_note(f'A checkpoint takes {needed / 1e6:.0f} MB.')
    raise error


@dataclasses.dataclass
class _BestAndNewest(ocp.checkpoint_managers.PreservationPolicy):
  """By the scores, which come after the checkpoint that they are of."""

  scores: dict[int, float]

  def should_preserve(self, checkpoints, *, context):
    del context
    found = [checkpoint.step for checkpoint in checkpoints]
    kept = {*sorted(found)[-NEWEST:], best_step(found, self.scores)}
    return [step in kept for step in found]


class _Summed(ocp.path.atomicity.AtomicRenameTemporaryPath):
  """A checkpoint gets its checksums before its name."""

  async def finalize(self):
    await asyncio.to_thread(self._finish)

  def _finish(self):
    if self._checkpoint_metadata_store:
      self._checkpoint_metadata_store.wait_until_finished()
    folder = pathlib.Path(self.get())
    (folder / ocp.path.atomicity.COMMIT_SUCCESS_FILE).touch()
    checksums.write(folder)
    atomic.publish(folder, self.get_final())


def open_manager(
  directory: pathlib.Path, scores: dict[int, float], *, read_only: bool
) -> ocp.CheckpointManager:
  """A manager of the folder; `scores` may grow while it is open."""
  reading = {'save_interval_steps': 0, 'create': False} if read_only else {}
  options = ocp.CheckpointManagerOptions(
    preservation_policy=_BestAndNewest(scores),
    read_only=read_only,
    temporary_path_class=_Summed,
    **reading,
  )
  # Named here, so that a fresh manager can tell what a checkpoint holds.
  handlers = {
    name: ocp.StandardCheckpointHandler()
    for name in ('model', 'optimizer', 'ema')
  }
  return ocp.CheckpointManager(
    pathlib.Path(directory).absolute(), options=options, item_handlers=handlers
  )
