"""Where a feature lies in the permutohedral lattice: simplex and weights.

A. Adams, J. Baek and M. A. Davis, Fast high-dimensional filtering using the
permutohedral lattice, Eurographics 2010; scaled and rounded as in Kraehenbuehl
and Koltun's implementation, since which lattice points exist decides how far a
blur reaches, and so the result.

A feature x in R^d is raised to y = E x on the plane sum(y) = 0 in R^(d+1),

    y_0 = sum_i c_i,   y_j = sum_(i > j) c_i - j c_j   (i, j = 1..d),
    c_i = x_i (d + 1) sqrt(2/3) / sqrt(i (i + 1)),

where lattice points are integer vectors k with sum(k) = 0 and all k_i congruent
modulo d + 1. That remainder r is the *class* of a point, and with it a point is
written (r, q), k_i = (d + 1) q_i + r; the last coordinate follows from the
others. A simplex has one vertex of each class: with (0, q) the vertex of class
0 and rank_i the place of y_i - k_i among them, largest first, the vertex of
class r is

    (r, q_i - [rank_i > d - r]).

Written once for numpy and for jax.numpy, the argument `xp`.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


class Simplices(NamedTuple):
  """The simplex around each of N features, coordinate by coordinate.

  Attributes:
    base: q of the vertex of class 0, d + 1 arrays `[N]`, whole numbers in the
      type of the features.
    rank: Place of each coordinate, d + 1 arrays int8`[N]`, a permutation of
      0..d.
    weights: Barycentric weight of the vertex of each class, d + 1 arrays
      `[N]`; they add to 1.
  """

  base: list[Any]
  rank: list[Any]
  weights: list[Any]


def find_simplices(features: Any, xp: Any = np) -> Simplices:
  """The simplex of every feature.

  Args:
    features: `[d, N]`, float32 or float64, in units of the kernel's standard
      deviation.
    xp: numpy or jax.numpy.
  """
  y = _elevate(features, xp)
  d = len(y) - 1
  base = [xp.rint(y_i * y_i.dtype.type(1 / (d + 1))) for y_i in y]
  # How many steps of d + 1 the rounded point lies off the plane.
  off = sum(base[1:], base[0])
  rest = [y_i - q_i * (d + 1) for y_i, q_i in zip(y, base)]
  rank = _ranks(rest, off.astype(np.int8), xp)
  for i in range(d + 1):
    low, high = rank[i] < 0, rank[i] > d
    step = low.astype(np.int8) - high.astype(np.int8)
    rank[i] = rank[i] + step * np.int8(d + 1)
    base[i] = base[i] + step
    rest[i] = rest[i] - step.astype(rest[i].dtype) * (d + 1)
  return Simplices(base, rank, _barycentric(rest, xp))


def _elevate(features: Any, xp: Any) -> list[Any]:
  """E x, `[d + 1]` arrays, rounded after each operation as in the reference.

  Grey and saturated pixels lie just on the border between two simplices, and
  the last bit decides which points exist. So compilers must not merge products
  with sums.
  """
  # The last feature is a colour; positions would be constants to a compiler.
  hold = functools.partial(opaque, guard=features[-1]) if xp is jnp else _same
  d = len(features)
  kind = features.dtype.type
  spread = kind(math.sqrt(2 / 3) * (d + 1))
  y, total = [None] * (d + 1), 0 * features[0]
  for j in range(d, 0, -1):
    c = hold(features[j - 1] * kind(1 / math.sqrt(j * (j + 1)) * float(spread)))
    y[j] = total - hold(c * kind(j))
    total = total + c
  y[0] = total
  return y


def opaque(x: jax.Array, guard: jax.Array) -> jax.Array:
  """`x`, float32, hidden from the simplifications of compilers.

  `guard`, float, of the same shape, is known only when the program runs. Its
  comparison with itself is 0, as only NaN differs from itself, but no compiler
  may count on it.
  """
  zero = (guard != guard).astype(np.int32)
  bits = lax.bitcast_convert_type(x, np.int32) + zero
  return lax.bitcast_convert_type(bits, x.dtype)


def _same(x: Any) -> Any:
  return x


def _ranks(rest: list[Any], off: Any, xp: Any) -> list[Any]:
  """Places in falling order, among equals the later first, plus `off`."""
  rank = [off for _ in rest]
  for i in range(len(rest)):
    for j in range(i + 1, len(rest)):
      less = (rest[i] < rest[j]).astype(np.int8)
      rank[i] = rank[i] + less
      rank[j] = rank[j] + (np.int8(1) - less)
  return rank


def _barycentric(rest: list[Any], xp: Any) -> list[Any]:
  """Weights of the vertices: differences of the sorted remainders."""
  count = len(rest)
  s = [x * x.dtype.type(1 / count) for x in rest]
  # Sorted by comparing neighbours; `count` rounds put everything in its place.
  for round_ in range(count):
    for i in range(round_ % 2, count - 1, 2):
      s[i], s[i + 1] = xp.maximum(s[i], s[i + 1]), xp.minimum(s[i], s[i + 1])
  first = s[-1] + (1 - s[0])
  return [first] + [s[count - 1 - r] - s[count - r] for r in range(1, count)]
