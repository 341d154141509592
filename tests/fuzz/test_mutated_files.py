"""Damaged files end in a clear error or a sound result, whoever reads them.

`FUZZ_COUNT` cases are shared among the readers, `FUZZ_SEED` draws others; `make
fuzz` sets both. A failure names reader, seed and case:
`python -m tests.fuzz.batch READER SEED CASE 1` repeats it.
"""

import json
import os
import queue
import subprocess
import sys
import threading

import pytest

from tests.fuzz.batch import ALL, SECONDS
from tests.fuzz.seeds import ROOT

SEED = int(os.environ.get('FUZZ_SEED', '0'))
COUNT = -(-int(os.environ.get('FUZZ_COUNT', '1400')) // len(ALL))
_NEEDS = {'torch': 'torch', 'keras': 'h5py', 'tf_deeplab': 'tensorflow',
          'tfds': 'tensorflow'}  # fmt: skip
_START = 120  # seconds, to load libraries


def run(name: str, seed: int, count: int) -> tuple[list[str], dict]:
  """What failed, in words, and how many cases ended how."""
  failures, kinds, first = [], {}, 0
  while first < count:
    last, words, done = _batch(name, seed, first, count - first, kinds)
    failures += words
    if done:
      break
    first = count if last is None else last + 1
  return failures, kinds


def _batch(name, seed, first, count, kinds):
  process = subprocess.Popen(
    [sys.executable, '-m', 'tests.fuzz.batch', name]
    + [str(n) for n in (seed, first, count)],
    cwd=ROOT,
    env={**os.environ, 'PYTHONFAULTHANDLER': '1'},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  lines, errors = queue.Queue(), []
  threads = [
    threading.Thread(target=lambda: [*map(lines.put, process.stdout)]),
    threading.Thread(target=lambda: errors.append(process.stderr.read())),
  ]
  for thread in threads:
    thread.start()
  last, failures, done, why = None, [], False, ''
  while not done:
    try:
      line = lines.get(timeout=_START if last is None else 9 * SECONDS)
    except queue.Empty:
      why = 'hangs' if process.poll() is None else 'the process ended'
      break
    report = json.loads(line)
    done = report.pop('done', False)
    if done:
      kinds.update({k: kinds.get(k, 0) + n for k, n in report.items()})
    elif 'error' in report:
      failures.append(f'{name} {seed} {report}')
    last = report.get('case', last)
    if not done and process.poll() is not None and lines.empty():
      for thread in threads:
        thread.join()
      if lines.empty():
        why = 'the process ended'
        break
  process.kill()
  process.wait()
  for thread in threads:
    thread.join()
  if not done:
    failures.append(
      f'{name} {seed} case {last}: {why} ({process.returncode}) '
      f'{errors[0][-3000:]}'
    )
  return last, failures, done


@pytest.mark.parametrize('name', ALL)
def test_damaged_files(name):
  if name in _NEEDS:
    pytest.importorskip(_NEEDS[name])
  count = -(-COUNT // ALL[name].cost)
  failures, kinds = run(name, SEED, count)
  assert not failures, f'{len(failures)} failed:\n' + '\n'.join(failures[:20])
  assert sum(kinds.values()) == count
  # Where nothing is refused, or all, nothing is tried.
  assert kinds['clear'] > count / 20, kinds
