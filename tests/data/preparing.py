"""What the tests of memory maps and of prepare share."""

import hashlib
import os
import signal
import subprocess
import sys
import time

import numpy as np


def contents(folder):
  """Digest by path of every file below a folder, but for locks."""
  found = {}
  for root, _, names in os.walk(folder):
    for name in names:
      if name != '.lock':
        path = os.path.join(root, name)
        with open(path, 'rb') as file:
          digest = hashlib.sha256(file.read()).hexdigest()
        found[os.path.relpath(path, folder)] = digest
  return found


def assert_same_examples(a, b, keys=('image', 'label')):
  """Every example of two sources is equal, in order."""
  assert len(a) == len(b)
  for i in range(len(a)):
    x, y = a[i], b[i]
    assert x['id'] == y['id']
    for key in keys:
      np.testing.assert_array_equal(x[key], y[key], err_msg=f'{key} of {i}')


def run_and_kill(code, is_time):
  """Runs Python code in a process and kills it once `is_time()` is true.

  Returns:
    Whether it was killed before it ended by itself.
  """
  env = {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}
  process = subprocess.Popen(
    [sys.executable, '-c', code],
    env=env,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
  )
  deadline = time.monotonic() + 120
  while process.poll() is None and not is_time():
    assert time.monotonic() < deadline, 'it neither ended nor came so far'
    time.sleep(0.002)
  process.send_signal(signal.SIGKILL)
  error = process.communicate()[1].decode()
  assert process.returncode in (0, -signal.SIGKILL), error
  return process.returncode != 0


class Slow:
  """A source that takes its time, so that it can be killed at its work."""

  def __init__(self, source, seconds):
    self._source, self._seconds = source, seconds

  def __len__(self):
    return len(self._source)

  def __getitem__(self, index):
    time.sleep(self._seconds)
    return self._source[index]
