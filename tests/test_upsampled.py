"""Loss and scores in tiles against the plain path at label size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deeplax import losses, sharding, upsampled
from deeplax.losses import CrossEntropy
from deeplax.ops import tiles
from deeplax.ops.resize import Grid

GRIDS = [Grid(), Grid(True), Grid(False, False)]
WEIGHTS = np.array([1.0, 2.0, 0.5, 3.0], np.float32)
LOSSES = {
  'plain': CrossEntropy(),
  'weights': CrossEntropy(class_weights=WEIGHTS, normalize_by='weights'),
  'smoothing': CrossEntropy(class_weights=WEIGHTS, label_smoothing=0.2),
  'mining': CrossEntropy(hard_pixels=0.3),
  'ramp': CrossEntropy(
    class_weights=WEIGHTS,
    hard_pixels=0.2,
    hard_pixels_ramp=10,
    normalize_by='weights',
  ),
}


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
  """Tiles of at most 8 x 8 pixels."""
  monkeypatch.setattr(tiles, '_LONGEST_SIDE', 8)


@pytest.fixture(params=[np.float32, np.float64])
def dtype(request):
  with jax.enable_x64(request.param == np.float64):
    yield request.param


def batch_of(shape, size, dtype, ignored=0.3):
  """Logits, and labels of which some are ignored, and all of picture 0."""
  rng = np.random.default_rng(0)
  logits = (2 * rng.normal(size=shape)).astype(dtype)
  labels = rng.integers(0, shape[-1], (shape[0], *size)).astype(np.int32)
  labels[rng.random(labels.shape) < ignored] = losses.IGNORE_LABEL
  labels[0] = losses.IGNORE_LABEL
  return logits, labels


def plain(loss_fn, logits, labels, grid, step):
  return loss_fn(grid.resize(logits, labels.shape[1:]), labels, step)


def with_gradient(loss, logits, labels, grid, step=5, factor=1.0):
  """`(sum, weight)`, and the gradient of factor * sum."""

  @jax.jit
  def run(logits, labels, step):
    def total(logits):
      total, weight = loss(logits, labels, grid, step)
      return factor * total, weight

    return jax.value_and_grad(total, has_aux=True)(logits)

  return run(logits, labels, step)


def both(loss_fn, *args, **options):
  return (
    with_gradient(
      lambda *a, path=path: path(loss_fn, *a),
      *args,
      **options,
    )
    for path in (upsampled.cross_entropy, plain)
  )


def assert_equal(got, want):
  """1e-12 in float64, float32 rounding else, of the largest number."""

  def equal(a, b):
    assert a.dtype == b.dtype and a.shape == b.shape
    tolerance = 1e-12 if b.dtype == np.float64 else 1e-5
    np.testing.assert_allclose(
      a, b, rtol=tolerance, atol=tolerance * (np.abs(b).max() or 1)
    )

  jax.tree.map(equal, got, want)


@pytest.mark.parametrize(
  ('name', 'grid'),
  [*((name, Grid()) for name in LOSSES), *(('plain', g) for g in GRIDS[1:])],
)
def test_sum_weight_and_gradient_equal_the_plain_path(name, grid, dtype):
  loss_fn = LOSSES[name]
  batch = batch_of((3, 5, 7, 4), (19, 26), dtype)
  assert_equal(*both(loss_fn, *batch, grid, factor=0.4))
  total, weight = jax.jit(
    lambda x, y: upsampled.cross_entropy(loss_fn, x, y, grid, 5)
  )(*batch)
  assert_equal((total, weight), plain(loss_fn, *batch, grid, 5))


@pytest.mark.parametrize('classes', [1, 2])
def test_few_classes(classes, dtype):
  batch = batch_of((2, 3, 3, classes), (12, 13), dtype)
  got, want = both(CrossEntropy(), *batch, Grid())
  assert_equal(got, want)
  assert (got[0][0] == 0) == (classes == 1)


@pytest.mark.parametrize('name', ['smoothing', 'ramp'])
def test_no_labelled_pixel_is_zero_over_zero(name):
  logits, labels = batch_of((2, 3, 3, 4), (12, 12), np.float32, ignored=1)
  (total, weight), gradient = with_gradient(
    lambda *a: upsampled.cross_entropy(LOSSES[name], *a), logits, labels, Grid()
  )
  assert (total, weight) == (0, 0)
  assert not np.any(gradient)


@pytest.mark.parametrize('size', [(6, 6), (3, 12)])
def test_nothing_to_enlarge(size, dtype):
  assert_equal(
    *both(CrossEntropy(), *batch_of((2, 6, 6, 4), size, dtype), Grid())
  )


@pytest.mark.parametrize('name', ['smoothing', 'ramp'])
@pytest.mark.parametrize(
  ('data', 'spatial', 'height'), [(8, 1, 20), (4, 2, 20), (2, 4, 22)]
)
def test_devices_equal_one(name, data, spatial, height):
  loss_fn = LOSSES[name]
  with jax.enable_x64(True):
    logits, labels = batch_of((8, 5, 6, 4), (height, 19), np.float64)
    want = with_gradient(lambda *a: plain(loss_fn, *a), logits, labels, Grid())
    mesh = sharding.make_mesh(data, spatial)
    put = sharding.put_batch
    if height % spatial:
      put = sharding.put_replicated
    got = with_gradient(
      lambda *a: upsampled.cross_entropy(loss_fn, *a),
      sharding.put_replicated({'x': logits}, mesh)['x'],
      put({'y': labels}, mesh)['y'],
      Grid(),
    )
    assert_equal(got, want)


@pytest.mark.parametrize(
  ('loss_fn', 'grid'),
  [(None, Grid()), (LOSSES['ramp'], Grid())]
  + [(LOSSES['plain'], grid) for grid in GRIDS],
)
def test_scores_equal_the_plain_ones(loss_fn, grid, dtype):
  logits, labels = batch_of((3, 5, 7, 4), (19, 26), dtype)
  got = jax.jit(lambda x, y: upsampled.scores(x, y, grid, loss_fn))(
    logits, labels
  )
  want = upsampled.plain_scores(grid.resize(logits, (19, 26)), labels, loss_fn)
  assert set(got) == set(want) and got['pred'].dtype == np.uint8
  np.testing.assert_array_equal(got.pop('pred'), want.pop('pred'))
  assert_equal(got, want)
  assert np.all(got['soft_iou'][1:] > 0) and got['soft_iou'][0] == 0


def test_scores_of_one_class_and_of_logits_at_label_size():
  for shape, size in (((2, 3, 3, 1), (9, 8)), ((2, 9, 8, 3), (9, 8))):
    logits, labels = batch_of(shape, size, np.float32)
    got = upsampled.scores(jnp.asarray(logits), labels, Grid(), CrossEntropy())
    x = Grid().resize(jnp.asarray(logits), size)
    assert_equal(got, upsampled.plain_scores(x, labels, CrossEntropy()))


def test_scores_of_a_picture_do_not_depend_on_its_batch():
  logits, labels = batch_of((6, 5, 7, 4), (19, 26), np.float32)
  score = jax.jit(lambda x, y: upsampled.scores(x, y, Grid(), CrossEntropy()))
  together = score(logits, labels)
  for i in range(6):
    alone = score(logits[i : i + 1], labels[i : i + 1])
    assert_equal(alone, {k: v[i : i + 1] for k, v in together.items()})


@pytest.mark.parametrize('loss_fn', [LOSSES['plain'], LOSSES['mining']])
def test_logits_at_label_size_never_exist(loss_fn, monkeypatch):
  """Scratch memory as compiled: the plain path needs them several times."""
  monkeypatch.undo()  # tiles as they are
  logits, labels = batch_of((2, 128, 128, 16), (512, 512), np.float32)
  whole = labels.size * 16 * 4

  def scratch(fn):
    compiled = jax.jit(fn).lower(logits, labels).compile()
    return compiled.memory_analysis().temp_size_in_bytes

  def gradient(path):
    return jax.value_and_grad(lambda x, y: path(loss_fn, x, y, Grid(), 5)[0])

  assert scratch(gradient(plain)) > whole
  assert scratch(gradient(upsampled.cross_entropy)) < whole / 2
  assert (
    scratch(lambda x, y: upsampled.scores(x, y, Grid(), loss_fn)) < whole / 2
  )


@pytest.mark.parametrize('size', [(16, 24), (4, 6), (3, 30)])
def test_confidence_is_the_largest_probability(size):
  rng = np.random.default_rng(0)
  logits = 3 * rng.normal(size=(2, 4, 6, 5)).astype(np.float32)
  labels = rng.integers(0, 5, (2, *size), np.uint8)
  found = jax.jit(
    lambda x, y: upsampled.scores(x, y, Grid(), with_confidence=True)
  )(logits, labels)
  probs = jax.nn.softmax(Grid().resize(logits, size))
  np.testing.assert_allclose(found['confidence'], probs.max(-1), rtol=1e-5)
  assert found['confidence'].max() <= 1
  assert 'confidence' not in upsampled.scores(logits, labels, Grid())
