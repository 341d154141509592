"""Whole-split evaluation: every picture once, on any number of devices."""

import functools
import json
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deeplax import evaluate, losses, metrics, sharding, tally
from deeplax.data import DataError, DatasetInfo, Label
from deeplax.ops.resize import resize
from deeplax.overlap import Threads

INFO = DatasetInfo(
  'toy',
  (
    Label('void', 0, 255, 'void', (0, 0, 0)),
    Label('road', 7, 0, 'flat', (128, 64, 128)),
    Label('person', 24, 1, 'human', (220, 20, 60), True),
    Label('car', 26, 2, 'vehicle', (0, 0, 142), True),
    Label('caravan', 29, 255, 'vehicle', (0, 0, 90), True),
  ),
)
SIZES = ((16, 24), (16, 24), (8, 40), (16, 24), (12, 12))


class Net(nn.Module):
  """Stride 4; what it says is random, but a function of the picture."""

  outputs: int = 3

  @nn.compact
  def __call__(self, image, *, train):
    x = image.astype(jnp.float32) / 64
    x = nn.Conv(self.outputs, (5, 5), 4, padding=2, name='logits')(x)
    return x, {}


class Source:
  """Five pictures of three sizes, or others."""

  def __init__(self, sizes=SIZES, instances=False, broken=None):
    self._sizes, self._instances, self._broken = sizes, instances, broken

  def __len__(self):
    return len(self._sizes)

  def __getitem__(self, i):
    if i == self._broken:
      raise DataError('torn', file=f'{i}.png')
    rng = np.random.default_rng(i)
    label = rng.choice([0, 1, 2, 255], (4, 4)).astype(np.uint8)
    label = np.kron(label, np.ones((10, 10), np.uint8))
    size = self._sizes[i]
    label = label[: size[0], : size[1]]
    image = rng.integers(0, 256, (*size, 3), np.uint8)
    example = {'image': image, 'label': label, 'id': f'picture {i}'}
    if self._instances:
      instance = np.where(label == 1, 24_001 + i, 0)
      instance[:, 12:] += (instance > 0)[:, 12:]
      instance += np.where(label == 2, 26_000, 0)
      example['instance'] = instance.astype(np.int32)
    return example


LOSS = losses.CrossEntropy()  # in tiles; a plain function: at label size


@functools.cache
def variables(net):
  image = np.zeros((1, 16, 16, 3), np.uint8)
  return jax.tree.map(
    np.asarray, net.init(jax.random.key(3), image, train=False)
  )


@functools.cache
def make(
  devices=1,
  spatial=1,
  batch_size=2,
  net=None,
  source=None,
  loss_fn=LOSS,
  **options,
):
  net = net or Net()
  evaluator = evaluate.Evaluator(
    net,
    source or Source(),
    INFO,
    mesh=sharding.make_mesh(
      devices // spatial, spatial, jax.devices()[:devices]
    ),
    batch_size=batch_size,
    loss_fn=loss_fn,
    pictures=3,
    **options,
  )
  return evaluator, evaluator(variables(net))


def run(*args, **options):
  return make(*args, **options)[1]


@functools.cache
def one_by_one(void=False):
  """The same figures from a plain loop over single pictures."""
  net = Net(3 + void)
  confusion = np.zeros((3, 3 + void), np.int64)
  total = weight = 0.0
  soft = []
  for i in range(len(SIZES)):
    example = Source()[i]
    logits = net.apply(variables(net), example['image'][None], train=False)[0]
    logits = np.asarray(resize(logits, SIZES[i]), np.float64)[0]
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    label = example['label']
    inside = label != 255
    np.add.at(confusion, (label[inside], p.argmax(-1)[inside]), 1)
    if void:
      label, inside = np.where(inside, label, 3), label >= 0
    q = p[inside][np.arange(inside.sum()), label[inside]]
    total, weight = total - np.log(q).sum(), weight + inside.sum()
    y = np.eye(3 + void)[label[inside]]
    p = p[inside]
    soft.append(((p * y).sum(0) / (p + y - p * y).sum(0)).mean())
  return confusion, total / weight, 1 - np.mean(soft)


@pytest.mark.parametrize(
  ('devices', 'spatial', 'batch_size', 'void', 'loss_fn'),
  [
    (1, 1, 2, False, LOSS),
    (4, 1, 2, False, LOSS),
    (8, 2, 4, True, LOSS),
    (8, 2, 4, True, losses.cross_entropy),
    (8, 8, 1, False, LOSS),  # 12 rows can't be split over 8 devices
    (8, 8, 1, False, losses.cross_entropy),
  ],
)
def test_every_picture_counts_once(devices, spatial, batch_size, void, loss_fn):
  net = Net(3 + void)
  result = run(
    devices, spatial, batch_size, net, void_class=void, loss_fn=loss_fn
  )
  confusion, loss, soft = one_by_one(void)
  np.testing.assert_array_equal(result.confusion, confusion)
  assert result.examples == 5 and result.skipped == 0
  scalars = result.scalars
  assert scalars['val/loss'] == pytest.approx(loss, rel=1e-5)
  assert scalars['val/one_minus_soft_iou'] == pytest.approx(soft, rel=1e-5)
  iou = metrics.class_iou(confusion)
  assert scalars['val/miou'] == pytest.approx(np.nanmean(iou), abs=1e-12)
  assert scalars['val/iou/car'] == pytest.approx(iou[2], abs=1e-12)
  assert 'val/category_iou/flat' in scalars and 'val/miiou' not in scalars
  assert all(type(v) is float for v in scalars.values())


def test_pictures_are_kept_with_their_own_prediction():
  net = Net()
  result = run(1, 1, 2, net)
  assert len(result.pictures) == 3
  for picture in result.pictures:
    example = Source()[int(picture['id'].split()[1])]
    np.testing.assert_array_equal(picture['image'], example['image'])
    np.testing.assert_array_equal(picture['label'], example['label'])
    logits = net.apply(variables(net), example['image'][None], train=False)[0]
    pred = np.asarray(resize(logits, example['label'].shape)).argmax(-1)[0]
    np.testing.assert_array_equal(picture['pred'], pred)
    assert picture['pred'].dtype == np.uint8


def test_an_evaluator_is_compiled_once_a_shape():
  evaluator, first = make(1, 1, 2, net := Net())
  again = evaluator(variables(net))
  assert first.scalars == again.scalars
  assert evaluator._step._cache_size() == 3


def test_a_broken_picture_is_skipped_or_raised():
  with pytest.raises(DataError, match='torn'):
    run(source=Source(SIZES[:2], broken=0))
  result = run(source=Source(SIZES[:2], broken=0), on_error='skip')
  assert (result.examples, result.skipped) == (1, 1)
  assert result.pictures[0]['id'] == 'picture 1'
  assert result.scalars['val/skipped_examples'] == 1
  # It is a figure of runs that skip, whether they had to or not.
  assert (
    run(source=Source(), on_error='skip').scalars['val/skipped_examples'] == 0
  )
  assert 'val/skipped_examples' not in run().scalars


def test_a_split_without_one_usable_picture_has_no_figures():
  with pytest.raises(DataError, match=r'not one of the 1 pictures.* 0\.png'):
    run(source=Source(SIZES[:1], broken=0), on_error='skip')


def test_instances_agree_over_devices_and_with_a_loop():
  net, source = Net(), Source(SIZES[1:3], instances=True)
  one = run(source=source)
  other = run(4, 2, source=source)
  for name, value in one.scalars.items():
    assert other.scalars[name] == pytest.approx(value, rel=1e-5), name
  # Person: sum of size-weighted hits by hand.
  mean_size = 3462.4756337644
  hits = objects = 0.0
  for i in range(2):
    example = source[i]
    logits = net.apply(variables(net), example['image'][None], train=False)[0]
    pred = np.asarray(resize(logits, SIZES[i + 1])).argmax(-1)[0]
    instance = example['instance']
    for number in np.unique(instance[instance // 1000 == 24]):
      mask = instance == number
      hits += mean_size * (pred[mask] == 1).mean()
      objects += mean_size
  wrong = one.confusion[:, 1].sum() - one.confusion[1, 1]
  want = hits / (objects + wrong)
  assert one.scalars['val/iiou/person'] == pytest.approx(want, rel=1e-12)
  # Road has no objects; vehicle's ignored caravan has, so vehicle counts.
  assert 'val/iiou/road' not in one.scalars
  assert 'val/category_iiou/vehicle' in one.scalars


def test_the_next_batch_is_sent_before_results_are_fetched(monkeypatch):
  source = Source(SIZES[:2] * 2, instances=True)
  evaluator, first = make(batch_size=1, source=source)
  log = []

  def logged(name, function):
    return lambda *args: log.append(name) or function(*args)

  monkeypatch.setattr(evaluator, '_step', logged('start', evaluator._step))
  monkeypatch.setattr(evaluator, '_add', logged('fetch', evaluator._add))
  monkeypatch.setattr(
    evaluate, 'number_objects', logged('number', evaluate.number_objects)
  )
  again = evaluator(variables(Net()))
  assert again.scalars == first.scalars and 'val/iiou/person' in first.scalars
  # Work on the host follows on work for the device.
  assert log == ['start', 'number', *['start', 'number', 'fetch'] * 3, 'fetch']


def test_objects_are_numbered_through():
  rng = np.random.default_rng(0)
  ids = [0, 7, 26, 24_001, 24_002, 26_001, 29_001]
  instance = rng.choice(ids, (9, 6, 5)).astype(np.int32)
  valid = np.arange(9) % 4 != 2
  with Threads(3) as threads:
    index, classes = evaluate.number_objects(
      instance, valid, INFO.label_to_train, threads
    )
  expected = np.full(instance.shape, -1)
  number = 0
  for i in np.flatnonzero(valid):
    # The caravan, 29, is ignored, and 26 is a group.
    for kind, train_id in ((24_001, 1), (24_002, 1), (26_001, 2)):
      expected[i][instance[i] == kind] = number
      assert classes[number] == train_id
      number += 1
  np.testing.assert_array_equal(index, expected)
  assert len(classes) == number and index.dtype == np.int32


def test_resized_images_are_scored_at_label_size():
  result = run(source=Source(SIZES[:2]), ops='resize_image(8, 12)')
  labels = [Source()[i]['label'] for i in range(2)]
  assert result.confusion.sum() == sum((x != 255).sum() for x in labels)
  assert result.pictures[0]['image'].shape == (8, 12, 3)


def test_scales_and_mirror_reach_the_network():
  source = Source(SIZES[:2])
  plain = run(source=source)
  views = run(source=source, scales=(0.5, 1.0), flip=True)
  assert views.scalars['val/loss'] < plain.scalars['val/loss']  # averaged
  assert math.isfinite(views.scalars['val/loss'])


def test_a_mesh_of_several_processes_is_refused():
  class Foreign:
    is_multi_process = True

  with pytest.raises(ValueError, match='local_devices'):
    evaluate.Evaluator(Net(), Source(), INFO, mesh=Foreign(), batch_size=2)


def test_sums_over_processes_keep_64_bits(monkeypatch):
  monkeypatch.setattr(jax, 'process_count', lambda: 3)
  monkeypatch.setattr(
    tally.multihost_utils,
    'process_allgather',
    lambda x: jnp.stack([jnp.asarray(x)] * 3),
  )
  big = np.array([[2**40 + 1, 3]])
  np.testing.assert_array_equal(tally.sum_over_processes(big), big * 3)
  fine = np.array([1e16 + 2, 0.1])
  got = tally.sum_over_processes(fine)
  np.testing.assert_allclose(got, fine * 3, rtol=1e-15)
  assert got.dtype == np.float64 and json.dumps(got.tolist())
