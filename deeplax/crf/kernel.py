"""The CRF's two kernels: features of pixels, and how rows are normalised.

    spatial    exp(-(dx / sx)^2 / 2 - (dy / sy)^2 / 2)
    bilateral  the same times
               exp(-(dr / sr)^2 / 2 - (dg / sg)^2 / 2 - (db / sb)^2 / 2)

With K the filter and n = K 1 its row sums, the kernel applied to values is

    symmetric  n^-1/2 K n^-1/2      before  K n^-1
    after      n^-1 K               none    K

Row sums are never 0: every pixel reaches itself. Without normalisation they are
in the thousands for usual widths, and messages are only as exact as float32 is
there.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deeplax.crf import lattice as lattice_lib
from deeplax.crf.simplex import opaque

NORMALIZATIONS = ('symmetric', 'before', 'after', 'none')


class Kernel(NamedTuple):
  """A normalised kernel between the pixels of a picture.

  Attributes:
    lattice: Of the pixels' features.
    before, after: `[N]`, factors on either side of the filter.
  """

  lattice: lattice_lib.Lattice
  before: jax.Array
  after: jax.Array


def spatial_features(
  height: int, width: int, widths: tuple[float, float]
) -> np.ndarray:
  """x / sx and y / sy of the pixels in reading order, float32`[2, N]`."""
  x = np.arange(width, dtype=np.float32) / np.float32(widths[0])
  y = np.arange(height, dtype=np.float32) / np.float32(widths[1])
  return np.stack([np.tile(x, height), np.repeat(y, width)])


def bilateral_features(
  image: Any,
  widths: tuple[float, float],
  colour_widths: tuple[float, float, float],
  xp: Any = np,
) -> Any:
  """The same and r / sr, g / sg, b / sb of `[H, W, 3]`, float32`[5, N]`."""
  position = spatial_features(*image.shape[:2], widths)
  colour = image.astype(np.float32).reshape(-1, 3)
  colour_widths = np.asarray(colour_widths, np.float32)
  if xp is jnp:
    # One divisor for many would become a product with its inverse, which
    # rounds otherwise.
    colour_widths = jnp.broadcast_to(colour_widths, colour.shape)
    colour_widths = opaque(colour_widths, guard=colour)
  colour = colour / colour_widths
  return xp.concatenate([position, colour.T])


def with_origin(features: Any, xp: Any = np) -> Any:
  """`[d, N]` and a feature of zeros, unless N is a multiple of 4.

  The reference takes features four at a time and fills up the last ones with
  zeros, which makes the points around zero exist. A blur then reaches a little
  further there: in the corner of a dark picture Q changes by some thousandths.
  """
  if features.shape[1] % 4 == 0:
    return features
  return xp.pad(features, ((0, 0), (0, 1)))


def without_origin(
  lattice: lattice_lib.Lattice, num: int
) -> lattice_lib.Lattice:
  """The same points with the first `num` features."""
  return lattice._replace(
    vertices=lattice.vertices[:num], weights=lattice.weights[:num]
  )


def normalization_factors(
  rows: Any, normalization: str, xp: Any = np
) -> tuple[Any, Any]:
  """Factors before and after the filter, each like its row sums `[N]`."""
  one = xp.ones_like(rows)
  if normalization == 'symmetric':
    return rows**-0.5, rows**-0.5
  if normalization == 'before':
    return 1 / rows, one
  if normalization == 'after':
    return one, 1 / rows
  return one, one


@functools.partial(jax.jit, static_argnums=(1, 2))
def make_kernel(
  lattice: lattice_lib.Lattice, normalization: str, dtype: Any
) -> Kernel:
  """The kernel of a lattice, on the device."""
  ones = jnp.ones((lattice.vertices.shape[0], 1), dtype)
  rows = lattice_lib.filter_(lattice, ones)[:, 0]
  return Kernel(lattice, *normalization_factors(rows, normalization, jnp))


def apply(kernel: Kernel, values: jax.Array) -> jax.Array:
  """The kernel times values `[N, C]`."""
  values = kernel.before[:, None] * values
  return kernel.after[:, None] * lattice_lib.filter_(kernel.lattice, values)
