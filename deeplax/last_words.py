"""How a process of a job ended: one paragraph, and the exit code."""

import re
import signal

from deeplax.data.errors import DataError
from deeplax.distributed import Job
from deeplax.errors import UserError

# Another process of the job is lost, or this one: start again, it goes on.
LOST = 76

_AGAIN = (
  'Start the same command again on all hosts: it goes on from the newest '
  'checkpoint.'
)
# What Python sees of a lost process: errors of collectives, barriers, RPCs.
_LOST = re.compile(
  r'gloo|NCCL|heartbeat|coordination|barrier|UNAVAILABLE|Socket closed'
  r'|Connection (closed|reset|refused)|another task died|distributed service',
  re.IGNORECASE,
)

_HEAD = re.compile(r'^.*?(absl::Status|all tasks|backend \S+): ')
_ADVICE = re.compile(
  r' The tasks have crashed| Either the leader| Additional GRPC| RPC: /'
  r'| This indicates that'
)


def reason_if_lost(error: BaseException | None) -> str:
  """The runtime's words, if `error` comes from a lost process; else ''.

  What we raise ourselves is none of it, but may have been caused by it.
  """
  while error is not None:
    ours = isinstance(error, UserError | DataError)
    theirs = not ours and isinstance(error, RuntimeError | ValueError)
    if theirs and _LOST.search(str(error)):
      return str(error)[:1000]
    error = error.__cause__ or error.__context__
  return ''


def explain(code: int, facts: dict[str, object], job: Job) -> tuple[int, str]:
  """What the parent ends with, for what `supervisor.supervise` returned.

  Returns:
    `(exit code, message)`; the message is '' where the child has had its say.
  """
  if 'processes' in facts:
    who = f'process {facts["process"]} of {facts["processes"]}'
  elif job.num_processes:
    who = f'process {job.process_id} of {job.num_processes}'
  else:
    who = 'this process of the job'
  runtime = facts.get('runtime', '')
  if 'stalled' in facts:
    return LOST, (
      f'{who} made no progress for {job.stall_timeout} s (--stall_timeout), '
      f'and was ended. {_AGAIN}'
    )
  if code >= 0 and code != LOST:
    return code, ''
  if code == -signal.SIGABRT and not facts.get('joined') and runtime:
    where = f'at {job.coordinator}' if job.coordinator else 'as detected'
    return LOST, (
      f'{who}: the job was not complete within {job.start_timeout} s '
      f'(--start_timeout), coordinator {where}. Start the same command on all '
      'hosts at about the same time, each with a --process_id of its own where '
      'that is given; process 0 must run at the address of the coordinator, '
      'and the other hosts must be able to reach its port.'
    )
  if code == LOST or (code == -signal.SIGABRT and _LOST.search(runtime)):
    words = facts.get('reason') or runtime
    return LOST, (
      f'{who} had to stop: {_lost(words + runtime)} of the job is gone, or was '
      f'silent for {job.heartbeat_timeout} s (--heartbeat_timeout); the end of '
      f'its own output may tell why. {_AGAIN} In the words of the runtime: '
      f'{_gist(words)}'
    )
  name = signal.Signals(-code).name
  if -code in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    return 128 - code, f'{who} was stopped by {name} before it could save.'
  words = {
    signal.SIGKILL: 'it was killed, most often by the system for want of '
    'memory: free some, or lower batch_size or input.workers'
  }.get(-code, f'a crash below Python:\n{runtime}'.rstrip(':\n'))
  return LOST, f'{who} ended by {name}: {words}. {_AGAIN}'


def _lost(runtime):
  """Which process, if the runtime knows."""
  found = re.search(r'sending heartbeats\):\s+(\d+(?:,\s*\d+)*)', runtime)
  if found:
    return f'process {found[1]}'
  if 'target coordination_service' in runtime:  # it is where that one runs
    return 'process 0'
  return 'another process'


def _gist(runtime):
  """Of the fatal line what it is about: the rest is advice and addresses."""
  text = ' '.join(runtime.split())
  return _ADVICE.split(_HEAD.sub('', text))[0][:300] or 'none'
