"""The kernels that take most of a step, by the profiler's account."""

import collections
import pathlib
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.profiler import ProfileData

from deeplax.benchmark import hlo

# What holds other instructions: their time would count twice.
_CONTAINERS = ('while', 'conditional', 'call')


def top_kernels(
  step: Callable[[], Any], compiled: Any, *, steps: int = 3, rows: int = 25
) -> list[dict[str, Any]]:
  """Profiles some steps; the kernels by their time, the largest first.

  Args:
    step: Starts a step that was warmed up; what it returns is ready at its end.
    compiled: What it calls, for where in the source its instructions are from.
    steps: How many.
    rows: The most that are listed.

  Returns:
    See `table`.
  """
  with tempfile.TemporaryDirectory(prefix='deeplax-profile-') as folder:
    with jax.profiler.trace(folder):
      for _ in range(steps):
        jax.block_until_ready(step())
    # One file a host; this one's.
    (path, *_) = sorted(pathlib.Path(folder).rglob('*.xplane.pb'))
    data = ProfileData.from_file(str(path))
    return table(data, compiled.as_text(), steps=steps, rows=rows)


def table(
  data: ProfileData, text: str, *, steps: int, rows: int
) -> list[dict[str, Any]]:
  """Events of the device, added up by instruction.

  Args:
    data: A profile.
    text: Of the compiled program.
    steps: How often it ran.
    rows: The most that are listed.

  Returns:
    Of each: `milliseconds` a step; `share` of all kernels' time; `calls` a
    step; `name` of the instruction, or else of the kernel; `kernel`, what the
    device ran for it; `op_name`, where in the source it is from. On several
    threads or devices times add up, to more than a step takes.
  """
  program = hlo.read(text)
  total, calls, kernels = collections.Counter(), collections.Counter(), {}
  for kernel, instruction, nanoseconds in _events(data):
    name = instruction or kernel
    if name in program and program[name].opcode in _CONTAINERS:
      continue
    total[name] += nanoseconds
    calls[name] += 1
    kernels.setdefault(name, kernel)
  everything = sum(total.values())
  return [
    {
      'milliseconds': round(nanoseconds / steps / 1e6, 4),
      'share': round(nanoseconds / everything, 4),
      'calls': round(calls[name] / steps, 2),
      'name': name,
      'kernel': '' if kernels[name] == name else kernels[name],
      'op_name': program[name].op_name if name in program else '',
    }
    for name, nanoseconds in total.most_common(rows)
  ]


def _events(data: ProfileData) -> Iterator[tuple[str, str, float]]:
  """(kernel, instruction or '', nanoseconds) of what the devices ran."""
  planes = list(data.planes)
  devices = [plane for plane in planes if plane.name.startswith('/device:')]
  for plane in devices:
    lines = list(plane.lines)
    # A GPU's streams have the kernels, and its other lines sums of them; a TPU
    # has no streams.
    streams = [line for line in lines if line.name.startswith('Stream')]
    for line in streams or [x for x in lines if x.name == 'XLA Ops']:
      for event in line.events:
        instruction = dict(event.stats).get('hlo_op', '')
        yield event.name, str(instruction), event.duration_ns
  if devices:
    return  # the host only says when it started them
  for plane in planes:
    for line in plane.lines:
      for event in line.events:
        instruction = dict(event.stats).get('hlo_op')
        if instruction:
          yield event.name, str(instruction), event.duration_ns
