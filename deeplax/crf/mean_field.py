"""Mean-field inference in a fully connected CRF.

P. Kraehenbuehl and V. Koltun, Efficient inference in fully connected CRFs with
Gaussian edge potentials, NIPS 2011. With unaries U `[N, C]`, kernels K_k of
weight w_k between all pixels and a label compatibility m `[C, C]`,

    Q <- softmax(-U),   then again and again
    M  = sum_k w_k K_k Q
    Q <- softmax(-U - M m^T),

that is, label l pays m[l, l'] for every l' around it. Potts, m = 1 - I, takes
the same from all labels and gives each its own message back, so it is M itself
that is added to -U. A pixel's message to itself is not taken out, as in the
authors' code.
"""

import functools
import types
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deeplax.crf import grid, host, host_mean_field, inputs
from deeplax.crf import kernel as kernel_lib
from deeplax.crf import lattice as lattice_lib

# Sigma in pixels and weight; sigma in pixels, sigma in 0..255 and weight.
DEEPLAB_V1 = types.MappingProxyType(
  dict(num_iterations=10, spatial=(3, 3), bilateral=(50, 10, 5))
)
DEEPLAB_V2 = types.MappingProxyType(
  dict(num_iterations=10, spatial=(1, 3), bilateral=(67, 3, 4))
)


@functools.partial(jax.jit, static_argnums=4)
def mean_field(
  unary: jax.Array,
  kernels: Sequence[kernel_lib.Kernel],
  weights: jax.Array,
  compatibility: jax.Array | None,
  num_iterations: int,
) -> jax.Array:
  """Label probabilities of N pixels.

  Args:
    unary: U, `[N, C]`.
    kernels: K_k, normalised.
    weights: w_k, `[kernels]`.
    compatibility: m, `[C, C]`; None for Potts.
    num_iterations: At least 0.

  Returns:
    Q `[N, C]`, differentiable in `unary`, `weights` and `compatibility`.
  """

  # Recomputed backwards: only Q is kept of an iteration.
  @jax.checkpoint
  def iterate(q, _):
    message = sum(w * kernel_lib.apply(k, q) for w, k in zip(weights, kernels))
    if compatibility is not None:
      message = -message @ compatibility.T
    return jax.nn.softmax(message - unary), None

  q = jax.nn.softmax(-unary)
  return jax.lax.scan(iterate, q, length=num_iterations)[0]


def dense_crf(
  image: jax.Array,
  probs: jax.Array | None = None,
  *,
  unary: jax.Array | None = None,
  num_iterations: int,
  spatial: tuple[Any, Any] | None = None,
  bilateral: tuple[Any, Any, Any] | None = None,
  normalization: str = 'symmetric',
  compatibility: jax.Array | None = None,
  method: str = 'lattice',
  capacity: int | None = None,
) -> jax.Array:
  """Label probabilities after mean-field inference in a fully connected CRF.

  `dense_crf(image, probs, **DEEPLAB_V2)`. Equal to pydensecrf2 with unary
  -log(probs), addPairwiseGaussian(sxy, weight) and addPairwiseBilateral(sxy,
  srgb, image, weight).

  On a CPU, values that are known are computed with numpy and scipy (see
  `crf.host_mean_field`), which needs no compilation; under `jit`, under
  differentiation and on other devices everything is JAX.

  Args:
    image: RGB `[H, W, 3]`, uint8 or float, 0..255; or `[B, H, W, 3]`.
    probs: `[H, W, C]`, or `[B, H, W, C]`; 0 is taken as the smallest number.
    unary: Energies, -log(probs) up to a constant for each pixel; instead.
    num_iterations: Of mean field; 0 gives softmax(-unary).
    spatial: `(sxy, weight)`: standard deviation in pixels, or (sx, sy).
    bilateral: `(sxy, srgb, weight)`; srgb in steps of the image, or (sr, sg,
      sb). Either kernel can be None, and either weight a traced scalar.
    normalization: `'symmetric'`, `'before'`, `'after'` or `'none'`, see
      `crf.kernel`.
    compatibility: `[C, C]`, what label l pays for l' around it; not made
      symmetric. Default Potts, 1 - I.
    method: `'lattice'`, or `'grid'` for the approximation in `crf.grid`.
    capacity: Room for lattice points of the bilateral kernel; by default what
      is needed, or under `jit` `lattice.default_capacity(H * W, 5)`.

  Returns:
    Q, in the shape of `probs`; float32, or float64 for float64 input. Gradients
    reach `probs` or `unary`, the weights and `compatibility`, not the image.

  Raises:
    UserError: Shapes that disagree, values that can't be probabilities or
      energies, widths that are not above 0, and a lattice that needs more
      points than `capacity`.
  """
  inputs.check_options(num_iterations, normalization, method, capacity)
  terms = inputs.check_terms(spatial, bilateral)
  inputs.check_image(image)
  inputs.check_scores(image, probs, unary, compatibility)
  traced = inputs.is_traced(image, probs, unary, terms.weights, compatibility)
  if traced or jax.default_backend() != 'cpu':
    infer, xp = _on_device, jnp
  else:
    infer, xp = _on_host, np
  infer = functools.partial(
    infer,
    terms=terms if method == 'lattice' else grid.coarsen_terms(terms),
    num_iterations=num_iterations,
    normalization=normalization,
    compatibility=compatibility,
    capacity=capacity,
  )
  if method == 'grid':
    infer = functools.partial(grid.infer_coarse, infer, xp=xp)
  unary = _energies(probs, unary, xp)
  if np.ndim(image) == 3:
    return infer(image, unary)
  if inputs.is_traced(image):
    return jax.lax.map(lambda pair: infer(*pair), (image, unary))
  return jnp.stack([infer(*pair) for pair in zip(image, unary)])


def _energies(probs: Any, unary: Any, xp: Any) -> Any:
  given = unary if probs is None else probs
  double = given.dtype == np.float64 and jax.config.jax_enable_x64
  dtype = np.float64 if double else np.float32
  given = xp.asarray(given, dtype)
  if probs is None:
    return given
  return -xp.log(xp.maximum(given, np.finfo(dtype).tiny))


def forget_lattices() -> None:
  """Lattices of the spatial kernel, kept for the next picture of a size."""
  _spatial_lattice.cache_clear()
  _host_spatial_kernel.cache_clear()


def _on_host(
  image: Any,
  unary: np.ndarray,
  *,
  terms: inputs.Terms,
  num_iterations: int,
  normalization: str,
  compatibility: Any,
  capacity: int | None,
) -> jax.Array:
  """One picture whose values are known, on a CPU."""
  height, width, classes = unary.shape
  dtype = unary.dtype.type
  kernels = []
  if terms.spatial:
    kernels.append(
      _host_spatial_kernel(height, width, terms.spatial, normalization, dtype)
    )
  if terms.bilateral:
    lattice = _host_lattice(image, terms, capacity)
    kernels.append(host_mean_field.sparse_kernel(lattice, normalization, dtype))
  q = host_mean_field.mean_field(
    unary.reshape(-1, classes),
    kernels,
    [float(w) for w in terms.weights],
    None if compatibility is None else np.asarray(compatibility),
    num_iterations,
  )
  return jnp.asarray(q.reshape(unary.shape))


def _on_device(
  image: Any,
  unary: jax.Array,
  *,
  terms: inputs.Terms,
  num_iterations: int,
  normalization: str,
  compatibility: Any,
  capacity: int | None,
) -> jax.Array:
  """One picture, under `jit`, under differentiation or on an accelerator."""
  height, width, classes = unary.shape
  kernels = []
  if terms.spatial:
    lattice = _spatial_lattice(height, width, terms.spatial)
    # Known even under `jit`; XLA would be slow to fold it.
    with jax.ensure_compile_time_eval():
      kernels.append(
        kernel_lib.make_kernel(lattice, normalization, unary.dtype)
      )
  if terms.bilateral:
    if inputs.is_traced(image) or jax.default_backend() != 'cpu':
      features = kernel_lib.bilateral_features(
        jnp.asarray(image), *terms.bilateral, xp=jnp
      )
      features = kernel_lib.with_origin(features, jnp)
      lattice = lattice_lib.build(features.T, capacity=capacity)
      lattice = kernel_lib.without_origin(lattice, height * width)
    else:
      lattice = _host_lattice(image, terms, capacity)
    kernels.append(kernel_lib.make_kernel(lattice, normalization, unary.dtype))
  q = mean_field(
    unary.reshape(-1, classes),
    kernels,
    jnp.stack([jnp.asarray(w, unary.dtype) for w in terms.weights]),
    None if compatibility is None else jnp.asarray(compatibility, unary.dtype),
    num_iterations,
  )
  return q.reshape(unary.shape)


def _host_lattice(
  image: Any, terms: inputs.Terms, capacity: int | None
) -> lattice_lib.Lattice:
  features = kernel_lib.bilateral_features(np.asarray(image), *terms.bilateral)
  lattice = host.build(kernel_lib.with_origin(features))
  lattice_lib.check_size(lattice.size, capacity or lattice.capacity)
  return kernel_lib.without_origin(lattice, features.shape[1])


# The spatial kernel is the same for every picture of a size.
@functools.lru_cache(maxsize=2)
def _spatial_lattice(
  height: int, width: int, widths: tuple[float, float]
) -> lattice_lib.Lattice:
  return host.build(kernel_lib.spatial_features(height, width, widths))


@functools.lru_cache(maxsize=2)
def _host_spatial_kernel(
  height: int,
  width: int,
  widths: tuple[float, float],
  normalization: str,
  dtype: Any,
) -> host_mean_field.SparseKernel:
  lattice = _spatial_lattice(height, width, widths)
  return host_mean_field.sparse_kernel(lattice, normalization, dtype)
