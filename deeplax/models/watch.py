"""Looks at what every layer of a network gives, one after the other."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp


class Output(NamedTuple):
  """Of one array that a module returned.

  Attributes:
    name: Path of the module, e.g. `'encoder/stage2/unit1/conv1'`.
    largest: The largest finite magnitude, 0 if there is none.
    bad: How many numbers are NaN or infinite.
  """

  name: str
  largest: float
  bad: int


def outputs(
  model: nn.Module, variables: dict[str, Any], image: jax.Array, **options: Any
) -> list[Output]:
  """Applies a network without compiling it, and watches.

  Args:
    model: Built with `remat=False`: what is computed again can't be watched.
    variables: Of it.
    image: [B, H, W, 3], 0..255.
    **options: Of `apply`: `train`, `rngs`, `mutable`.

  Returns:
    The outputs in the order in which they came.
  """
  found = []

  def look(call, args, kwargs, context):
    result = call(*args, **kwargs)
    for leaf in jax.tree.leaves(result):
      if not isinstance(leaf, jax.core.Tracer) and _is_inexact(leaf):
        name = '/'.join(context.module.path) or 'the network'
        found.append(Output(name, *numbers(leaf)))
    return result

  with nn.intercept_methods(look):
    model.apply(variables, image, **options)
  return found


def numbers(array: jax.Array) -> tuple[float, int]:
  """The largest finite magnitude, and how many numbers are not finite."""
  finite = jnp.isfinite(array)
  largest = jnp.max(jnp.where(finite, jnp.abs(array), 0), initial=0)
  return float(largest), int(array.size - jnp.sum(finite))


def _is_inexact(leaf):
  return hasattr(leaf, 'dtype') and jnp.issubdtype(leaf.dtype, jnp.inexact)
