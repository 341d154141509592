"""Gaussian filtering in d dimensions over a permutohedral lattice.

The kernel K_ij = exp(-|x_i - x_j|^2 / 2) between N features is applied to
values `[N, C]` in time linear in N: every feature *splats* its value to the
d + 1 vertices of its simplex with its barycentric weights, the lattice points
are *blurred* by 1/2, 1, 1/2 along each of the d + 1 directions one after the
other, and features *slice* their result with the same weights,

    K = a S^T B_d ... B_0 S,      a = 1 / (1 + 2^-d).

Only points that are a vertex of some feature's simplex exist; others hold and
pass on nothing. Reference: Kraehenbuehl and Koltun 2011 and their code, after
Adams, Baek and Davis 2010. The rows of K sum to about what the exact kernel's
do, times a constant of the dimension; normalise (`deeplax.crf.kernel`).

Everything here is pure and runs under `jit` on any device; `crf.host` builds
the same lattice with numpy.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from deeplax.crf import points as points_lib
from deeplax.crf.simplex import find_simplices
from deeplax.errors import UserError

# Coordinates q of lattice points (see crf.simplex) that fit 16 bits, with a
# margin for their neighbours.
MAX_COORDINATE = 32000
# Points that are blurred at once.
_BLOCK = 1 << 16


class Lattice(NamedTuple):
  """Static-shape index arrays, numpy's or JAX's.

  Points are numbered class by class. A number that is no point, `capacity`,
  stands for a missing neighbour and for a point beyond the capacity.

  Attributes:
    vertices: int32`[N, d + 1]`, the vertex of each class.
    weights: float32`[N, d + 1]`, barycentric, rows add to 1. NaN throughout if
      the capacity did not suffice.
    neighbours: int32`[d + 1, 2, capacity]`, before and after each point along
      each direction.
    size: int32, how many points there are, which may be more than `capacity`.
  """

  vertices: Any
  weights: Any
  neighbours: Any
  size: Any

  @property
  def capacity(self) -> int:
    return self.neighbours.shape[-1]


def default_capacity(num_features: int, d: int) -> int:
  """Lattice points that suffice for photographs.

  As many as could be, d + 1 for each feature, up to 2^16 features; beyond that
  at most 4. Photographs of 480 x 360 and 321 x 321 needed up to 2.9 with the
  narrow colour kernel of `DEEPLAB_V2`, up to 0.6 with `DEEPLAB_V1`; the larger
  the picture, the fewer.
  """
  few = num_features <= 1 << 16
  return num_features * (d + 1 if few else min(d + 1, 4))


def build(features: jax.Array, *, capacity: int | None = None) -> Lattice:
  """The lattice of features, on the device, under `jit` or not.

  Lattice points are found by sorting the vertices of each class; neighbours by
  bisection. Not differentiable with respect to the features.

  Args:
    features: `[N, d]`, in units of the kernel's standard deviation.
    capacity: Room for lattice points; default `default_capacity(N, d)`, and
      outside `jit` about what is needed.

  Raises:
    UserError: Features that are not finite or out of range, and a capacity that
      is too small, with the size needed. Under `jit`, where values are not
      known, these make every weight, and so every result, NaN; and a capacity
      below (d + 1) N, the most that can be needed, is checked by a callback,
      whose error says the same.
  """
  if features.ndim != 2 or 0 in features.shape:
    raise UserError(
      f'features have shape {features.shape}; expected [N, d] with at least '
      'one feature of one dimension.'
    )
  num, d = features.shape
  if capacity is not None and capacity < 1:
    raise UserError(f'capacity is {capacity}; expected at least 1.')
  room = capacity or default_capacity(num, d)
  features = lax.stop_gradient(jnp.asarray(features, jnp.float32))
  lattice, fits = _build(features, room)
  if isinstance(lattice.size, jax.core.Tracer):
    if room < num * (d + 1):
      jax.debug.callback(check_size, lattice.size, room)
    return lattice
  if not fits:
    raise UserError(range_message(features))
  if capacity is not None:
    check_size(lattice.size, capacity)
    return lattice
  if lattice.size > room:
    lattice, _ = _build(features, int(lattice.size))
  return _trim(lattice)


def _trim(lattice: Lattice) -> Lattice:
  """Without most of the unused room.

  Not all of it, so that pictures that need about as much share a program.
  """
  size = int(lattice.size)
  step = 1 << max(size.bit_length() - 3, 0)
  capacity = min(-(-size // step) * step, lattice.capacity)
  return lattice._replace(
    vertices=jnp.minimum(lattice.vertices, capacity),
    neighbours=jnp.minimum(lattice.neighbours[..., :capacity], capacity),
  )


def check_size(size: Any, capacity: int) -> None:
  """Raises a UserError if `size` points have no room."""
  if size > capacity:
    raise UserError(
      f'The permutohedral lattice needs {int(size)} points, and its capacity '
      f'is {capacity}; set capacity={int(size)} or more, or widen the kernels.'
    )


def range_message(features: Any) -> str:
  """What to say of features that are not finite or too large."""
  low, high = np.min(np.asarray(features)), np.max(np.asarray(features))
  return (
    f'Features lie in {low}..{high} (in kernel widths); expected finite ones '
    f'whose lattice coordinates stay below {MAX_COORDINATE}. Widen the kernels.'
  )


@functools.partial(jax.jit, static_argnums=1)
def _build(features: jax.Array, capacity: int) -> tuple[Lattice, jax.Array]:
  num, d = features.shape
  simplices = find_simplices(features.T, jnp)
  base = jnp.stack(simplices.base)
  fits = jnp.all(jnp.abs(base) < MAX_COORDINATE)
  q = jnp.where(fits, base[:d], 0).astype(jnp.int32)
  rank = jnp.stack(simplices.rank[:d])
  classes = jnp.arange(d + 1, dtype=jnp.int32)[:, None, None]
  words = points_lib.pack(q - (rank > d - classes))

  # Class by class: equal points become neighbours in the sorted order.
  order = jnp.broadcast_to(jnp.arange(num, dtype=jnp.int32), (d + 1, num))
  *words, order = lax.sort((*words, order), dimension=1, num_keys=len(words))
  new = functools.reduce(jnp.logical_or, [w[:, 1:] != w[:, :-1] for w in words])
  new = jnp.pad(new, ((0, 0), (1, 0)), constant_values=True)
  number = (jnp.cumsum(new.reshape(-1), dtype=jnp.int32) - 1).reshape(new.shape)
  size = number[-1, -1] + 1
  starts = jnp.append(number[:, 0], size)
  number = jnp.minimum(number, capacity)
  vertices = jnp.zeros((num, d + 1), jnp.int32)
  vertices = vertices.at[order, classes[..., 0]].set(
    number, unique_indices=True
  )
  points = [
    jnp.zeros(capacity, w.dtype).at[number].set(w, mode='drop') for w in words
  ]

  enough = fits & (size <= capacity)
  weights = jnp.stack(simplices.weights, axis=1)
  weights = jnp.where(enough, weights, jnp.nan)
  neighbours = points_lib.find_neighbours(points, starts, d)
  return Lattice(vertices, weights, neighbours, size), fits


def splat(lattice: Lattice, values: jax.Array) -> jax.Array:
  """Weighted sums of values `[N, C]` at the lattice points, `[capacity, C]`."""

  # A loop, so that the weighted values of one class at a time take memory.
  def add(r, points):
    weight = lattice.weights[:, r, None].astype(values.dtype)
    return points.at[lattice.vertices[:, r]].add(weight * values, mode='drop')

  points = jnp.zeros((lattice.capacity, values.shape[1]), values.dtype)
  return lax.fori_loop(0, lattice.vertices.shape[1], add, points)


def blur(
  lattice: Lattice, points: jax.Array, *, reverse: bool = False
) -> jax.Array:
  """1/2, 1, 1/2 along direction 0, then 1, ... d, or from d to 0.

  Runs over the points that exist, block by block, since a capacity that is
  sure to suffice may be several times what a picture needs.
  """
  capacity = lattice.capacity
  block = min(_BLOCK, capacity)
  count = jnp.minimum(lattice.size, capacity)
  directions = range(lattice.neighbours.shape[0])
  for j in reversed(directions) if reverse else directions:

    def add_neighbours(i, out, points=points, table=lattice.neighbours[j]):
      begin = jnp.minimum(i * block, capacity - block)
      before, after = (
        points.at[n].get(mode='fill', fill_value=0)
        for n in lax.dynamic_slice_in_dim(table, begin, block, axis=1)
      )
      here = lax.dynamic_slice_in_dim(points, begin, block)
      here += 0.5 * (before + after)
      return lax.dynamic_update_slice_in_dim(out, here, begin, axis=0)

    blocks = (count + block - 1) // block
    points = lax.fori_loop(0, blocks, add_neighbours, points)
  return points


def slice_(lattice: Lattice, points: jax.Array) -> jax.Array:
  """Interpolates `[capacity, C]` at the features, `[N, C]`."""

  def add(r, total):
    weight = lattice.weights[:, r, None].astype(points.dtype)
    vertex = points.at[lattice.vertices[:, r]].get(mode='fill', fill_value=0)
    return total + weight * vertex

  num, count = lattice.vertices.shape
  total = jnp.zeros((num, points.shape[1]), points.dtype)
  return lax.fori_loop(0, count, add, total)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def filter_(
  lattice: Lattice, values: jax.Array, reverse: bool = False
) -> jax.Array:
  """K applied to values `[N, C]`; its transpose with `reverse`.

  The blurs do not quite commute where points are missing, so the transpose
  takes them in the opposite order. Linear in the values and differentiable in
  them, any number of times; the lattice is a constant.
  """
  d = lattice.neighbours.shape[0] - 1
  points = blur(lattice, splat(lattice, values), reverse=reverse)
  return slice_(lattice, points) / (1 + 2.0**-d)


def _filter_forward(lattice, values, reverse):
  return filter_(lattice, values, reverse), lattice


def _filter_backward(reverse, lattice, cotangent):
  return None, filter_(lattice, cotangent, not reverse)


filter_.defvjp(_filter_forward, _filter_backward)
