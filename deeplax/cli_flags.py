"""Flags that several commands have."""

import re
from collections.abc import Callable
from typing import Any

from absl import flags

from deeplax.distributed import Job
from deeplax.errors import ConfigError


def define_crf() -> Callable[[], dict[str, Any]]:
  """The flags of the CRF; what is returned gives keywords for a run's command.

  `--crf`, `--nocrf`; `--crf_iterations=10`; `--crf_spatial=SXY,WEIGHT`;
  `--crf_bilateral=SXY,SRGB,WEIGHT`; `--crf_method=grid`.
  """
  use = flags.DEFINE_bool(
    'crf', None, "Whether to end in a CRF. Default: the config's crf.use."
  )
  iterations = flags.DEFINE_integer('crf_iterations', None, 'Of the CRF.', 0)
  spatial = define_numbers(
    'crf_spatial', 'Width in pixels, weight; of nearness.', count=2
  )
  bilateral = define_numbers(
    'crf_bilateral',
    'Width in pixels, width in colour, weight; of nearness and likeness.',
    count=3,
  )

  method = flags.DEFINE_string(
    'crf_method', None, 'lattice, or grid: faster and approximate.'
  )

  def values():
    changes = dict(
      num_iterations=iterations.value,
      spatial=spatial.value,
      bilateral=bilateral.value,
      method=method.value,
    )
    changes = {k: v for k, v in changes.items() if v not in (None, ())}
    # Parameters that nobody would use are surely a wish for it.
    wanted = True if changes and use.value is None else use.value
    return {'crf': wanted, 'crf_options': changes}

  return values


def define_compare() -> Callable[[list[str]], tuple[list[str], str | None]]:
  """`--compare A B C`, `--compare=A,B` and `--output`, or a `--workdir`.

  What is returned takes the words that are no flags, and gives the workdirs to
  compare, [] if none, and where to write.
  """
  # So that flags may stand behind the workdirs, too.
  flags.FLAGS.set_gnu_getopt(True)
  compare = flags.DEFINE_list(
    'compare', [], 'Workdirs: a report of their last evaluations.'
  )
  output = flags.DEFINE_string(
    'output', None, 'Of --compare; default: report/index.html beside the first.'
  )

  def values(words):
    workdir = flags.FLAGS.workdir
    runs = [*compare.value, *words] if compare.value else []
    if words and not runs:
      raise ConfigError(f'{" ".join(words)}: flags only (--help lists them).')
    if workdir is None and not runs:
      raise ConfigError('--workdir is missing (--help lists the flags).')
    if workdir is not None and runs:
      raise ConfigError('--compare takes the workdirs: leave --workdir out.')
    if output.value and not runs:
      raise ConfigError('--output goes with --compare.')
    return runs, output.value

  return values


def define_seeds() -> flags.FlagHolder:
  """`--seeds=3`; not beside `--check` or `--replay`, which are of one seed."""
  seeds = flags.DEFINE_integer(
    'seeds', None, 'How many to train, from config.seed on; in seed_<n>.', 1
  )
  flags.register_multi_flags_validator(
    ['seeds', 'check', 'replay'],
    lambda found: (
      found['seeds'] is None
      or not any(found[name] for name in ('check', 'replay'))
    ),
    'checks and replays are of one seed: leave --seeds out',
  )
  return seeds


def define_distributed() -> Callable[[], Job]:
  """The flags of a job of several processes, for `run`."""
  where = flags.DEFINE_string('coordinator', None, 'host:port of process 0.')
  which = flags.DEFINE_integer('process_id', None, 'From 0.', 0)
  count = flags.DEFINE_integer('num_processes', None, '1: not in a job.', 1)
  seconds = [
    flags.DEFINE_integer(name, getattr(Job, name), f'Seconds {what}.', 1)
    for name, what in (
      ('heartbeat_timeout', 'until a silent process of the job is lost'),
      ('start_timeout', 'to wait for all processes of the job'),
      ('stall_timeout', 'without a step or a batch, in a job'),
    )
  ]

  def job_of_flags():
    return Job(*(f.value for f in (where, which, count, *seconds)))

  return job_of_flags


def define_prediction() -> Callable[[], dict[str, Any]]:
  """The flags of how pictures and frames are predicted; gives keywords.

  `--step`, `--output_stride`, `--scales`, `--flip`, `--window`, `--full_size`,
  `--batch_size`, `--spatial` and those of the CRF.
  """
  step = flags.DEFINE_integer(
    'step', None, 'Checkpoint. Default: the best one.'
  )
  stride = flags.DEFINE_integer('output_stride', None, '8, 16 or 32.')
  scales = define_numbers('scales', 'Image scales to average over.')
  flip = flags.DEFINE_bool('flip', False, 'Average over mirror images, too.')
  window = define_window()
  full = flags.DEFINE_bool(
    'full_size', False, 'Leave out resizes of input.eval.'
  )
  batch = flags.DEFINE_integer('batch_size', None, 'Pictures at once.', 1)
  spatial = define_spatial()
  crf = define_crf()
  return lambda: dict(
    step=step.value,
    output_stride=stride.value,
    scales=scales.value or (1.0,),
    flip=flip.value,
    window=window.value or None,
    full_size=full.value,
    batch_size=batch.value,
    spatial=spatial.value,
    **crf(),
  )


def define_numbers(
  name: str,
  help_text: str,
  *,
  kind: type = float,
  count: int | None = None,
  low: int | None = None,
) -> flags.FlagHolder:
  """A flag with numbers between commas, `--scales=.5,1`: a tuple, () if unset.

  Args:
    name: Of the flag.
    help_text: For --help.
    kind: int or float.
    count: How many there must be, if there are any.
    low: The least that each may be.
  """
  return flags.DEFINE(Numbers(kind, count, low), name, (), help_text)


def define_window() -> flags.FlagHolder:
  """`--window=512,1024`: (height, width), () if unset."""
  return define_numbers(
    'window', 'height,width of sliding windows.', kind=int, count=2, low=1
  )


def define_spatial() -> flags.FlagHolder:
  """`--spatial=2`: how many devices share the rows of a picture, or None."""
  return flags.DEFINE_integer(
    'spatial',
    None,
    "Devices that share the rows of a picture. Default: the config's "
    'mesh.spatial, or 1 where that does not divide the devices there are.',
    1,
  )


def define_size(name: str, help_text: str) -> flags.FlagHolder:
  """A flag such as `--size=512x1024`: (height, width), None if unset."""
  return flags.DEFINE(_Size(), name, None, help_text)


class _Size(flags.ArgumentParser):
  syntactic_help = 'heightxwidth, e.g. 512x1024'

  def parse(self, argument):
    match = re.fullmatch(r'(\d+)x(\d+)', str(argument))
    if not match:
      raise ValueError('must be like 512x1024')
    return int(match[1]), int(match[2])

  def flag_type(self):
    return 'size'


class Numbers(flags.ArgumentParser):
  syntactic_help = 'numbers, separated by commas'

  def __init__(self, kind, count, low):
    self._kind, self._count, self._low = kind, count, low

  def parse(self, argument):
    if isinstance(argument, tuple):
      return argument
    words = {int: 'whole numbers', float: 'numbers'}[self._kind]
    try:
      values = tuple(map(self._kind, argument.split(',')))
    except ValueError as error:
      raise ValueError(f'expected {words} between commas') from error
    if self._count and len(values) != self._count:
      raise ValueError(f'expected {self._count} {words}, not {len(values)}')
    if self._low is not None and min(values) < self._low:
      raise ValueError(f'expected {words} of at least {self._low}')
    return values

  def flag_type(self):
    return 'numbers'
