"""pydensecrf2, live, on photographs and on drawn pictures."""

import functools

import cv2
import jax
import numpy as np
import pytest

from deeplax import crf
from tests.crf import peer, reference

pytest.importorskip('pydensecrf')
pytestmark = pytest.mark.peer

NORMALIZATIONS = ('symmetric', 'before', 'after', 'none')
SETTINGS = {
  'v1': dict(spatial=(3, 3), bilateral=(50, 10, 5)),
  'v2': dict(spatial=(1, 3), bilateral=(67, 3, 4)),
  'axes': dict(spatial=((3.7, 2.1), 2), bilateral=((61, 45), (7, 13, 9.5), 6)),
}


def smooth_energies(height, width, classes, seed):
  """Regions of a few dozen pixels, and noise."""
  rng = np.random.default_rng(seed)
  shape = (max(height // 24, 2), max(width // 24, 2))
  scores = [
    cv2.resize(rng.normal(0, 3, shape), (width, height)) for _ in range(classes)
  ]
  scores = np.stack(scores, -1) + rng.normal(0, 0.7, (height, width, classes))
  return -np.log(reference.softmax(scores)).astype(np.float32)


def photographs(folder, count):
  paths = sorted((folder / 'test' / 'images').iterdir())
  for path in paths[:: len(paths) // count][:count]:
    yield np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])


def compare(image, unary, found=None, **keys):
  expected = peer.infer(image, unary, **keys)
  if found is None:
    found = crf.dense_crf(image, unary=unary, **keys)
  found = np.asarray(found)
  assert np.abs(found - expected).max() <= 1e-3
  assert (found.argmax(-1) == expected.argmax(-1)).mean() >= 0.999


@pytest.mark.parametrize('name', SETTINGS)
@pytest.mark.parametrize('normalization', NORMALIZATIONS)
def test_photographs(camvid_dir, name, normalization):
  keys = dict(normalization=normalization, **SETTINGS[name])
  if normalization == 'none':
    # Messages of thousands, whose rounding in float32 is 1e-3 on either side:
    # in float64 Q is further from both than they are from each other.
    keys = {k: lighter(v) for k, v in keys.items()}
  for seed, image in enumerate(photographs(camvid_dir, 2)):
    unary = smooth_energies(*image.shape[:2], 11, seed)
    for iterations in (1, 5, 10):
      compare(image, unary, num_iterations=iterations, **keys)


def lighter(term):
  """With a hundredth of the weight."""
  return (*term[:-1], term[-1] / 100) if isinstance(term, tuple) else term


@pytest.mark.parametrize('name', SETTINGS)
def test_photographs_under_jit(camvid_dir, name):
  # Odd sizes: the reference fills up its last features with zeros.
  keys = dict(num_iterations=10, **SETTINGS[name])
  infer = jax.jit(lambda i, u: crf.dense_crf(i, unary=u, **keys))
  for seed, image in enumerate(photographs(camvid_dir, 4)):
    image = np.ascontiguousarray(image[100:201, 200:333])
    unary = smooth_energies(*image.shape[:2], 5, seed)
    compare(image, unary, infer(image, unary), **keys)
    compare(image, unary, **keys)


@pytest.mark.parametrize(
  'size', ((1, 1), (1, 17), (17, 1), (2, 3), (5, 5), (37, 50))
)
def test_sizes(size):
  image = reference.picture(*size)
  unary = reference.energies(*size, 3)
  compare(image, unary, num_iterations=5, **SETTINGS['v1'])
  compare(image, unary, num_iterations=5, **SETTINGS['v2'])


@pytest.mark.parametrize('colour', (0, 128, 255))
def test_constant_picture(colour):
  image = np.full((30, 40, 3), colour, np.uint8)
  unary = smooth_energies(30, 40, 4, 0)
  compare(image, unary, num_iterations=10, **SETTINGS['v1'])


def test_compatibility():
  # The reference adds its matrix as it is, and makes it symmetric.
  rng = np.random.default_rng(0)
  matrix = rng.normal(0.5, 0.3, (4, 4))
  matrix = (matrix + matrix.T) / 2
  compare(
    reference.picture(30, 40),
    smooth_energies(30, 40, 4, 0),
    num_iterations=5,
    compatibility=matrix,
    **SETTINGS['v1'],
  )


def test_probabilities(camvid_dir):
  (image,) = photographs(camvid_dir, 1)
  unary = smooth_energies(*image.shape[:2], 11, 3)
  infer = functools.partial(crf.dense_crf, image, **crf.DEEPLAB_V2)
  compare(image, unary, infer(np.exp(-unary)), **crf.DEEPLAB_V2)
