"""Worker processes that die, hang, are stopped, or signalled with the trainer.

Real processes: each test waits for some to boot.
"""

import logging
import multiprocessing
import os
import pathlib
import pickle
import re
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from deeplax.data import collate, worker_ends, workers
from deeplax.data.pipeline import train_batches
from deeplax.data.workers import WorkerError

ROOT = pathlib.Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(
  not os.path.isdir('/proc/self'), reason='reads /proc'
)


class HomeboundError(Exception):
  """Can't be unpickled: its constructor wants two."""

  def __init__(self, one, two):
    super().__init__(f'{one} and {two}')


def leave_without_a_word():
  os._exit(0)


def crash():
  os.kill(os.getpid(), signal.SIGSEGV)


def no_memory():
  raise MemoryError('Unable to allocate 7 GiB')


def bug():
  raise HomeboundError('apples', 'pears')


def read_for_ever():
  reader, _ = os.pipe()
  os.read(reader, 1)


class Trouble:
  """Small pictures; `act` happens at the 24th in a worker, or all the time."""

  def __init__(self, act=None, first=24):
    self._act, self._first = act, first
    self._read = 0

  def __len__(self):
    return 100

  def __getitem__(self, index):
    self._read += 1
    if self._act and self._read > self._first:
      self._act()
    return {
      'image': np.full((16, 16, 3), index, np.uint8),
      'label': np.zeros((16, 16), np.uint8),
      'id': str(index),
    }


def batches_of(source, workers=1):
  return train_batches(
    source, ops='random_crop(16, 16)', batch_size=4, seed=0, workers=workers
  )


def alive(pids):
  found = []
  for pid in pids:
    try:
      stat = pathlib.Path(f'/proc/{pid}/stat').read_text()
    except OSError:
      continue
    if stat.rpartition(')')[2].split()[0] != 'Z':
      found.append(pid)
  return found


def gone_soon(pids):
  end = time.monotonic() + 20
  while alive(pids) and time.monotonic() < end:
    time.sleep(0.05)
  return not alive(pids)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
  monkeypatch.setattr(workers, '_LAST_WORDS', 1.0)
  monkeypatch.setattr(workers, '_CLOSING', 1.0)


@pytest.mark.parametrize(
  ('code', 'words'),
  [
    (0, 'os._exit or sys.exit'),
    (1, 'its own message stands above'),
    (-signal.SIGKILL, 'want of memory'),
    (-signal.SIGBUS, 'shared memory is full .* memory map'),
    (-signal.SIGSEGV, r'\(SIGSEGV\): a library crashed'),
  ],
)
def test_exit_codes_in_words(code, words):
  found = worker_ends.explain(code)
  assert re.search(rf'ended with exit code {code}\b.*{words}', found)


def test_a_worker_that_leaves_without_an_error_is_missed():
  with batches_of(Trouble(leave_without_a_word), workers=2) as batches:
    ours = [p.pid for p in multiprocessing.active_children()]
    assert len(ours) == 2
    with pytest.raises(WorkerError, match=r'exit code 0 .*os\._exit'):
      for _ in range(40):
        next(batches)
    assert next(batches, None) is None
  assert gone_soon(ours)


@pytest.mark.parametrize('act', [no_memory, bug])
def test_errors_of_ones_own_arrive_without_workers_too(act):
  with (
    batches_of(Trouble(act), workers=0) as batches,
    pytest.raises((MemoryError, RuntimeError), match=r'7 GiB|apples and pears'),
  ):
    for _ in range(40):
      next(batches)


def test_errors_that_can_not_travel_are_put_into_words():
  with pytest.raises(RuntimeError, match='HomeboundError: apples') as error:
    collate.Load(Trouble(bug, first=0), ())(7, np.random.default_rng())
  again = pickle.loads(pickle.dumps(error.value))
  assert 'with example 7 of the source' in again.__notes__[0]


def test_a_stopped_worker_is_named_and_may_go_on(monkeypatch):
  monkeypatch.setattr(workers, '_TELL', 1.0)
  whole = batches_of(Trouble(), workers=0)
  with batches_of(Trouble(), workers=2) as batches, whole:
    (pid, other) = [p.pid for p in multiprocessing.active_children()]
    for _ in range(3):
      np.testing.assert_array_equal(
        next(batches)['index'], next(whole)['index']
      )
    os.kill(pid, signal.SIGSTOP)

    stopped = f'{pid} is stopped (state T); `kill -CONT {pid}`'
    found = []

    class Continue(logging.Handler):
      def emit(self, record):
        if stopped in record.getMessage():
          found.append(record.getMessage())
          os.kill(pid, signal.SIGCONT)

    log = logging.getLogger('deeplax.data.workers')
    log.addHandler(handler := Continue())
    for _ in range(100):  # however many it had made before
      np.testing.assert_array_equal(
        next(batches)['index'], next(whole)['index']
      )
      if found:
        break
    log.removeHandler(handler)
    assert f'{other} is' in found[0]
    os.kill(pid, signal.SIGSTOP)
  assert gone_soon([pid, other])  # stopped ones are ended, too


def test_closing_ends_a_worker_that_reads_for_ever():
  with batches_of(Trouble(read_for_ever)) as batches:
    (worker,) = [p.pid for p in multiprocessing.active_children()]
    for _ in range(6):
      next(batches)
  assert gone_soon([worker])


def test_slow_reading_without_workers_is_told(monkeypatch, caplog):
  monkeypatch.setattr(workers, '_TELL', 0.5)
  monkeypatch.setattr(workers, '_LOOK', 0.1)
  with batches_of(Trouble(lambda: time.sleep(0.8), first=0), 0) as batches:
    next(batches)
  assert any(
    'threads of this process' in r.getMessage() for r in caplog.records
  )


# --------------------------------------------------- a trainer of its own

SCRIPT = """
  import signal, sys
  sys.path[:0] = [{root!r}, {tests!r}]
  from multiprocessing import shared_memory
  shared_memory._SHM_NAME_PREFIX = {prefix!r}  # in the workers, too

  def main(argv):
    import multiprocessing
    import test_workers
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    batches = test_workers.batches_of(
      test_workers.Trouble({act}), workers={workers})
    print(*[p.pid for p in multiprocessing.active_children()], flush=True)
    next(batches)
    print('ready', flush=True)
    while not stop:
      next(batches)
    for _ in range(10):  # more than were made ahead
      next(batches)
    batches.close()
    print('finished', flush=True)

  if __name__ == '__main__':
    from deeplax import cli
    cli.run(main)
"""


class Trainer:
  """A command in a process group of its own, and its workers."""

  def __init__(self, folder, act='None', workers=2):
    # To know its segments from those of others; such names are short.
    self._prefix = f'/dx{abs(hash(str(folder))) % 10**5}'
    script = folder / 'script.py'
    script.write_text(
      textwrap.dedent(
        SCRIPT.format(
          root=str(ROOT),
          tests=str(pathlib.Path(__file__).parent),
          prefix=self._prefix,
          act=act,
          workers=workers,
        )
      )
    )
    self.process = subprocess.Popen(
      [sys.executable, str(script)],
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
      start_new_session=True,
    )
    self.workers = [int(p) for p in self.process.stdout.readline().split()]

  def wait_until_ready(self):
    assert self.process.stdout.readline() == 'ready\n'
    assert self.workers and alive(self.workers) == self.workers

  def end(self):
    """Waits for it; returns code, output, errors."""
    output, errors = self.process.communicate(timeout=60)
    assert gone_soon(self.workers)
    end = time.monotonic() + 20
    while self.segments() and time.monotonic() < end:
      time.sleep(0.05)  # Python's own process sweeps behind killed ones
    assert not self.segments()
    return self.process.returncode, output, errors

  def segments(self):
    return list(pathlib.Path('/dev/shm').glob(f'{self._prefix[1:]}*'))


def test_workers_are_deaf_to_sigterm_of_the_group(tmp_path):
  trainer = Trainer(tmp_path)
  for pid in trainer.workers:  # while they boot
    os.kill(pid, signal.SIGTERM)
  trainer.wait_until_ready()
  assert trainer.segments()  # what is looked for in the end is to be found
  os.killpg(trainer.process.pid, signal.SIGTERM)
  assert trainer.end() == (0, 'finished\n', '')


def test_workers_that_read_for_ever_die_with_their_trainer(tmp_path):
  trainer = Trainer(tmp_path, 'test_workers.read_for_ever')
  trainer.wait_until_ready()
  trainer.process.kill()
  trainer.end()


def test_a_crash_in_a_worker_ends_the_command_with_its_reason(tmp_path):
  code, output, errors = Trainer(tmp_path, 'test_workers.crash', 1).end()
  assert (code, output) == (1, 'ready\n')
  assert 'in crash' in errors  # the line of Python that led there
  assert 'error: A worker process' in errors and '(SIGSEGV)' in errors
  assert 'Traceback' not in errors


def test_a_bug_in_a_worker_ends_the_command_with_its_reason(tmp_path):
  code, output, errors = Trainer(tmp_path, 'test_workers.bug', 1).end()
  assert (code, output) == (1, 'ready\n')
  assert 'HomeboundError: apples and pears' in errors
  assert 'It happened with example' in errors
