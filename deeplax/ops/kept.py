"""What is kept for the gradient where all else is recomputed."""

from collections.abc import Callable

import jax
from jax.ad_checkpoint import checkpoint_name

_NAME = 'kept'


def kept(x: jax.Array) -> jax.Array:
  """x, which `recomputing_norms` does not compute again.

  For what took a convolution, a reduction or all that came before; what
  follows from these by a pass over memory needs no mark.
  """
  return checkpoint_name(x, _NAME)


def recomputing_norms(function: Callable) -> Callable:
  """Recomputes for the gradient all but what `kept` marks.

  Batch norm, ReLU, sums, pooling and upsampling pass over memory once more;
  convolutions and statistics are kept. XLA on a CPU finds that this was
  computed before and keeps it all the same: it is of use elsewhere.
  """
  policy = jax.checkpoint_policies.save_only_these_names(_NAME)
  return jax.checkpoint(function, policy=policy)
