"""No decoder: class scores straight from the head, as in DeepLabV3."""

import flax.linen as nn
import jax

from deeplax.models.options import Options


def build(options: Options) -> 'NoDecoder':
  """The decoder; there is nothing to choose."""
  del options
  return NoDecoder()


class NoDecoder(nn.Module):
  """Passes the head's features on."""

  @nn.compact
  def __call__(
    self, x: jax.Array, endpoints: dict[str, jax.Array], *, train: bool
  ) -> jax.Array:
    """Returns `x` as it is."""
    del endpoints, train
    return x
