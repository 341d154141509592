"""No head: the encoder's last features, dropped out while training.

U-Net's, whose paper drops out at the end of the contracting path.
"""

import flax.linen as nn
import jax

from deeplax.models.options import Options


def build(options: Options) -> 'NoHead':
  """The head that `options` ask for."""
  return NoHead(options.dropout)


class NoHead(nn.Module):
  """Dropout alone."""

  dropout: float

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """Returns `x`, less what is dropped."""
    return nn.Dropout(self.dropout, deterministic=not train)(x)
