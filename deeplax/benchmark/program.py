"""A compiled step beside the device's limit and, maybe, a peer's steps."""

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

import jax

from deeplax import models
from deeplax.benchmark import limit, memory, peers, profile, timing
from deeplax.benchmark.machine import seconds_since_start
from deeplax.benchmark.subject import Subject
from deeplax.models.flops import forward_flops

_WARM_UP = 3
# On accelerators the steps of a round are started without waiting for one
# another, as training does.
_STEPS_A_ROUND = 5
_FLOPS = (
  'of convolutions, counted layer by layer: 2 x results x taps x input '
  'channels, padding included'
)


@dataclasses.dataclass(frozen=True)
class Program:
  """One compiled step of ours.

  Attributes:
    step: Starts it; what it returns is ready when it is done.
    compiled: For its plan of memory and its text.
    compile_seconds: What tracing and compiling took.
    devices: Number of devices that it uses.
    training: Whether it is a training step.
  """

  step: Callable[[], Any]
  compiled: Any
  compile_seconds: float
  devices: int
  training: bool


def compile_step(function: Any, *arguments: Any) -> tuple[Any, float]:
  """A jitted function compiled for these arguments, and the seconds."""
  start = time.perf_counter()
  compiled = function.lower(*arguments).compile()
  return compiled, time.perf_counter() - start


def measure(
  subject: Subject,
  program: Program,
  *,
  peer: str | None,
  repeats: int,
  profiled: bool,
) -> dict[str, Any]:
  """Times a program of ours, a peer's, and the device's limit, by turns.

  Args:
    subject: The network.
    program: Its step, which has not run yet.
    peer: Library whose network is measured, too.
    repeats: Rounds.
    profiled: Whether to list the kernels that take most.
  """
  jax.block_until_ready(program.step())
  first = seconds_since_start()
  for _ in range(_WARM_UP):
    jax.block_until_ready(program.step())
  needed = memory.peak(program.compiled)

  product, product_flops = limit.product(subject.config.model.dtype)
  jax.block_until_ready(product())
  steps = 1 if jax.default_backend() == 'cpu' else _STEPS_A_ROUND
  runs = {
    'ours': _turn(program.step, steps),
    'limit': _turn(product, steps),
  }
  theirs = None
  if peer:
    theirs = peers.build(peer, subject, training=program.training)
    runs |= {
      name: theirs.turn(step, steps) for name, step in theirs.steps.items()
    }
  seconds = {
    name: [s / steps for s in found]
    for name, found in timing.interleaved(runs, repeats).items()
  }

  pictures = subject.config.batch_size
  ours = timing.summary(seconds['ours'], pictures)
  flops = forward_flops(subject.model, (1, *subject.size, 3))
  passes = 3 if program.training else 1
  achieved = passes * flops * ours['images_per_second']
  best = program.devices * product_flops / min(seconds['limit'])
  params = models.abstract_variables(subject.model)['params']
  parameters = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
  result = {
    **ours,
    'steps_per_repeat': steps,
    'parameters': parameters,
    'forward_gflops_per_image': flops / 1e9,
    'flops_are': _FLOPS + ('; training is 3 times forward' * (passes == 3)),
    'tflops_per_second': round(achieved / 1e12, 4),
    'limit_tflops_per_second': round(best / 1e12, 4),
    'limit_is': 'the fastest matrix product in this dtype of the same run'
    + (f', times {program.devices} devices' * (program.devices > 1)),
    'share_of_limit': round(achieved / best, 4),
    **needed,
    'compile_seconds': round(program.compile_seconds, 2),
    'seconds_from_process_start_to_first_step': first and round(first, 2),
  }
  if theirs:
    found = theirs.describe(seconds, pictures, parameters, flops)
    median = found['milliseconds'] / ours['milliseconds']
    fastest = found['fastest'] / ours['fastest']
    result |= {
      'times_as_fast_as_peer': round(median, 3),
      'times_as_fast_by_the_fastest': round(fastest, 3),
      'peer': found,
    }
  result |= {**subject.describe(), 'devices': program.devices}
  warning = timing.warning(
    seconds['limit'], subject.load_before, result['cores']
  )
  if warning:
    result['warning'] = warning
  if profiled:
    result['profile'] = profile.top_kernels(program.step, program.compiled)
  return result


def _turn(step: Callable[[], Any], steps: int) -> Callable[[], Any]:
  """A call that does several steps and returns when they are done."""

  def run():
    for _ in range(steps):
      result = step()
    jax.block_until_ready(result)

  return run
