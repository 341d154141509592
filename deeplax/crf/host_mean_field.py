"""Mean field with scipy's sparse matrices, where the device is a CPU.

The same inference as `crf.mean_field`, for values that are known. XLA's scatter
adds element by element on one core; a product with a sparse matrix adds all
classes of a pixel at once, and several run side by side. What is added to what
does not depend on the number of cores, nor does the result.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from deeplax.crf.host import workers
from deeplax.crf.kernel import normalization_factors
from deeplax.crf.lattice import Lattice

# Rows worked on at once: of 19 classes in float32 what a core's cache holds.
_BLOCK = 1 << 13
# Pixels splatted at once, if they reach few enough lattice points.
_SPLAT_BLOCK = 1 << 16


class Share(NamedTuple):
  """Lattice points that one core fills.

  Attributes:
    points: Their numbers.
    parts: What they get: from which pixels, for which of the points, and the
      matrix `[points, pixels]`.
  """

  points: slice
  parts: list[tuple[slice, slice, sparse.csc_matrix]]


class SparseKernel(NamedTuple):
  """A normalised kernel as sparse matrices.

  Attributes:
    to_lattice: Shares, all points together.
    neighbours: As in `Lattice`.
    from_lattice: For each block of pixels, `[pixels, capacity + 1]`; the last
      column is that of the missing points.
  """

  to_lattice: list[Share]
  neighbours: np.ndarray
  from_lattice: list[sparse.csr_matrix]


def sparse_kernel(
  lattice: Lattice, normalization: str, dtype: Any
) -> SparseKernel:
  """The kernel of a lattice whose arrays are numpy's."""
  count = lattice.weights.shape[1]
  scale = 1 / (1 + 2.0 ** (1 - count))
  rows = _row_sums(lattice) * scale
  before, after = normalization_factors(rows, normalization)
  weights = lattice.weights * before[:, None].astype(dtype)
  to_lattice = _to_lattice(lattice, weights)
  weights = lattice.weights * (after * scale)[:, None].astype(dtype)
  from_lattice = [
    _matrix(lattice.vertices[part], weights[part], lattice.capacity + 1)
    for part in _blocks(len(weights), _BLOCK)
  ]
  return SparseKernel(to_lattice, lattice.neighbours, from_lattice)


def mean_field(
  unary: np.ndarray,
  kernels: Sequence[SparseKernel],
  weights: Sequence[float],
  compatibility: np.ndarray | None,
  num_iterations: int,
) -> np.ndarray:
  """As `crf.mean_field.mean_field`; `unary` is `[N, C]`."""
  dtype = unary.dtype.type
  # The largest is 0: only messages can make an exponent large.
  base = unary.min(axis=1, keepdims=True) - unary
  q = np.empty_like(base)
  blocks = _blocks(len(base), _BLOCK)

  def normalize(index, points):
    def exponents():
      part[:] = base[blocks[index]]
      for kernel, values in zip(kernels, points):
        part[:] += kernel.from_lattice[index] @ values
      return part

    part = q[blocks[index]]
    _softmax(exponents)

  _run(functools.partial(normalize, points=()), range(len(blocks)))
  mix = None if compatibility is None else -compatibility.T.astype(dtype)
  # Kept from one iteration to the next: fresh memory costs time.
  room = [
    np.empty((2, k.neighbours.shape[-1] + 1, q.shape[1]), dtype)
    for k in kernels
  ]
  for _ in range(num_iterations):
    _splat(kernels, q, room)
    points = []
    for kernel, weight, (values, other) in zip(kernels, weights, room):
      values = _blur(kernel.neighbours, values, other)
      values *= dtype(weight)
      points.append(values if mix is None else values @ mix)
    _run(functools.partial(normalize, points=points), range(len(blocks)))
  return q


def _softmax(exponents: Callable[[], np.ndarray]) -> None:
  """Along the classes of `[n, C]`, in place.

  The largest exponent is seldom far from 0. Finding it is what takes longest,
  so it is looked for only where the sum says that it was, and the exponents,
  overwritten by then, are asked for again.
  """
  x = exponents()
  with np.errstate(over='ignore'):
    np.exp(x, out=x)
    # Several times as fast as `sum`.
    total = np.einsum('nc->n', x)
  if not (np.isfinite(total).all() and (total > 1e-20).all()):
    x = exponents()
    x -= x.max(axis=1, keepdims=True)
    np.exp(x, out=x)
    total = np.einsum('nc->n', x)
  x *= (1 / total)[:, None]


def _row_sums(lattice: Lattice) -> np.ndarray:
  """The filter of ones without its constant, float64`[N]`."""
  points = np.bincount(
    lattice.vertices.reshape(-1),
    lattice.weights.reshape(-1),
    minlength=lattice.capacity + 1,
  )
  points = _blur(lattice.neighbours, points, np.empty_like(points))
  rows = np.empty(len(lattice.weights))

  def look_up(part):
    vertices = points[lattice.vertices[part]]
    rows[part] = np.einsum('nr,nr->n', lattice.weights[part], vertices)

  _run(look_up, _blocks(len(rows), _BLOCK))
  return rows


def _to_lattice(lattice: Lattice, weights: np.ndarray) -> list[Share]:
  """Matrices from pixels to points with weights `[N, d + 1]`.

  Where blocks of pixels reach few of the same points, as with the spatial
  kernel, block by block: what is added to stays in the cache. Else all pixels
  at once, for two classes of points, so that each pixel is read less often.
  """
  num, count = weights.shape
  blocks = _blocks(num, _SPLAT_BLOCK)
  reach = sum(np.ptp(lattice.vertices[b], axis=0).sum() for b in blocks)
  step = 1 if len(blocks) > 1 and reach <= 2 * lattice.capacity else 2
  shares, start = [], 0
  for r in range(0, count, step):
    vertices = lattice.vertices[:, r : r + step]
    # To the end: not every point need be a vertex of a pixel.
    last = r + step >= count
    stop = lattice.capacity if last else int(vertices.max()) + 1
    share = slice(start, stop)
    parts = []
    for pixels in blocks if step == 1 else [slice(0, num)]:
      here = vertices[pixels]
      if step == 1:
        points = slice(int(here.min()), int(here.max()) + 1)
      else:
        points = share
      matrix = _matrix(
        here - points.start,
        weights[pixels, r : r + step],
        points.stop - points.start,
      )
      parts.append((pixels, points, matrix.T))
    shares.append(Share(share, parts))
    start = stop
  return shares


def _matrix(columns: np.ndarray, values: np.ndarray, width: int):
  """A matrix with equally many entries, `[n, k]`, in each row."""
  num, count = columns.shape
  rows = np.arange(0, num * count + 1, count, dtype=np.int32)
  return sparse.csr_matrix(
    (values.reshape(-1), columns.reshape(-1), rows), shape=(num, width)
  )


def _splat(
  kernels: Sequence[SparseKernel], q: np.ndarray, room: Sequence[np.ndarray]
) -> None:
  """Sums at the lattice points of kernel k in room[k][0], and a row of 0."""

  def fill(job):
    out, share = job
    if len(share.parts) == 1:
      out[share.points] = share.parts[0][2] @ q
      return
    out[share.points] = 0
    for pixels, points, matrix in share.parts:
      out[points] += matrix @ q[pixels]

  jobs = []
  for kernel, (out, _) in zip(kernels, room):
    out[-1] = 0
    jobs += [(out, share) for share in kernel.to_lattice]
  _run(fill, jobs)


def _blur(
  neighbours: np.ndarray, points: np.ndarray, other: np.ndarray
) -> np.ndarray:
  """1/2, 1, 1/2 along each direction; `points` and `other` are overwritten.

  The last row, that of the missing points, is 0 and stays it.
  """
  other[-1] = 0
  for before, after in neighbours:

    def add_neighbours(part, values, out, before=before, after=after):
      total = out[part]
      # The mode only spares a copy: all numbers are in range.
      values.take(before[part], axis=0, out=total, mode='clip')
      total += values.take(after[part], axis=0)
      total *= values.dtype.type(0.5)
      total += values[part]

    job = functools.partial(add_neighbours, values=points, out=other)
    _run(job, _blocks(len(before), _BLOCK))
    points, other = other, points
  return points


def _blocks(count: int, size: int) -> list[slice]:
  return [slice(i, min(i + size, count)) for i in range(0, count, size)]


def _run(job: Callable[[Any], None], arguments: Sequence[Any]) -> None:
  """Calls `job` with each argument, on all cores if there are several."""
  if len(arguments) == 1:
    job(arguments[0])
  else:
    list(workers().map(job, arguments))
