"""Mean field as the last layer of a network (Zheng et al. 2015).

Conditional random fields as recurrent neural networks, arXiv:1502.03240. The
class scores, at the picture's size, are the CRF's unaries; the weights of its
kernels, and what label l pays for l' around it, are trained with the network.
The widths of the kernels are not.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from deeplax import crf


class CrfRnn(nn.Module):
  """Class scores after mean-field inference.

  Parameters: `spatial_scale` and `bilateral_scale`, factors on the weights,
  which start at 1, and `compatibility` `[C, C]`, which starts as Potts', 1 - I.

  Attributes:
    num_iterations: Of mean field; the authors train with 5.
    spatial: Width in pixels, weight.
    bilateral: Widths in pixels and in colour, weight.
  """

  num_iterations: int
  spatial: tuple[float, float]
  bilateral: tuple[float, float, float]

  @nn.compact
  def __call__(self, image: jax.Array, logits: jax.Array) -> jax.Array:
    """`[B, H, W, 3]` in 0..255, `[B, H, W, C]` to log probabilities."""
    classes, dtype = logits.shape[-1], logits.dtype

    def weight(name, value):
      return value * self.param(name, nn.initializers.ones, (), dtype)

    compatibility = self.param(
      'compatibility', lambda _: 1 - jnp.eye(classes, dtype=dtype)
    )
    q = crf.dense_crf(
      image,
      unary=-jax.nn.log_softmax(logits),
      num_iterations=self.num_iterations,
      spatial=(
        self.spatial[0],
        weight('spatial_scale', self.spatial[1]),
      ),
      bilateral=(
        *self.bilateral[:2],
        weight('bilateral_scale', self.bilateral[2]),
      ),
      compatibility=compatibility,
      # As many as could be, 6 for each pixel and for one more, see
      # `kernel.with_origin`: a run does not end for one picture, and no
      # callback has to look whether they suffice.
      capacity=6 * (image.shape[1] * image.shape[2] + 1),
    )
    # A probability that underflowed has a finite logarithm, and loss.
    return jnp.log(jnp.maximum(q, jnp.finfo(q.dtype).tiny))
