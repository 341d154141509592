"""Mean field against a slow one, and against goldens of the authors' code."""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deeplax import crf
from tests.crf import reference
from tests.golden import crf_pydensecrf as golden

ROOT = pathlib.Path(__file__).resolve().parents[2]
NORMALIZATIONS = ('symmetric', 'before', 'after', 'none')
SXY, SRGB = (4.0, 6.0), (14.0, 20.0, 17.0)
# A picture of 4 k pixels: others get a point more, see `kernel.with_origin`.
IMAGE = reference.picture(10, 14)
UNARY = reference.energies(10, 14, 3)
TERMS = dict(spatial=((2.0, 1.5), 1.5), bilateral=(SXY, SRGB, 2.5))


def under_jit(image, unary, **keys):
  return jax.jit(lambda i, u: crf.dense_crf(i, unary=u, **keys))(image, unary)


def eager(image, unary, **keys):
  return crf.dense_crf(image, unary=unary, **keys)


def accelerator(image, unary, **keys):
  """The eager way on a device that is no CPU, here on the CPU all the same."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(jax, 'default_backend', lambda: 'gpu')
    return crf.dense_crf(image, unary=unary, **keys)


WAYS = pytest.mark.parametrize('infer', (eager, under_jit, accelerator))


@functools.cache
def kernels(normalization, exact=False):
  make = reference.gauss if exact else reference.lattice_matrix
  return [
    reference.normalize(make(points), normalization)
    for points in (
      reference.features(IMAGE, (2.0, 1.5)),
      reference.features(IMAGE, SXY, SRGB),
    )
  ]


def brute_force(normalization, iterations, compatibility=None, exact=False):
  q = reference.mean_field(
    UNARY.reshape(-1, 3).astype(np.float64),
    kernels(normalization, exact),
    (1.5, 2.5),
    iterations,
    compatibility,
  )
  return q.reshape(UNARY.shape)


@WAYS
@pytest.mark.parametrize('normalization', NORMALIZATIONS)
def test_equals_brute_force(infer, normalization):
  keys = dict(normalization=normalization, **TERMS)
  # Programs take long to compile: the others run once.
  for iterations in (0, 1, 4) if infer is eager else (4,):
    found = infer(IMAGE, UNARY, num_iterations=iterations, **keys)
    expected = brute_force(normalization, iterations)
    np.testing.assert_allclose(found, expected, atol=2e-4)
  assert np.abs(expected - reference.softmax(-UNARY)).max() > 0.3


@WAYS
def test_compatibility(infer):
  # Not symmetric: l pays for l', not the other way round.
  matrix = np.array([[0, 1, 2.0], [0.5, 0.2, 1], [0, 3, 0]])
  found = infer(IMAGE, UNARY, num_iterations=3, compatibility=matrix, **TERMS)
  expected = brute_force('symmetric', 3, matrix)
  np.testing.assert_allclose(found, expected, atol=2e-4)
  transposed = brute_force('symmetric', 3, matrix.T)
  assert np.abs(expected - transposed).max() > 0.1


@WAYS
def test_potts_is_the_default(infer):
  keys = dict(num_iterations=3, **TERMS)
  potts = infer(IMAGE, UNARY, compatibility=1 - np.eye(3), **keys)
  np.testing.assert_allclose(infer(IMAGE, UNARY, **keys), potts, atol=1e-5)


def test_close_to_exact_gaussians():
  found = eager(IMAGE, UNARY, num_iterations=5, **TERMS)
  exact = brute_force('symmetric', 5, exact=True)
  far = np.abs(exact - reference.softmax(-UNARY)).mean()
  assert np.abs(found - exact).mean() < 0.1 * far


@pytest.mark.parametrize('normalization', NORMALIZATIONS)
@pytest.mark.parametrize(
  'infer, iterations',
  [*((eager, n) for n in golden.ITERATIONS), (under_jit, 10)],
)
def test_golden(infer, iterations, normalization):
  with np.load(ROOT / 'tests' / 'golden' / 'crf.npz') as arrays:
    expected = arrays[f'{normalization}_{iterations}']
  found = infer(
    reference.picture(*golden.SIZE),
    reference.energies(*golden.SIZE, golden.CLASSES),
    num_iterations=iterations,
    normalization=normalization,
    **golden.SETTINGS,
  )
  # Unnormalised messages are in the tens, and so are their rounding errors.
  tolerance = 1e-3 if normalization == 'none' else 2e-5
  np.testing.assert_allclose(found, expected, atol=tolerance)


@pytest.mark.parametrize('normalization', ('symmetric', 'before', 'after'))
@pytest.mark.parametrize(
  'infer, iterations', [*((eager, n) for n in (1, 5, 10)), (under_jit, 10)]
)
def test_golden_of_a_photograph(infer, iterations, normalization):
  path = ROOT.parent / 'shared' / 'golden' / 'crf_small_80x60.npz'
  if not path.exists():
    pytest.skip('no goldens of photographs beside the checkout')
  with np.load(path) as arrays:
    image, unary = arrays['image'], arrays['unary'].transpose(1, 2, 0)
    name = f'Q_{normalization}_{iterations}'
    expected = arrays[name].transpose(1, 2, 0)
  found = np.asarray(
    infer(
      image,
      unary,
      num_iterations=iterations,
      spatial=(3, 3),
      bilateral=(80, 13, 10),
      normalization=normalization,
    )
  )
  np.testing.assert_allclose(found, expected, atol=1e-4)
  agree = (found.argmax(-1) == expected.argmax(-1)).mean()
  assert agree >= 0.999


@pytest.mark.parametrize('leave_out', ('spatial', 'bilateral'))
@pytest.mark.parametrize('infer', (eager, under_jit))
def test_one_kernel(infer, leave_out):
  found = infer(IMAGE, UNARY, num_iterations=2, **(TERMS | {leave_out: None}))
  weights = (0, 2.5) if leave_out == 'spatial' else (1.5, 0)
  expected = reference.mean_field(
    UNARY.reshape(-1, 3), kernels('symmetric'), weights, 2
  )
  np.testing.assert_allclose(found.reshape(-1, 3), expected, atol=2e-4)


@WAYS
def test_batch(infer):
  images = np.stack([reference.picture(9, 13, seed) for seed in range(3)])
  unaries = np.stack([reference.energies(9, 13, 4, seed) for seed in range(3)])
  keys = dict(num_iterations=3, **TERMS)
  found = infer(images, unaries, **keys)
  assert found.shape == unaries.shape
  for image, unary, q in zip(images, unaries, found):
    np.testing.assert_allclose(eager(image, unary, **keys), q, atol=1e-4)


def test_probabilities_and_energies():
  keys = dict(num_iterations=3, **TERMS)
  probs = reference.softmax(-UNARY)
  expected = eager(IMAGE, UNARY, **keys)
  np.testing.assert_allclose(
    crf.dense_crf(IMAGE, probs, **keys), expected, atol=1e-5
  )
  jitted = jax.jit(functools.partial(crf.dense_crf, **keys))
  np.testing.assert_allclose(jitted(IMAGE, probs), expected, atol=1e-4)
  # A constant added to a pixel's energies changes nothing.
  shifted = UNARY + np.arange(140.0).reshape(10, 14, 1) - 70
  np.testing.assert_allclose(eager(IMAGE, shifted, **keys), expected, atol=1e-4)


@pytest.mark.parametrize('jit', (False, True))
def test_probabilities_of_zero_and_one(jit):
  probs = np.eye(3, dtype=np.float32)[np.argmin(UNARY, -1)]
  infer = functools.partial(crf.dense_crf, num_iterations=5, **TERMS)
  found = (jax.jit(infer) if jit else infer)(IMAGE, probs)
  # Nothing around outweighs certainty.
  np.testing.assert_allclose(found, probs, atol=1e-6)


@pytest.mark.parametrize('dtype', (np.float32, np.float64, jnp.bfloat16))
def test_floating_image(dtype):
  keys = dict(num_iterations=2, **TERMS)
  image = (IMAGE // 2 * 2).astype(dtype)
  if dtype == jnp.bfloat16:
    image = (IMAGE // 4 * 4).astype(dtype)
  whole = np.asarray(image).astype(np.uint8)
  expected = eager(whole, UNARY, **keys)
  np.testing.assert_allclose(eager(image, UNARY, **keys), expected, atol=1e-6)


def test_widths_are_those_of_x_and_y():
  # A wide kernel along x mixes rows, not columns.
  unary = reference.energies(12, 12, 3)
  wide = eager(
    np.zeros((12, 12, 3), np.uint8),
    unary,
    num_iterations=1,
    spatial=((6.0, 0.2), 5.0),
  )
  logits = np.log(wide) + unary
  logits = logits - logits.mean(-1, keepdims=True)
  assert logits.std(1).mean() < 0.5 * logits.std(0).mean()


@WAYS
@pytest.mark.parametrize('size', ((1, 1), (1, 9), (9, 1), (2, 2), (3, 3)))
def test_tiny_pictures(infer, size):
  image = reference.picture(*size)
  unary = reference.energies(*size, 3)
  # With the point of zeros that the reference adds to fill up.
  points = [
    reference.features(image, (2.0, 1.5)),
    reference.features(image, SXY, SRGB),
  ]
  num = len(points[0])
  matrices = []
  for features in points:
    if num % 4:
      features = np.vstack([features, np.zeros(features.shape[1])])
    matrix = reference.lattice_matrix(features)[:num, :num]
    matrices.append(reference.normalize(matrix, 'symmetric'))
  expected = reference.mean_field(
    unary.reshape(num, 3), matrices, (1.5, 2.5), 3
  )
  found = infer(image, unary, num_iterations=3, **TERMS)
  np.testing.assert_allclose(found.reshape(num, 3), expected, atol=2e-4)


@pytest.mark.parametrize('infer', (eager, under_jit))
@pytest.mark.parametrize('colour', (0, 77, 255))
def test_constant_picture(infer, colour):
  # Only position tells pixels apart: a bilateral kernel is a spatial one.
  image = np.full((9, 12, 3), colour, np.uint8)
  unary = reference.energies(9, 12, 3)
  found = infer(
    image, unary, num_iterations=4, bilateral=(3, 10, 3), normalization='after'
  )
  assert np.isfinite(found).all()
  np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)
  exact = reference.gauss(reference.features(image, (3, 3)))
  expected = reference.mean_field(
    unary.reshape(-1, 3), [reference.normalize(exact, 'after')], (3,), 4
  )
  error = np.abs(found - expected.reshape(9, 12, 3)).mean()
  before = np.abs(found - reference.softmax(-unary)).mean()
  assert error < 0.1 * before


@WAYS
def test_single_class(infer):
  found = infer(IMAGE, UNARY[..., :1], num_iterations=3, **TERMS)
  np.testing.assert_allclose(found, np.ones((10, 14, 1)), rtol=1e-6)


def test_host_takes_large_messages():
  # Exponents overflow where the messages outweigh the energies by far.
  found = eager(IMAGE, UNARY, num_iterations=3, normalization='none', **TERMS)
  keys = dict(TERMS, spatial=((2.0, 1.5), 150), bilateral=(SXY, SRGB, 250))
  strong = eager(IMAGE, UNARY, num_iterations=3, normalization='none', **keys)
  assert np.isfinite(found).all() and np.isfinite(strong).all()
  np.testing.assert_allclose(strong.sum(-1), 1, atol=1e-5)
  keys = dict(TERMS, spatial=((2.0, 1.5), -150), bilateral=(SXY, SRGB, -250))
  strong = eager(IMAGE, UNARY, num_iterations=3, normalization='none', **keys)
  np.testing.assert_allclose(strong.sum(-1), 1, atol=1e-5)


def test_blocks_of_pixels_do_not_show(monkeypatch):
  from deeplax.crf import host, host_mean_field, mean_field

  image, unary = reference.picture(40, 40), reference.energies(40, 40, 3)
  keys = dict(num_iterations=3, **TERMS)
  expected = eager(image, unary, **keys)
  for module, name, size in (
    (host, '_BLOCK', 7),
    (host_mean_field, '_BLOCK', 11),
    (host_mean_field, '_SPLAT_BLOCK', 200),
  ):
    monkeypatch.setattr(module, name, size)
  mean_field.forget_lattices()
  found = eager(image, unary, **keys)
  mean_field.forget_lattices()
  np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize('size', ((40, 50), (41, 53), (1, 30), (1, 1)))
@pytest.mark.parametrize('infer', (eager, under_jit))
def test_grid_is_near_the_lattice(infer, size):
  image = reference.picture(*size)
  coarse = reference.energies(size[0] // 4 + 1, size[1] // 4 + 1, 3)
  unary = coarse.repeat(4, 0).repeat(4, 1)[: size[0], : size[1]]
  keys = dict(num_iterations=5, spatial=(3, 3), bilateral=(10, 13, 4))
  exact = eager(image, unary, **keys)
  near = infer(image, unary, method='grid', **keys)
  assert near.shape == exact.shape
  np.testing.assert_allclose(near.sum(-1), 1, atol=1e-5)
  if min(size) > 1:
    change = np.abs(exact - reference.softmax(-unary)).sum(-1).mean()
    assert np.abs(exact - near).sum(-1).mean() < 0.25 * change


def test_presets():
  v1 = dict(num_iterations=10, spatial=(3, 3), bilateral=(50, 10, 5))
  v2 = dict(num_iterations=10, spatial=(1, 3), bilateral=(67, 3, 4))
  assert (dict(crf.DEEPLAB_V1), dict(crf.DEEPLAB_V2)) == (v1, v2)
  found = crf.dense_crf(IMAGE, unary=UNARY, **crf.DEEPLAB_V1)
  assert found.dtype == np.float32 and found.shape == UNARY.shape
