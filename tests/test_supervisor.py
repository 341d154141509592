"""A parent and its child: signals, exit codes, silence, the last word."""

import json
import os
import pathlib
import select
import signal
import subprocess
import sys

import pytest

from deeplax import last_words, supervisor
from deeplax.distributed import Job
from deeplax.errors import RunError

ROOT = pathlib.Path(__file__).resolve().parents[1]

# What a command does, without absl and JAX: seconds less.
SCRIPT = """
import json, os, signal, sys, time
sys.path.insert(0, {root!r})
from deeplax import supervisor
if supervisor.join_parent({silence}):
  print(os.getpid(), flush=True)
{work}
  os._exit(0)
code, facts = supervisor.supervise({stall})
print(json.dumps([code, facts]), flush=True)
"""


def start(tmp_path, work, *, silence=30.0, stall=30.0):
  """A parent, and the number of its child."""
  script = tmp_path / 'command.py'
  work = ''.join(f'  {line}\n' for line in work.strip().splitlines())
  script.write_text(
    SCRIPT.format(root=str(ROOT), work=work, silence=silence, stall=stall)
  )
  parent = subprocess.Popen(
    [sys.executable, str(script)],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  return parent, int(parent.stdout.readline())


def end(parent):
  """`(code, facts)` of the child, and what came through of its stderr."""
  # Not by communicate(), which passes over what readline() has read ahead.
  out, err = parent.stdout.read(), parent.stderr.read()
  assert parent.wait(timeout=30) == 0, err
  return *json.loads(out), err


def is_gone(process: int, seconds: float = 20) -> bool:
  """Whether a process that is not ours ends in time."""
  try:
    watched = os.pidfd_open(process)
  except ProcessLookupError:
    return True
  try:
    return bool(select.select([watched], [], [], seconds)[0])
  finally:
    os.close(watched)


@pytest.mark.parametrize('code', [0, 1, 2, 75, 130])
def test_exit_codes_pass(tmp_path, code):
  parent, _ = start(tmp_path, f'os._exit({code})')
  assert end(parent) == (code, {'runtime': ''}, '')
  assert last_words.explain(code, {}, Job()) == (code, '')


@pytest.mark.parametrize('name', ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1'])
def test_signals_reach_the_child_once(tmp_path, name):
  if signal.getsignal(getattr(signal, name)) is signal.SIG_IGN:
    pytest.skip('ignored here, as under nohup')
  parent, _ = start(
    tmp_path,
    f"""
heard = []
signal.signal(signal.{name}, lambda *_: heard.append(1))
print('ready', flush=True)
time.sleep(1)
os._exit(70 + len(heard))
""",
  )
  assert parent.stdout.readline() == 'ready\n'
  parent.send_signal(getattr(signal, name))
  assert end(parent)[0] == 71


@pytest.mark.skipif(not hasattr(os, 'pidfd_open'), reason='needs Linux')
@pytest.mark.parametrize('name', ['SIGKILL', 'SIGSTOP'])
def test_the_child_ends_with_its_parent(tmp_path, name):
  parent, child = start(tmp_path, 'time.sleep(60)', silence=2)
  parent.send_signal(getattr(signal, name))
  assert is_gone(child)
  parent.kill()
  parent.communicate()


def test_a_silent_child_is_ended(tmp_path):
  parent, _ = start(tmp_path, 'time.sleep(60)', stall=2)
  code, facts, _ = end(parent)
  assert (code, facts['stalled']) == (-signal.SIGKILL, True)
  code, words = last_words.explain(code, facts, Job(stall_timeout=2))
  assert code == 76
  assert 'no progress for 2 s (--stall_timeout)' in words


@pytest.mark.parametrize(
  'work',
  [
    'for _ in range(20): supervisor.beat(); time.sleep(.2)',
    'with supervisor.patience(): time.sleep(4)',
  ],
)
def test_progress_is_no_silence(tmp_path, work):
  parent, _ = start(tmp_path, work, stall=2)
  assert end(parent)[:2] == (0, {'runtime': ''})


def test_a_stopped_child_is_silent(tmp_path):
  work = 'with supervisor.patience(): time.sleep(60)'
  parent, child = start(tmp_path, work, stall=2)
  os.kill(child, signal.SIGSTOP)
  code, facts, _ = end(parent)
  assert (code, facts['stalled']) == (-signal.SIGKILL, True)


def test_without_a_parent_nothing_is_said():
  supervisor.beat()
  supervisor.tell(process=1)


WALL = """\
E1128 11:22:33.444 1 coordination_service.cc:1] Stopping: heartbeats
F1128 11:22:33.444 1 client.h:80] Terminating process because the JAX \
distributed service detected fatal errors. absl::Status: UNAVAILABLE: The \
following tasks are unhealthy (stopped sending heartbeats):
1
The tasks have crashed.
*** Check failure stack trace: ***
    @     0x7f8cc0c40634  absl::log_internal::LogMessage::SendToLog()
"""


def test_the_wall_of_text_becomes_a_paragraph(tmp_path):
  parent, _ = start(
    tmp_path,
    f"""
supervisor.tell(joined=True, process=0, processes=2)
sys.stderr.write('step 3 of 6\\n')
sys.stderr.write({WALL!r})
sys.stderr.flush()
os.abort()
""",
  )
  code, facts, err = end(parent)
  assert err == 'step 3 of 6\n'
  code, words = last_words.explain(code, facts, Job(heartbeat_timeout=7))
  assert code == 76
  assert words.startswith('process 0 of 2 had to stop: process 1 of the job is')
  assert 'silent for 7 s' in words
  assert 'Start the same command again on all hosts' in words
  assert '0x7f8' not in words


def test_a_job_that_does_not_come_together(tmp_path):
  job = Job('host0:8476', 1, 2, start_timeout=9)
  code, words = last_words.explain(-signal.SIGABRT, {'runtime': WALL}, job)
  assert code == 76
  assert 'process 1 of 2' in words
  assert 'within 9 s (--start_timeout), coordinator at host0:8476' in words


def test_another_crash_is_shown_as_it_is():
  facts = {'joined': True, 'process': 1, 'processes': 2}
  facts['runtime'] = 'F1128 11:22:33.444 1 shape.cc:5] Check failed: rank > 0\n'
  code, words = last_words.explain(-signal.SIGABRT, facts, Job())
  assert code == 76
  assert 'Check failed: rank > 0' in words
  assert 'another process' not in words
  code, words = last_words.explain(-signal.SIGKILL, facts, Job())
  assert code == 76
  assert 'SIGKILL' in words
  assert 'memory' in words


def test_whose_fault_an_error_is():
  gloo = RuntimeError('UNKNOWN: Gloo all-reduce failed: Read error')
  assert last_words.reason_if_lost(gloo) == str(gloo)
  damaged = RunError('a checkpoint is damaged (barrier timed out)')
  assert last_words.reason_if_lost(damaged) == ''
  damaged.__cause__ = ValueError('Barrier timed out')
  assert last_words.reason_if_lost(damaged) == 'Barrier timed out'
  assert last_words.reason_if_lost(ValueError('shapes differ')) == ''
