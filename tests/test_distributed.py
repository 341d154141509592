"""Jobs of two processes on this machine, whole ones and broken ones."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import types

import jax
import numpy as np
import pytest
import yaml

from deeplax import checkpoint, distributed, summaries
from deeplax.distributed import Job
from deeplax.errors import ConfigError

ROOT = pathlib.Path(__file__).resolve().parents[1]
CLUSTER = ROOT / 'launch' / 'cluster'
HEARTBEAT = 10  # seconds

# A small network on pictures that can not be shared out evenly; steps enough
# that a job still has some to do when it is killed.
CONFIG = """
from configs import common
from tests import small_encoder
def get_config():
  small_encoder.add()
  config = common.base()
  common.smoke(config)
  config.dataset.name = 'synthetic:32x64x13x5'
  config.input.train = (
    'random_scale(0.5, 2.0)|random_crop(32, 64)|random_flip()'
  )
  config.input.eval_batch_size = 4
  config.model.encoder = 'small'
  config.model.variant = '8'
  config.model.head_channels = 8
  config.model.decoder = 'none'
  config.model.dtype = 'float64'
  config.mesh.data = -1
  config.batch_size = 4
  config.total_steps = 24
  config.eval_every = 12
  config.checkpoint_every = 1
  return config
"""


# TensorBoard's file is another test's: tensorflow takes seconds to import.
LEAN = """
import importlib.util as util
find = util.find_spec
util.find_spec = lambda n, *a: None if n == 'tensorflow' else find(n, *a)
"""


class Runs:
  """Starts processes that train the config above in folders of their own."""

  def __init__(self, folder: pathlib.Path):
    self._folder = folder
    self._config = folder / 'tiny.py'
    self._config.write_text(CONFIG)
    (folder / 'sitecustomize.py').write_text(LEAN)  # Python imports it

  def start(self, workdir, *flags, devices):
    """A process with CPU devices of its own."""
    environment = {
      **os.environ,
      'JAX_PLATFORMS': 'cpu',
      'JAX_ENABLE_X64': '1',
      'PYTHONPATH': str(self._folder),
      'XLA_FLAGS': f'--xla_force_host_platform_device_count={devices}',
    }
    command = [sys.executable, 'launch/train.py', f'--config={self._config}']
    return subprocess.Popen(
      [*command, f'--workdir={workdir}', *flags],
      cwd=ROOT,
      env=environment,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )

  def job(self, workdir, *flags, processes=2):
    """All processes of a job, two devices each."""
    with socket.socket() as free:
      free.bind(('127.0.0.1', 0))
      port = free.getsockname()[1]
    return [
      self.start(
        workdir,
        f'--coordinator=127.0.0.1:{port}',
        f'--num_processes={processes}',
        f'--process_id={i}',
        f'--heartbeat_timeout={HEARTBEAT}',
        *flags,
        devices=2,
      )
      for i in range(processes)
    ]


def finish(*processes):
  """What they printed, when all of them have succeeded."""
  outputs = [process.communicate(timeout=240) for process in processes]
  for process, (_, errors) in zip(processes, outputs):
    assert process.returncode == 0, errors
  return [out for out, _ in outputs]


def wait_for_checkpoint(workdir, step, processes):
  """Returns when a checkpoint of this step or a later one is there."""
  deadline = time.monotonic() + 240
  while not any(
    p.name.isdigit() and int(p.name) >= step
    for p in workdir.glob('checkpoints/*')
  ):
    assert time.monotonic() < deadline
    for process in processes:
      assert process.poll() is None, process.communicate()
    time.sleep(0.02)


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
  return Runs(tmp_path_factory.mktemp('runs'))


@pytest.fixture(scope='module')
def alone(runs, tmp_path_factory):
  """Workdirs of a run on one device, and on the four of one process."""
  folders = {n: tmp_path_factory.mktemp('alone') / str(n) for n in (1, 4)}
  finish(*(runs.start(folder, devices=n) for n, folder in folders.items()))
  return folders


@pytest.fixture(scope='module')
def together(runs, tmp_path_factory):
  """Workdir of a run of two processes, and what each printed."""
  workdir = tmp_path_factory.mktemp('together') / 'run'
  return workdir, finish(*runs.job(workdir))


def rows(workdir):
  """What was written down, without figures of the machine."""
  return [
    {k: v for k, v in row.items() if k not in summaries.TIMINGS}
    for row in summaries.read(workdir)
  ]


def assert_same_run(a, b):
  """The losses of all steps, all figures of evaluations, the parameters.

  A loss is one of certain pictures, and a figure of certain counts.
  """
  assert len(rows(a)) == len(rows(b))
  for one, other in zip(rows(a), rows(b)):
    assert one == pytest.approx(other, rel=1e-10, abs=1e-10)
  one, other = (checkpoint.load_variables(w, best=False)[0] for w in (a, b))
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=1e-10),
    one,
    other,
  )


@pytest.mark.parametrize('devices', [1, 4])
def test_two_processes_train_as_one(alone, together, devices):
  assert_same_run(alone[devices], together[0])


def test_one_process_writes(together):
  workdir, printed = together
  steps = [row['step'] for row in rows(workdir) if 'train/loss' in row]
  assert steps == [*range(1, 25)]
  assert len([row for row in rows(workdir) if 'val/miou' in row]) == 2
  assert ['val mIoU' in out for out in printed] == [True, False]


def test_killed_and_stopped_the_others_end_and_all_go_on(alone, runs, tmp_path):
  workdir = tmp_path / 'run'
  # One of them is told to stop, all do, at the same step.
  processes = runs.job(workdir)
  wait_for_checkpoint(workdir, 1, processes)
  processes[1].send_signal(signal.SIGTERM)
  told = [process.communicate(timeout=60)[1] for process in processes]
  assert [process.returncode for process in processes] == [75, 75], told
  newest = checkpoint.steps(workdir)[0][-1]
  assert newest < 24
  for who, words in zip(('another process', 'SIGTERM'), told):
    # Which of the two depends on when it was told.
    stopped = rf'{who}.*stopped (after|in the evaluation of) step {newest}\b'
    assert re.search(stopped, words), words
  for who, how, step in ((1, signal.SIGKILL, 7), (0, signal.SIGSTOP, 12)):
    processes = runs.job(workdir)
    wait_for_checkpoint(workdir, step, processes)
    victim, other = processes[who], processes[1 - who]
    victim.send_signal(how)
    try:
      _, errors = other.communicate(timeout=3 * HEARTBEAT)
    finally:
      victim.kill()
      other.kill()
      victim.communicate()
    assert other.returncode == 76, errors
    assert f'error: process {1 - who} of 2 had to stop' in errors
    assert 'Start the same command again on all hosts' in ' '.join(
      errors.split()
    )
    assert 'Check failure' not in errors
  # With another number of processes, too.
  finish(runs.start(workdir, devices=4))
  assert_same_run(alone[4], workdir)


def test_a_job_waits_no_longer_than_it_is_told(runs, tmp_path):
  first, second = runs.job(tmp_path / 'run', '--start_timeout=3')
  second.kill()
  second.communicate()
  _, errors = first.communicate(timeout=60)
  assert first.returncode == 76
  assert 'not complete within 3 s (--start_timeout)' in ' '.join(errors.split())


@pytest.mark.parametrize(
  'job, words',
  [
    (Job('host0:1', 0), 'without --num_processes'),
    (Job(num_processes=2), 'without --coordinator and --process_id'),
    (Job('host0', 0, 2), r"--coordinator \(='host0'\) must be the address"),
    (Job('host0:1', 2, 2), r'--process_id \(=2\) must be in 0..1'),
  ],
)
def test_flags_that_do_not_go_together(job, words):
  with pytest.raises(ConfigError, match=words):
    job.check()


class Client:
  """As JAX's, which takes each name once."""

  def __init__(self):
    self.places, self.values = [], {}

  def wait_at_barrier(self, name, _):
    assert name not in self.places
    self.places.append(name)

  def key_value_set(self, key, value):
    assert key not in self.values
    self.values[key] = value

  def blocking_key_value_get(self, key, _):
    return self.values[key]


def test_a_job_has_several_runs(monkeypatch):
  state = types.SimpleNamespace(client=Client(), process_id=0)
  monkeypatch.setattr(distributed, '_state', lambda: state)
  for run in ('seed_0', 'seed_1'):
    with distributed.one_of_several(run):
      with distributed.first_alone('workdir'):
        pass
      distributed.agree('the config', run, '')
  distributed.barrier('workdir')
  assert len(state.client.places) == 3
  assert {*state.client.values.values()} == {'seed_0', 'seed_1'}


SLURM = {
  'SLURM_JOB_ID': '77',
  'SLURM_STEP_NODELIST': 'node[01-02]',
  'SLURM_NTASKS': '2',
  'SLURM_PROCID': '1',
  'SLURM_LOCALID': '0',
  'SLURM_STEP_NUM_NODES': '2',
}
GKE = {'TPU_WORKER_HOSTNAMES': 'a,b', 'TPU_WORKER_ID': '1'}
POD = {'KUBERNETES_SERVICE_HOST': '10.0.0.1', 'JOB_COMPLETION_INDEX': '0'}


@pytest.mark.parametrize(
  'variables, many',
  [
    ({}, False),
    (SLURM, True),
    (SLURM | {'SLURM_NTASKS': '1'}, False),
    ({k: v for k, v in SLURM.items() if 'NODELIST' not in k}, False),
    (GKE, True),
    (GKE | {'TPU_WORKER_HOSTNAMES': 'localhost'}, False),
    (POD, True),
    ({'KUBERNETES_SERVICE_HOST': '10.0.0.1'}, False),
    (GKE | POD | {'TPU_WORKER_HOSTNAMES': 'localhost'}, False),
  ],
)
def test_surroundings(monkeypatch, variables, many):
  for name in {*SLURM, *GKE, *POD}:
    monkeypatch.delenv(name, raising=False)
  for name, value in variables.items():
    monkeypatch.setenv(name, value)
  assert Job().may_be_many() == many
  assert not Job(num_processes=1).may_be_many()
  assert Job('host0:1', 0, 2).may_be_many()


def test_slurm_is_detected_as_jax_does(monkeypatch):
  joined = []
  monkeypatch.setattr(
    jax.distributed, 'initialize', lambda **k: joined.append(k)
  )
  for name, value in SLURM.items():
    monkeypatch.setenv(name, value)
  assert distributed._detected_processes() == 2
  distributed.start(Job(heartbeat_timeout=7))
  # One task a node: it has all GPUs there.
  assert joined[0]['local_device_ids'] == []
  assert joined[0]['heartbeat_timeout_seconds'] == 7
  monkeypatch.setenv('SLURM_STEP_NUM_NODES', '1')
  distributed.start(Job())
  assert 'local_device_ids' not in joined[1]


def test_a_pod_that_can_not_ask_is_told_so(monkeypatch):
  for name, value in POD.items():
    monkeypatch.setenv(name, value)
  monkeypatch.setattr(distributed.importlib.util, 'find_spec', lambda _: None)
  with pytest.raises(ConfigError, match='--num_processes=1 if every pod'):
    distributed.start(Job())


def stand_in(folder, name, body):
  path = folder / name
  path.write_text(f'#!/bin/bash\n{body}\n')
  path.chmod(0o755)


@pytest.mark.parametrize(
  'code, restarts, again',
  [(0, 0, False), (1, 0, False), (75, 0, True), (76, 3, True), (76, 20, False)],
)
def test_slurm_script(tmp_path, code, restarts, again):
  stand_in(tmp_path, 'srun', f'echo "$@"; exit {code}')
  stand_in(tmp_path, 'scontrol', 'echo scontrol "$@"')
  done = subprocess.run(
    [CLUSTER / 'slurm.sh', '--config=configs/r101.py', '--workdir=a b'],
    env={
      'PATH': f'{tmp_path}:/usr/bin:/bin',
      'SLURM_JOB_ID': '77',
      'SLURM_RESTART_COUNT': str(restarts),
    },
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == code
  assert 'launch/train.py --config=configs/r101.py --workdir=a b' in done.stdout
  assert ('scontrol requeue 77' in done.stdout) == again


def test_tpu_script(tmp_path):
  stand_in(tmp_path, 'gcloud', 'printf "%s\\n" "$@"')
  done = subprocess.run(
    [CLUSTER / 'tpu_pod.sh', '--config=configs/r101.py', '--workdir=a b'],
    env={'PATH': f'{tmp_path}:/usr/bin:/bin', 'TPU': 'pod', 'ZONE': 'z'},
    capture_output=True,
    text=True,
    check=True,
  )
  assert '--worker=all' in done.stdout.splitlines()
  assert r'train.py --config=configs/r101.py --workdir=a\ b' in done.stdout


def test_job_set():
  job_set = yaml.safe_load((CLUSTER / 'jobset.yaml').read_text())
  assert job_set['spec']['failurePolicy']['maxRestarts'] > 0
  job = job_set['spec']['replicatedJobs'][0]
  spec = job['template']['spec']
  pod = spec['template']['spec']
  (container,) = pod['containers']
  flags = dict(
    word.split('=', 1) for word in container['command'] if '=' in word
  )
  assert spec['completions'] == int(flags['--num_processes'])
  assert flags['--coordinator'].startswith(
    f'{job_set["metadata"]["name"]}-{job["name"]}-0-0.'
  )
  rule = spec['podFailurePolicy']['rules'][0]['onExitCodes']
  assert rule['containerName'] == container['name']
  assert not {75, 76} & {*rule['values']}
  help_text = subprocess.run(
    [sys.executable, 'launch/train.py', '--helpfull'],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  ).stdout
  for flag in flags:
    if not flag.startswith('--config'):
      assert f'{flag}:' in help_text
