"""Keeps XLA's fusions on a CPU within the bounds of one operation.

There XLA joins a loop to whatever reads its result, however late that comes:
a batch norm is worked out again for each of nine shifted views, or in the
order of a transposed copy, at ten times the cost of writing it down once. An
optimisation barrier does not stop that, it is gone before fusion; a call that
is not inlined does.
"""

import functools
from collections.abc import Callable

import jax
from jax.experimental.xla_metadata import set_xla_metadata


def apart(function: Callable) -> Callable:
  """Compiles `function` as a part of its own where the backend is a CPU.

  What it returns is written to memory, and nothing outside is computed inside.
  The result is the same with and without.

  Args:
    function: Of arrays; pure.

  Returns:
    The same function; gradients are taken through it as usual, but belong
    into a `jax.custom_vjp` around it if they, too, are to be apart.
  """

  @functools.wraps(function)
  def inner(*args):
    # Of the call only, not of each operation within.
    with set_xla_metadata(inlineable=None):
      return function(*args)

  compiled = jax.jit(inner)

  @functools.wraps(function)
  def outer(*args):
    if jax.default_backend() != 'cpu' or _on_several_devices(args):
      return function(*args)
    with set_xla_metadata(inlineable='false'):
      return compiled(*args)

  return outer


def _on_several_devices(args) -> bool:
  """Whether there are collectives, which wait for each other in such calls."""
  return any(
    jax.typeof(x).sharding.mesh.size > 1 for x in jax.tree.leaves(args)
  )
