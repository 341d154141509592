"""Measures of an evaluation: on any devices, padded or not, as of one picture
after the other."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deeplax import evaluate, losses, sharding
from deeplax.data import DataError, DatasetInfo, Label, geometry
from deeplax.measures import boundary_iou, calibration, depth, trimap
from deeplax.ops.resize import resize

INFO = DatasetInfo(
  'toy',
  tuple(Label(n, i, i, n, (80 * i, 0, 9)) for i, n in enumerate('abc')),
)
SIZES = ((16, 24), (16, 24), (8, 40), (16, 24), (12, 12))
CAMERA = (0.2, 500.0)


class Net(nn.Module):
  """Stride 4; what it says is random, but a function of the picture."""

  @nn.compact
  def __call__(self, image, *, train):
    x = image.astype(jnp.float32) / 64
    return nn.Conv(3, (4, 4), 4, padding='VALID', name='logits')(x), {}


class Source:
  """Five pictures of three sizes."""

  def __init__(self, *, broken=None, extras=True):
    self._broken, self._extras = broken, extras

  def __len__(self):
    return len(SIZES)

  def __getitem__(self, i):
    if i == self._broken:
      raise DataError('torn', file=f'{i}.png')
    rng = np.random.default_rng(i)
    size = SIZES[i]
    label = np.kron(rng.choice([0, 1, 2, 255], (4, 4)), np.ones((10, 10)))
    example = {
      'image': rng.integers(0, 256, (*size, 3), np.uint8),
      'label': label[: size[0], : size[1]].astype(np.uint8),
      'id': f'picture {i}',
    }
    if self._extras:
      disparity = rng.choice([np.nan, 0, 1, 3, 8, 20], size)
      example['disparity'] = disparity.astype(np.float32)
      example['camera'] = np.array(CAMERA)
    return example


@functools.cache
def variables():
  image = np.zeros((1, 16, 16, 3), np.uint8)
  found = Net().init(jax.random.key(3), image, train=False)
  return jax.tree.map(np.asarray, found)


def run(devices=1, spatial=1, batch_size=2, source=None, **options):
  evaluator = evaluate.Evaluator(
    Net(),
    source or Source(),
    INFO,
    mesh=sharding.make_mesh(
      devices // spatial, spatial, jax.devices()[:devices]
    ),
    batch_size=batch_size,
    measure=True,
    **{'loss_fn': losses.CrossEntropy(), **options},
  )
  return evaluator(variables())


def one_by_one(indices=range(5), multiple=1):
  """The sums of all measures, of what the network says to padded pictures."""
  sums = dict.fromkeys(('trimap', 'boundary', 'calibration', 'distance'), 0)
  for i in indices:
    example = Source()[i]
    label, image = example['label'], example['image']
    size = [-(-n // multiple) * multiple for n in label.shape]
    image = geometry.pad(image, *size, geometry.MEAN_PIXEL)
    logits = Net().apply(variables(), image[None], train=False)[0]
    probs = np.asarray(jax.nn.softmax(resize(logits, size)))[0]
    probs = probs[: label.shape[0], : label.shape[1]]
    pred = probs.argmax(-1).astype(np.uint8)
    sums['trimap'] += trimap.count(label, pred, 3, 3)
    sums['boundary'] += boundary_iou.count(label, pred, 3)
    sums['calibration'] += calibration.count(label, pred, probs.max(-1), 3)
    sums['distance'] += depth.count(
      label, pred, example['disparity'], CAMERA, 3, 3
    )
  return sums


def check(measures, want):
  found = dict(measures._sums)
  # Confidences are float32, and one may lie beside the end of its bin.
  got, wanted = (s['calibration'] / [1, 1, 2**24] for s in (found, want))
  np.testing.assert_allclose(got.sum(0), wanted.sum(0), rtol=1e-6)
  assert np.abs(got - wanted).sum() < 4
  for name in ('trimap', 'boundary', 'distance'):
    np.testing.assert_array_equal(found[name], want[name], err_msg=name)


@pytest.mark.parametrize(
  ('devices', 'spatial', 'batch_size', 'options'),
  [
    (1, 1, 2, {}),
    (4, 1, 2, {}),
    (8, 2, 4, {'loss_fn': losses.cross_entropy}),
    (1, 1, 3, {'ops': 'pad_to_multiple(20)'}),
  ],
)
def test_every_picture_counts_once(devices, spatial, batch_size, options):
  found = run(devices, spatial, batch_size, **options)
  multiple = 20 if 'ops' in options else 1
  want = one_by_one(multiple=multiple)
  check(found.measures, want)
  np.testing.assert_array_equal(found.confusion, want['trimap'].sum(0))
  pictures = found.measures.pictures
  assert sorted(p.index for p in pictures) == [*range(5)]
  assert [p.miou for p in pictures] == sorted(p.miou for p in pictures)
  for picture in pictures:
    assert picture.id == f'picture {picture.index}'
    confusion = one_by_one([picture.index], multiple)['trimap'].sum(0)
    present = confusion.sum(1) > 0
    union = confusion.sum(1) + confusion.sum(0) - np.diagonal(confusion)
    iou = (np.diagonal(confusion) / np.maximum(union, 1))[present]
    assert picture.miou == pytest.approx(iou.mean(), abs=1e-12)


def test_a_skipped_picture_counts_nowhere():
  found = run(source=Source(broken=2), on_error='skip')
  check(found.measures, one_by_one([0, 1, 3, 4]))


def test_figures_are_plain():
  figures = run().measures.figures()
  assert figures['trimap']['miou'][0] > 0 and figures['distance']['pixels'][4]
  found = run(source=Source(extras=False))
  assert found.measures.figures()['distance'] is None


def test_after_the_crf_where_there_is_one():
  crf = dict(num_iterations=2, spatial=(3.0, 9.0), bilateral=None)
  found = run(source=Source(), crf=crf)
  trimaps = found.measures._sums['trimap'].sum(0)
  np.testing.assert_array_equal(trimaps, found.refined.confusion)
  assert (trimaps != found.confusion).any()


def test_nothing_is_measured_unless_asked_for():
  evaluator = evaluate.Evaluator(
    Net(),
    Source(),
    INFO,
    mesh=sharding.make_mesh(1, 1, jax.devices()[:1]),
    batch_size=2,
    loss_fn=losses.CrossEntropy(),
  )
  batch = next(iter(evaluator._batches()))
  shapes = jax.eval_shape(
    evaluator._step, variables(), evaluator._arrays(batch)
  )
  assert 'confidence' not in shapes and 'probs' not in shapes
  assert evaluator(variables()).measures is None
