"""Batches of one shape: one compilation each, and answers as one by one."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deeplax import batching
from deeplax.data.datasets import cityscapes
from deeplax.predictor import Predictor, Prepared

INFO = cityscapes.INFO
SIZES = ((16, 24), (9, 20), (16, 24), (12, 30), (16, 24), (9, 17))


class Net(nn.Module):
  """Image pooling, as ASPP has it: the answer depends on the whole picture."""

  @nn.compact
  def __call__(self, image, *, train):
    x = nn.Conv(8, (3, 3), 4, name='conv')(image.astype(jnp.float32) / 64)
    x = jnp.concatenate([x, x.mean((1, 2), keepdims=True) + 0 * x], -1)
    return nn.Dense(20, name='logits')(jnp.sin(3 * x)), {}


@functools.cache
def variables():
  image = np.zeros((1, 16, 16, 3), np.uint8)
  return Net().init(jax.random.key(1), image, train=False)


class Counted:
  """The network, and the shapes that it was traced for."""

  def __init__(self):
    self.traced = []

  def apply(self, variables, image, *, train):
    self.traced.append(image.shape)
    return Net().apply(variables, image, train=train)


@dataclasses.dataclass
class Picture:
  index: int
  image: np.ndarray
  prepared: Prepared


def pictures(predictor, sizes=SIZES):
  for i, size in enumerate(sizes):
    image = np.random.default_rng(i).integers(0, 256, (*size, 3), np.uint8)
    yield Picture(i, image, predictor.prepare(image))


@functools.cache
def one_by_one(**options):
  predictor = Predictor(Net(), variables(), INFO, **options)
  return [predictor(p.image) for p in pictures(predictor)]


@pytest.mark.parametrize(
  ('options', 'shapes'),
  [
    ({}, [(16, 24), (9, 20), (12, 30), (9, 17)]),
    # 9x20 and 9x17 become 16x32, as does 12x30.
    ({'padding': 'pad_to_multiple(16)'}, [(16, 32)]),
    # One size for the network, but results of four.
    ({'resize_to': (8, 12)}, [(8, 12)] * 4),
  ],
)
@pytest.mark.parametrize('batch_size', [1, 2, 4])
def test_one_compilation_a_shape_and_the_same_answers(
  options, shapes, batch_size
):
  net = Counted()
  predictor = Predictor(net, variables(), INFO, **options)
  for _ in range(2):
    found = {
      picture.index: pred
      for picture, pred in batching.predict_all(
        predictor, pictures(predictor), batch_size
      )
    }
    assert sorted(found) == [*range(len(SIZES))]
    for i, want in enumerate(one_by_one(**options)):
      assert found[i].shape == SIZES[i] and len(np.unique(want)) > 2
      np.testing.assert_array_equal(found[i], want)
  assert sorted(net.traced) == sorted((batch_size, *s, 3) for s in shapes)
  assert len(predictor.shapes) == len(shapes)


def test_the_crf_takes_one_after_the_other():
  crf = dict(num_iterations=2, spatial=(2.0, 3.0), bilateral=(8.0, 20.0, 4.0))
  plain = Predictor(Net(), variables(), INFO, padding='pad_to_multiple(16)')
  refined = Predictor(
    Net(), variables(), INFO, padding='pad_to_multiple(16)', crf=crf
  )
  changed = 0
  for picture, pred in batching.predict_all(refined, pictures(refined), 4):
    np.testing.assert_array_equal(pred, refined(picture.image))
    changed += (pred != plain(picture.image)).sum()
  assert changed


def test_who_shares_a_batch_is_of_no_account():
  predictor = Predictor(Net(), variables(), INFO)
  seen = []
  start = predictor.start
  predictor.start = lambda *a: seen.append(np.asarray(start(*a))) or seen[-1]
  alone = [*batching.predict_all(predictor, pictures(predictor, SIZES[:1]), 4)]
  sizes = [SIZES[0]] * 4
  others = [*batching.predict_all(predictor, pictures(predictor, sizes), 4)]
  np.testing.assert_array_equal(alone[0][1], others[0][1])
  # The incomplete batch was filled up with something plain.
  assert [out.shape for out in seen] == [(4, 16, 24)] * 2
  np.testing.assert_array_equal(seen[0][1], seen[0][2])
  assert (seen[0][1] != seen[1][1]).any()


def test_the_next_batch_is_sent_before_results_are_fetched():
  log = []

  class Result:
    def __init__(self, images):
      self._images = images

    def __array__(self, dtype=None, copy=None):
      log.append(f'fetch {self._images[0, 0, 0, 0]}')
      return self._images[..., 0]

  class Fake:
    shapes, largest_scale, num_classes = set(), 1, 19

    def start(self, images, size):
      log.append(f'start {images[0, 0, 0, 0]}')
      return Result(images)

    def finish(self, image, out):
      return out

  def given():
    for i in range(4):
      log.append(f'read {i}')
      image = np.full((2, 2, 3), i, np.uint8)
      yield Picture(i, image, Prepared(image, (2, 2)))

  for picture, pred in batching.predict_all(Fake(), given(), 1):
    assert (pred == picture.index).all()
    log.append(f'done {picture.index}')
  assert ','.join(log) == (
    'read 0,start 0,read 1,start 1,fetch 0,done 0,read 2,start 2,fetch 1,'
    'done 1,read 3,start 3,fetch 2,done 2,fetch 3,done 3'
  )


def test_groups_are_bounded_and_their_order_is_fixed():
  def given(sizes):
    for i, size in enumerate(sizes):
      image = np.zeros((*size, 3), np.uint8)
      yield Picture(i, image, Prepared(image, size))

  def groups(sizes, **options):
    found = batching.by_shape(given(sizes), lambda ready: 2, **options)
    return [[p.index for p in group] for group in found]

  sizes = [(1, 1), (2, 2), (3, 3), (2, 2), (1, 1), (4, 4), (1, 1)]
  assert groups(sizes) == [[1, 3], [0, 4], [2], [5], [6]]
  # They take 6, 24, 54 bytes each, so what is begun at the third is too much:
  # what was begun first comes early, and no more than need be.
  assert groups(sizes[:4], pending_bytes=78) == [[0], [1, 3], [2]]
  assert groups(sizes[:4], pending_bytes=60) == [[0], [1], [2], [3]]
  assert groups([], pending_bytes=1) == []


def test_memory_of_begun_groups_is_bounded():
  held = [0]

  class Counting(Picture):
    def __init__(self, i):
      image = np.zeros((1, i + 1, 3), np.uint8)
      super().__init__(i, image, Prepared(image, (1, i + 1)))
      held[0] += 1

    def __del__(self):
      held[0] -= 1

  most = 0
  for group in batching.by_shape(
    map(Counting, range(200)), lambda ready: 9, pending_bytes=2400
  ):
    del group
    most = max(most, held[0])
  assert 2 < most < 30


def test_default_batch_size():
  size = batching.default_batch_size
  assert size(512 * 1024, 19, 'cpu') == 1
  assert size(1024 * 2048, 19, 'gpu') == 3
  assert size(512 * 1024, 19, 'tpu') == 13
  assert size(10**9, 19, 'gpu') == 1
  assert size(1, 19, 'gpu') == 32
