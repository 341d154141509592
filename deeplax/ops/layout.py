"""Space-to-batch: a picture as rate * rate pictures of every rate-th pixel.

A convolution of rate r is one of rate 1 in this layout. 1x1 convolutions, ReLU
and sums do not notice it; batch norm must leave out, and larger kernels must
read as zeros, what fills up sizes that are no multiples of the rate.
"""

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Layout:
  """The layout of pictures of one size.

  Attributes:
    rate: Pixels of the picture between neighbours of a part.
    height, width: Of the picture.
  """

  rate: int
  height: int
  width: int

  @property
  def full(self) -> bool:
    """Whether the parts have pixels of the picture only."""
    return self.height % self.rate == self.width % self.rate == 0

  def enter(self, x: jax.Array) -> jax.Array:
    """`[B, height, width, C]` to parts `[B * rate * rate, h, w, C]`."""
    return split(x, self.rate)

  def leave(self, x: jax.Array) -> jax.Array:
    """Parts `[B * rate * rate, h, w, C]` to `[B, height, width, C]`."""
    return join(x, self.rate)[:, : self.height, : self.width]

  def mask(self, x: jax.Array) -> jax.Array:
    """Where the parts `x` have pixels of the picture: as x, of one channel."""
    parts = split(jnp.ones((1, self.height, self.width, 1), bool), self.rate)
    copies = (x.shape[0] // len(parts), *parts.shape)
    return jnp.broadcast_to(parts, copies).reshape(*x.shape[:3], 1)

  def clear(self, x: jax.Array) -> jax.Array:
    """Sets to zero what fills up the parts, as a border is in the picture."""
    return x if self.full else jnp.where(self.mask(x), x, 0)

  def count(self, x: jax.Array) -> int:
    """Pixels of the pictures that the parts `x` are of."""
    return x.shape[0] // self.rate**2 * self.height * self.width


def split(x: jax.Array, rate: int) -> jax.Array:
  """Splits pictures; zeros fill sizes up to multiples of `rate`.

  Part (p, q) of picture b, number `(b * rate + p) * rate + q` of the result,
  has the pixels `x[b, p::rate, q::rate]`. The batch stays in front: with the
  parts before it, the gradient at a kernel was wrong, silently, on a batch
  that is split over devices (jax 0.10).

  Args:
    x: `[B, H, W, C]`.
    rate: Pixels of the picture between neighbours of a part.

  Returns:
    `[B * rate * rate, ceil(H / rate), ceil(W / rate), C]`.
  """
  batch, height, width, channels = x.shape
  rows, columns = (-(-n // rate) for n in (height, width))
  below, right = rows * rate - height, columns * rate - width
  x = jnp.pad(x, ((0, 0), (0, below), (0, right), (0, 0)))
  x = x.reshape(batch, rows, rate, columns, rate, channels)
  x = x.transpose(0, 2, 4, 1, 3, 5)
  return x.reshape(batch * rate * rate, rows, columns, channels)


def join(x: jax.Array, rate: int) -> jax.Array:
  """The reverse of `split`, with what fills the parts up.

  Args:
    x: `[B * rate * rate, h, w, C]`.
    rate: As given to `split`.

  Returns:
    `[B, h * rate, w * rate, C]`.
  """
  parts, rows, columns, channels = x.shape
  batch = parts // rate**2
  x = x.reshape(batch, rate, rate, rows, columns, channels)
  x = x.transpose(0, 3, 1, 4, 2, 5)
  return x.reshape(batch, rows * rate, columns * rate, channels)
