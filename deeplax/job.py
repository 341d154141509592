"""A command as one process of a job: the parent, the child, or neither."""

import logging
import sys
import traceback
from collections.abc import Callable

from deeplax import distributed, last_words, supervisor

# As sysexits.h has it: a temporary failure, try again.
STOPPED = 75
# After these all processes end together; after others they must not wait.
_TOGETHER = (0, STOPPED)


def run(
  job: distributed.Job,
  main: Callable[[], int | None],
  guard: Callable[[Callable[[], int | None]], int | None],
  fail: Callable[[object, int], int],
) -> int | None:
  """Does `main` in the job, and returns the exit code.

  Args:
    job: From the command line.
    main: The command.
    guard: Calls what it is given; makes exit codes of errors.
    fail: Prints a message, returns the exit code it is given.
  """
  code = guard(job.check)
  if code or not job.may_be_many():
    return code or guard(main)
  if not supervisor.join_parent(job.heartbeat_timeout / 2):
    code, facts = supervisor.supervise(job.stall_timeout)
    code, words = last_words.explain(code, facts, job)
    if words:
      return fail(words, code)
    if code:  # it had its say, and this may be part of it
      sys.stderr.write(facts['runtime'])
    return code
  try:
    code = guard(lambda: _in_job(job, main)) or 0
  except Exception:
    traceback.print_exc()
    code = 1
  if code not in _TOGETHER:
    supervisor.leave(code)
  distributed.leave_together()
  sys.stdout.flush()
  return code


def _in_job(job, main):
  process, processes = distributed.start(job)
  supervisor.tell(joined=True, process=process, processes=processes)
  if process:  # what all have to say is said once
    logging.getLogger('deeplax').setLevel(logging.WARNING)
  try:
    return main()
  except (RuntimeError, ValueError) as error:
    reason = last_words.reason_if_lost(error)
    if not reason or processes == 1:
      raise
    supervisor.tell(reason=reason)
    return last_words.LOST
