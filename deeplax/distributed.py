"""The processes of a job: who they are, how they find each other, and wait.

The job is JAX's own: `jax.distributed` connects the processes, and its
heartbeats tell when one of them is gone.
"""

import contextlib
import contextvars
import dataclasses
import glob
import importlib.util
import os
import re
from collections.abc import Iterator

from deeplax.errors import ConfigError, RunError


@dataclasses.dataclass(frozen=True)
class Job:
  """What the command line says about the job.

  Attributes:
    coordinator: `host:port` of process 0; None leaves it to JAX to find out
      from SLURM, a Cloud TPU pod or Kubernetes, if this runs on one.
    process_id: Of this process, from 0; with `coordinator`.
    num_processes: Of the job; with `coordinator`, or 1 for a process that is
      alone wherever it runs.
    heartbeat_timeout: Seconds after which a silent process counts as lost.
    start_timeout: Seconds to wait for all processes at the start.
    stall_timeout: Seconds without a step or a batch that are too many.
  """

  coordinator: str | None = None
  process_id: int | None = None
  num_processes: int | None = None
  heartbeat_timeout: int = 60
  start_timeout: int = 300
  stall_timeout: int = 1800

  def check(self) -> None:
    """Raises ConfigError on what does not go together."""
    given = {
      '--coordinator': self.coordinator,
      '--process_id': self.process_id,
      '--num_processes': self.num_processes,
    }
    missing = [name for name, value in given.items() if value is None]
    if self.num_processes == 1 and self.process_id in (None, 0):
      return
    if missing and len(missing) < 3:
      there = ', '.join(
        f'{name}={value}' for name, value in given.items() if value is not None
      )
      raise ConfigError(
        f'{there} without {" and ".join(missing)}: expected all three of '
        f'{", ".join(given)}, e.g. --coordinator=host0:8476 --process_id=1 '
        '--num_processes=2, or none of them where SLURM, a Cloud TPU pod or '
        'Kubernetes says it (--num_processes=1: this process is alone).'
      )
    if missing:
      return
    if not re.fullmatch(r'\S+:\d+', self.coordinator):
      raise ConfigError(
        f'--coordinator (={self.coordinator!r}) must be the address of '
        'process 0 and a free port there, the same on all hosts: host0:8476.'
      )
    if not 0 <= self.process_id < self.num_processes:
      raise ConfigError(
        f'--process_id (={self.process_id}) must be in '
        f'0..{self.num_processes - 1}, another one on each of the '
        f'--num_processes (={self.num_processes}) processes.'
      )

  def may_be_many(self) -> bool:
    """Whether this can be one of several processes; asks JAX for nothing."""
    if self.num_processes is not None:
      return self.num_processes > 1
    return bool(_surroundings())


def start(job: Job) -> tuple[int, int]:
  """Joins the job, if it has several processes; before JAX has devices.

  JAX ends this process, in C++, when the others are not there in time: its
  parent says so, see `supervisor`.

  Returns:
    `(process, processes)`; `(0, 1)` where there is nothing to join.

  Raises:
    ConfigError: If the surroundings do not say who this process is.
    RunError: If the coordinator can't be started here.
  """
  if not job.may_be_many():
    return 0, 1
  import jax

  # It would take SIGTERM away from Python's handlers.
  jax.config.update('jax_enable_preemption_service', False)
  given = {}
  if job.num_processes is not None:
    given = dict(
      coordinator_address=job.coordinator,
      num_processes=job.num_processes,
      process_id=job.process_id,
      cluster_detection_method='deactivate',
    )
  elif _detected_processes() == 1:
    return 0, 1
  elif _one_task_a_node():
    given = dict(local_device_ids=[])  # all; JAX would take the first GPU only
  try:
    jax.distributed.initialize(
      **given,
      initialization_timeout=job.start_timeout,
      heartbeat_timeout_seconds=job.heartbeat_timeout,
      # At the end those that are ready wait for who still writes.
      shutdown_timeout_seconds=job.stall_timeout,
    )
  except (RuntimeError, OSError) as error:
    raise RunError(
      f'the job can not be joined ({_one_line(error)}), coordinator '
      f'{job.coordinator or "as detected"}. On process 0 its port must be '
      'free (JAX_COORDINATOR_PORT chooses another where it was detected), and '
      'the other hosts must be able to reach it.'
    ) from error
  state = _state()
  return state.process_id, state.num_processes


def leave_together() -> None:
  """Waits for the other processes, and ends the job; nothing without one."""
  import jax

  jax.distributed.shutdown()


def is_first() -> bool:
  """Whether this is the process that writes for all."""
  import jax

  return jax.process_index() == 0


@contextlib.contextmanager
def one_of_several(run: str) -> Iterator[None]:
  """Within it the names of places are those of one run of the job.

  JAX lets each be used once.

  Args:
    run: Its name, once a job.
  """
  token = _RUN.set(f'{run}/')
  try:
    yield
  finally:
    _RUN.reset(token)


def barrier(name: str) -> None:
  """Returns when every process of the job is here.

  It waits as long as it takes: for one that dies meanwhile the runtime ends
  this process, for one that hangs its supervisor ends that one.

  Args:
    name: Of the place, once a run.
  """
  client = _state().client
  if client is not None:
    client.wait_at_barrier(f'deeplax/{_RUN.get()}{name}', _LONG * 1000)


@contextlib.contextmanager
def first_alone(name: str) -> Iterator[bool]:
  """Within it the first process works, and the others wait at its end.

  Yields True to the first process, which does what is to be done once.

  Args:
    name: Of the place, once a run.
  """
  yield is_first()
  # An error of the first one ends it, and by that the others.
  barrier(name)


def agree(name: str, value: str, advice: str) -> None:
  """Makes sure that all processes have the value of the first one.

  Args:
    name: Of the value, once a run.
    value: What this process has; of several lines those that differ are shown.
    advice: What to do when it is another.

  Raises:
    RunError: Where it is another.
  """
  state = _state()
  if state.client is None:
    return
  key = f'deeplax/agree/{_RUN.get()}{name}'
  if state.process_id == 0:
    state.client.key_value_set(key, value)
  first = state.client.blocking_key_value_get(key, _LONG * 1000)
  if first != value:
    here, there = value.splitlines(), first.splitlines()
    own = ', '.join(line.strip(' ,') for line in here if line not in there)
    other = ', '.join(line.strip(' ,') for line in there if line not in here)
    raise RunError(
      f'{name} differs: {own or "less"} in process {state.process_id}, '
      f'{other or "less"} in process 0. {advice}'
    )


_LONG = 24 * 3600  # seconds; the watching is done by others
_RUN = contextvars.ContextVar('run', default='')


def _state():
  # JAX has no other way to its barriers that does without devices.
  from jax._src import distributed

  return distributed.global_state


def _surroundings() -> str:
  """Name of what may have started several processes, '' for nothing."""
  environ = os.environ
  if 'SLURM_STEP_NODELIST' in environ and _number('SLURM_NTASKS') > 1:
    return 'SLURM'
  hosts = environ.get('TPU_PROCESS_ADDRESSES') or environ.get(
    'TPU_WORKER_HOSTNAMES', ''
  )
  if hosts:
    many = ',' in hosts or _number('MEGASCALE_NUM_SLICES') > 1
    return 'TPU' if many else ''
  if 'KUBERNETES_SERVICE_HOST' in environ:
    # Set in the pods of an indexed job, the only kind that can be joined.
    return 'Kubernetes' if 'JOB_COMPLETION_INDEX' in environ else ''
  chips = glob.glob('/dev/accel*') + glob.glob('/dev/vfio/[0-9]*')
  return 'TPU' if chips and importlib.util.find_spec('libtpu') else ''


def _number(variable):
  text = os.environ.get(variable, '')
  return int(text) if text.isdigit() else 0


def _detected_processes() -> int:
  """How many processes JAX would make out, as it does in `initialize`."""
  if _surroundings() == 'Kubernetes' and not importlib.util.find_spec(
    'kubernetes'
  ):
    raise ConfigError(
      'this is a pod of an indexed Kubernetes job, and without the package '
      'kubernetes JAX can not ask who the others are. Install it (pip install '
      'kubernetes), give --coordinator, --process_id and --num_processes as '
      'in launch/cluster/jobset.yaml, or --num_processes=1 if every pod is a '
      'run of its own.'
    )
  from jax._src.clusters import ClusterEnv

  for kind in ClusterEnv._cluster_types:
    if not kind.opt_in_only_method and kind.is_env_present():
      return kind.get_process_count()
  return 1


def _one_task_a_node() -> bool:
  tasks = _number('SLURM_NTASKS')
  return tasks > 0 and tasks == _number('SLURM_STEP_NUM_NODES')


def _one_line(error):
  return str(error).strip().partition('\n')[0][:300]
