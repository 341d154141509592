"""How worker processes fare, in words: those at work, and those that ended."""

import os
import pathlib
import shutil
import signal
from collections.abc import Iterable

# Of /proc/<pid>/stat, where there is one.
_STATES = {
  'R': 'running',
  'S': 'sleeping (it waits for something else)',
  'D': 'waiting for a disk or a network drive (state D)',
  'T': 'stopped (state T); `kill -CONT {pid}` lets it go on',
  't': 'stopped by a debugger (state t)',
}


def states(pids: Iterable[int]) -> str:
  """What each process does right now: `'4711 is running, 4712 is gone'`."""
  return ', '.join(f'{pid} is {_state(pid)}' for pid in pids)


def _state(pid: int) -> str:
  try:
    os.kill(pid, 0)
  except ProcessLookupError:
    return 'gone'
  try:
    stat = pathlib.Path(f'/proc/{pid}/stat').read_text()
  except OSError:  # another system, or it has just ended
    return 'alive'
  letter = stat.rpartition(')')[2].split()[0]
  return _STATES.get(letter, 'gone').format(pid=pid)


def explain(code: int) -> str:
  """Why a worker process ended too early, and what to do, by its exit code."""
  text = f'A worker process of the input pipeline ended with exit code {code}'
  if code == -signal.SIGKILL:
    return (
      f'{text}: it was killed, most often by the system for want of memory. '
      'Free memory, or lower input.workers or batch_size; training goes on '
      'from the last checkpoint with the same batches, whatever their number.'
    )
  if code == -signal.SIGBUS:
    return (
      f'{text} (bus error): shared memory is full{_free()}, or a memory map of '
      'the data was cut short while it was read. Enlarge the former (docker '
      'run --shm-size=8g) or lower input.workers or batch_size; delete the '
      'latter, so that it is written again.'
    )
  if code == 0:
    return (
      f'{text} before its work was done: something in it called os._exit or '
      'sys.exit. input.workers=0 runs without processes.'
    )
  name = _signal_name(code)
  if name:
    return (
      f'{text} ({name}): a library crashed in it, or somebody sent it that '
      'signal. After a crash the lines of Python that led there stand above; '
      'input.workers=0 runs them without processes.'
    )
  return (
    f'{text}; its own message stands above. If it failed while starting, the '
    "main script must be a file guarded by `if __name__ == '__main__':` (a "
    'worker imports it). input.workers=0 runs without processes and shows the '
    'error itself.'
  )


def _signal_name(code: int) -> str:
  try:
    return signal.Signals(-code).name
  except ValueError:
    return ''


def _free() -> str:
  if not os.path.isdir('/dev/shm'):
    return ''
  free = shutil.disk_usage('/dev/shm').free / 2**20
  return f' (/dev/shm has {free:.0f} MiB free)'
