"""The mean of all features: the network becomes an image classifier.

Its logits are `[B, 1, 1, num_classes]`. For encoders that were trained so, to
see that their weights were read rightly.
"""

import flax.linen as nn
import jax

from deeplax.models.options import Options
from deeplax.ops import pool


def build(options: Options) -> 'GlobalPoolHead':
  """The head that `options` ask for."""
  return GlobalPoolHead(options.dropout)


class GlobalPoolHead(nn.Module):
  """Global average pooling and dropout."""

  dropout: float

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """`[B, H, W, C]` to `[B, 1, 1, C]`."""
    x = pool.global_average(x)
    return nn.Dropout(self.dropout, deterministic=not train)(x)
