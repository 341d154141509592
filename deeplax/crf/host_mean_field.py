"""Mean field with scipy's sparse matrices, where the device is a CPU.

The same inference as `crf.mean_field`, for values that are known. XLA's scatter
adds element by element on one core; a product with a sparse matrix adds all
classes of a pixel at once, and several run side by side. What is added to what
does not depend on the number of cores, nor does the result.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from deeplax.crf.host import workers
from deeplax.crf.kernel import normalization_factors
from deeplax.crf.lattice import Lattice

# Rows worked on at once: of 19 classes in float32 what a core's cache holds.
_BLOCK = 1 << 13
# Classes of lattice points (of simplex vertices) that one product fills.
_CLASSES = 2


class SparseKernel(NamedTuple):
  """A normalised kernel as sparse matrices.

  Attributes:
    to_lattice: For some lattice points each, their range and `[points, N]`.
    neighbours: As in `Lattice`.
    from_lattice: For some pixels each, `[pixels, capacity + 1]`; the last
      column is that of the missing points.
  """

  to_lattice: list[tuple[int, int, sparse.csc_matrix]]
  neighbours: np.ndarray
  from_lattice: list[sparse.csr_matrix]


def sparse_kernel(
  lattice: Lattice, normalization: str, dtype: Any
) -> SparseKernel:
  """The kernel of a lattice whose arrays are numpy's."""
  weights = lattice.weights.astype(dtype, copy=False)
  scale = dtype(1 / (1 + 2.0 ** (1 - weights.shape[1])))
  plain = _with_weights(lattice, weights, weights * scale)
  ones = np.ones(len(weights), dtype)
  points = _blur(plain, _splat([plain], ones)[0])
  rows = np.concatenate([m @ points for m in plain.from_lattice])
  before, after = normalization_factors(rows, normalization)
  return _with_weights(
    lattice, weights * before[:, None], weights * (after * scale)[:, None]
  )


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
  starts = range(0, len(base), _BLOCK)

  def normalize(index, points=()):
    part = slice(starts[index], starts[index] + _BLOCK)
    exponent = base[part].copy()
    for kernel, values in zip(kernels, points):
      exponent += kernel.from_lattice[index] @ values
    q[part] = _softmax(exponent)

  _run(normalize, range(len(starts)))
  mix = None if compatibility is None else -compatibility.T.astype(dtype)
  for _ in range(num_iterations):
    points = _splat(kernels, q)
    for k, kernel in enumerate(kernels):
      points[k] = _blur(kernel, points[k])
      points[k] *= dtype(weights[k])
      if mix is not None:
        points[k] = points[k] @ mix
    _run(lambda index: normalize(index, points), range(len(starts)))  # noqa: B023
  return q


def _softmax(x: np.ndarray) -> np.ndarray:
  """Along the classes, `[n, C]`; `x` is overwritten.

  The largest exponent is seldom far from 0. Finding it is what takes longest,
  so it is looked for only where the sum says that it was.
  """
  ones = np.ones(x.shape[1], x.dtype)
  with np.errstate(over='ignore'):
    e = np.exp(x)
    total = e @ ones
  if not (np.isfinite(total).all() and (total > 1e-20).all()):
    e = np.exp(np.subtract(x, x.max(axis=1, keepdims=True), out=x))
    total = e @ ones
  e /= total[:, None]
  return e


def _with_weights(
  lattice: Lattice, before: np.ndarray, after: np.ndarray
) -> SparseKernel:
  """Matrices with these weights `[N, d + 1]` to the lattice, and back."""
  num, count = before.shape
  to_lattice = []
  for r in range(0, count, _CLASSES):
    part = slice(r, r + _CLASSES)
    vertices = lattice.vertices[:, part]
    low, high = int(vertices.min()), int(vertices.max()) + 1
    matrix = _matrix(vertices - low, before[:, part], high - low)
    to_lattice.append((low, high, matrix.T))
  from_lattice = [
    _matrix(
      lattice.vertices[start : start + _BLOCK],
      after[start : start + _BLOCK],
      lattice.capacity + 1,
    )
    for start in range(0, num, _BLOCK)
  ]
  return SparseKernel(to_lattice, lattice.neighbours, from_lattice)


def _matrix(columns: np.ndarray, values: np.ndarray, width: int):
  """A matrix with equally many entries, `[n, k]`, in each row."""
  num, count = columns.shape
  rows = np.arange(0, num * count + 1, count, dtype=np.int32)
  return sparse.csr_matrix(
    (values.reshape(-1), columns.reshape(-1), rows), shape=(num, width)
  )


def _splat(kernels: Sequence[SparseKernel], q: np.ndarray) -> list[np.ndarray]:
  """Sums at the lattice points of each kernel, and a row of zeros."""
  points = [
    np.zeros((k.neighbours.shape[-1] + 1, *q.shape[1:]), q.dtype)
    for k in kernels
  ]

  def fill(job):
    out, (low, high, matrix) = job
    out[low:high] = matrix @ q

  _run(fill, [(p, m) for p, k in zip(points, kernels) for m in k.to_lattice])
  return points


def _blur(kernel: SparseKernel, points: np.ndarray) -> np.ndarray:
  """1/2, 1, 1/2 along each direction; the last row stays 0."""
  other = np.zeros_like(points)
  half = points.dtype.type(0.5)
  for before, after in kernel.neighbours:

    def add_neighbours(start, before=before, after=after):
      part = slice(start, start + _BLOCK)
      total = points.take(before[part], axis=0)
      total += points.take(after[part], axis=0)
      total *= half
      np.add(points[part][: len(total)], total, out=other[part][: len(total)])

    _run(add_neighbours, range(0, len(before), _BLOCK))
    points, other = other, points
  return points


def _run(job, arguments) -> None:
  """Calls `job` with each argument, on all cores if there are several."""
  if len(arguments) == 1:
    job(arguments[0])
  else:
    list(workers().map(job, arguments))
