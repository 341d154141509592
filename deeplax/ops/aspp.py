"""Atrous convolutions of one picture, at several rates, by matrix products.

    z = x @ [all taps of all kernels]                      [B, H, W, taps * O]
    y_n[b, i, j] = sum over taps t of kernel n of
                   z_t[b, i + row of t, j + column of t],  0 outside of it

At the rates of a pyramid a convolution reads zeros for the most part, or has no
fast kernel. One product reads the picture once, and what lies outside is no
more than a shorter sum.
"""

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from deeplax.ops.lowerings import taps


def products(
  x: jax.Array, kernels: Sequence[jax.Array], rates: Sequence[int]
) -> list[jax.Array]:
  """Convolves with every kernel, by one matrix product for all of them.

  The same as `conv.conv` with stride 1 for each; exact in the same sense in
  float32 and float64. In bfloat16 what each tap contributes is rounded to
  bfloat16 before these are added up in float32, which the convolution does
  not do: its error is of the size that the rounding of the result has.

  Between the product and the sums there are the contributions of all taps in
  the dtype of `x`: for 1x1 and three 3x3 kernels to 256 channels, 28 * 256
  numbers a pixel, or 0.5 GB for 16 maps of 48 x 48 in bfloat16. For less, call
  it kernel by kernel.

  Args:
    x: `[B, H, W, C]`, its rows on one device.
    kernels: `[k, k, C, O]` each, k odd.
    rates: Pixels between the taps, of each kernel.

  Returns:
    `[B, H, W, O]`, of each kernel.
  """
  kernels = [
    taps.reachable(kernel, x.shape[1:3], rate)
    for kernel, rate in zip(kernels, rates)
  ]
  columns = [
    tap for kernel in kernels for tap in kernel.reshape(-1, *kernel.shape[2:])
  ]
  product = x @ jnp.concatenate(columns, axis=1)
  # jnp.split, not slices: its gradient is one concatenation.
  ends = list(itertools.accumulate(tap.shape[1] for tap in columns))[:-1]
  contributions = iter(jnp.split(product, ends, axis=-1))
  return [
    _sum_of_shifted(contributions, kernel.shape[:2], rate)
    for kernel, rate in zip(kernels, rates)
  ]


def _sum_of_shifted(contributions, size, rate) -> jax.Array:
  """Takes a picture a tap and adds them up, each moved to where it is read."""
  total = 0
  for i in range(size[0]):
    for j in range(size[1]):
      z = next(contributions)
      down, right = (rate * (n - k // 2) for n, k in zip((i, j), size))
      # Negative padding cuts off.
      edges = ((0, 0, 0), (-down, down, 0), (-right, right, 0), (0, 0, 0))
      shifted = lax.pad(z, jnp.zeros((), z.dtype), edges)
      total = total + shifted.astype(jnp.promote_types(z.dtype, jnp.float32))
  return total.astype(z.dtype)
