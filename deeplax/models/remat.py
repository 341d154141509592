"""Units that are recomputed for the gradient instead of kept in memory."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax


def unit_runner(
  *, train: bool, remat: bool
) -> Callable[[nn.Module, jax.Array], Any]:
  """What applies the units of an encoder: `(unit, x) -> unit(x, train=train)`.

  Args:
    train: Whether the network is trained.
    remat: Whether units are recomputed for the gradient.
  """

  def run(unit, x):
    return unit(x, train=train)

  # Over a function of the unit, not the unit: parameters keep their paths.
  return nn.remat(run) if remat else run
