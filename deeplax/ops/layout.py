"""Space-to-batch: a picture as rate * rate pictures of every rate-th pixel."""

import jax
import jax.numpy as jnp


def split(x: jax.Array, rate: int) -> jax.Array:
  """Splits pictures; zeros fill sizes up to multiples of `rate`.

  Part (p, q) of picture b, number `(b * rate + p) * rate + q` of the result,
  has the pixels `x[b, p::rate, q::rate]`.

  Args:
    x: `[B, H, W, C]`.
    rate: Pixels of the picture between neighbours of a part.

  Returns:
    `[B * rate * rate, ceil(H / rate), ceil(W / rate), C]`.
  """
  batch, height, width, channels = x.shape
  rows, columns = (-(-n // rate) for n in (height, width))
  x = jnp.pad(
    x,
    (
      (0, 0),
      (0, rows * rate - height),
      (0, columns * rate - width),
      (0, 0),
    ),
  )
  x = x.reshape(batch, rows, rate, columns, rate, channels)
  # The batch stays in front: see `lowerings/space_to_batch.py`.
  x = x.transpose(0, 2, 4, 1, 3, 5)
  return x.reshape(batch * rate * rate, rows, columns, channels)


def join(x: jax.Array, rate: int) -> jax.Array:
  """The reverse of `split`, at a multiple of `rate`.

  Args:
    x: `[B * rate * rate, h, w, C]`.
    rate: As given to `split`.

  Returns:
    `[B, h * rate, w * rate, C]`.
  """
  parts, height, width, channels = x.shape
  batch = parts // rate**2
  x = x.reshape(batch, rate, rate, height, width, channels)
  x = x.transpose(0, 3, 1, 4, 2, 5)
  return x.reshape(batch, height * rate, width * rate, channels)
