"""Neighbours of lattice points on the device, by bisection.

A point (r, q), see `crf.simplex`, is its class and the first d coordinates of
q, two to a word of 32 bits. Words compare like points, and a step to a
neighbour adds the same to all points of a class.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

# Points whose neighbours are looked up at once.
_BLOCK = 1 << 16


def pack(q: jax.Array) -> list[jax.Array]:
  """Coordinates int32`[classes, d, N]`, two to a word of 32 bits."""
  halves = (q + (1 << 15)).astype(jnp.uint32)
  words = []
  for k in range(0, q.shape[1], 2):
    low = halves[:, k + 1] if k + 1 < q.shape[1] else 0
    words.append((halves[:, k] << 16) + low)
  return words


def find_neighbours(
  points: list[jax.Array], starts: jax.Array, d: int
) -> jax.Array:
  """Of each point, along each direction: int32`[d + 1, 2, capacity]`.

  The step before point (r, q) along direction j is (r - 1, q + e_j), from class
  0 (d, q + e_j - 1); along the last direction e_j is 0. It runs over the points
  that exist, block by block. The step after is the same the other way round.
  """
  capacity = points[0].shape[0]
  block = min(_BLOCK, capacity)
  first = jnp.concatenate([starts[-2:-1], starts[:-2]])
  last = jnp.concatenate([starts[-1:], starts[1:-1]])

  def look_up(i, table):
    # The last block overlaps the one before it rather than the end.
    begin = jnp.minimum(i * block, capacity - block)
    index = begin + jnp.arange(block, dtype=jnp.int32)
    r = jnp.searchsorted(starts[1:], index, side='right', method='compare_all')
    exists = r <= d
    r = jnp.minimum(r, d)
    here = [lax.dynamic_slice_in_dim(w, begin, block) for w in points]
    for j in range(d + 1):
      steps = _steps(d, j)
      goal = [
        w + jnp.where(r == 0, wrap, step)
        for w, (step, wrap) in zip(here, steps)
      ]
      place = _bisect(points, goal, first[r], last[r])
      found = exists & (place < last[r]) & (place < capacity)
      at = jnp.minimum(place, capacity - 1)
      for w, g in zip(points, goal):
        found &= w[at] == g
      row = jnp.where(found, place, capacity)
      table = lax.dynamic_update_slice(
        table, row[None, None], (np.int32(j), np.int32(0), begin)
      )
      table = table.at[j, 1, row].set(index, mode='drop')
    return table

  table = jnp.full((d + 1, 2, capacity), capacity, jnp.int32)
  count = jnp.minimum(starts[-1], capacity)
  return lax.fori_loop(0, (count + block - 1) // block, look_up, table)


def _steps(d: int, j: int) -> list[tuple[np.uint32, np.uint32]]:
  """What to add to each word for the step before: from classes > 0, from 0."""
  steps = []
  for k in range(0, d, 2):
    two = k + 1 < d
    unit = (1 << 16 if j == k else 0) + (1 if two and j == k + 1 else 0)
    ones = (1 << 16) + (1 if two else 0)
    steps.append((np.uint32(unit), np.uint32((unit - ones) % (1 << 32))))
  return steps


def _bisect(
  points: list[jax.Array],
  goal: list[jax.Array],
  low: jax.Array,
  high: jax.Array,
) -> jax.Array:
  """First index in low..high whose point is not less than the goal."""
  capacity = points[0].shape[0]

  def halve(_, bounds):
    low, high = bounds
    middle = (low + high) // 2
    at = jnp.minimum(middle, capacity - 1)
    less, equal = False, True
    for w, g in zip(points, goal):
      here = w[at]
      less = less | (equal & (here < g))
      equal = equal & (here == g)
    less &= low < high
    return jnp.where(less, middle + 1, low), jnp.where(less, high, middle)

  rounds = math.ceil(math.log2(capacity + 1)) + 1
  return lax.fori_loop(0, rounds, halve, (low, high))[0]
