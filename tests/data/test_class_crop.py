"""class_crop: windows that hold a class drawn from the picture's own."""

import collections

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplax.data import class_window, geometry, ops

SIDES = st.integers(1, 40)
SEEDS = st.integers(0, 999)


def picture(label):
  label = np.asarray(label, np.uint8)
  label.flags.writeable = False  # as a memory map's
  return {'image': np.repeat(label[..., None], 3, 2), 'label': label, 'id': ''}


def blotches(height, width, seed):
  """Void, with a few pixels of three classes."""
  rng = np.random.default_rng(seed)
  return rng.choice([0, 3, 254, 255], (height, width), p=[0.1, 0.1, 0.02, 0.78])


def run(spec, example, seed=0):
  return ops.apply(ops.parse(spec), example, np.random.default_rng(seed))


def shares(values, among):
  """How often each of `among` comes; nothing else may."""
  counts = collections.Counter(values)
  assert set(counts) <= set(among)
  return np.array([counts[value] for value in among]) / len(values)


# -------------------------------------------------------------------- pixel


@settings(max_examples=100, deadline=None)
@given(SIDES, SIDES, st.integers(1, 90), st.integers(1, 90), SEEDS)
def test_the_scaled_label_has_the_class_at_the_pixel(height, width, h, w, seed):
  """The scale is not carried out, and yet the place is right."""
  for one in (0, 3, 254):
    label = blotches(height, width, seed)
    label[label != one] = 255
    pending = geometry.scale(picture(label), h, w)
    at = class_window.pixel(pending, np.random.default_rng(seed))
    seen = geometry.realise(pending)['label']
    if at is None:
      assert (seen == 255).all()
    else:
      assert seen[at] == one


@settings(max_examples=100, deadline=None)
@given(SIDES, SIDES, st.floats(0.1, 1), st.floats(0.1, 1), SEEDS)
def test_of_what_shrinks_the_pixel_is_that_of_the_shrunk(
  height, width, tall, wide, seed
):
  size = max(1, round(height * tall)), max(1, round(width * wide))
  pending = geometry.scale(picture(blotches(height, width, seed)), *size)
  at, expected = (
    class_window.pixel(example, np.random.default_rng(seed))
    for example in (pending, geometry.realise(pending))
  )
  assert at == expected


def test_classes_are_equally_likely_and_so_are_their_pixels():
  label = np.full((6, 8), 255)
  label[:3] = 7  # 24 pixels
  label[4, 2:5] = 1
  label[5, 7] = 0
  example, rng = picture(label), np.random.default_rng(0)
  drawn = [class_window.pixel(example, rng) for _ in range(3000)]
  of_class = shares([label[at] for at in drawn], [0, 1, 7])
  np.testing.assert_allclose(of_class, 1 / 3, atol=0.03)
  of_seven = [at for at in drawn if label[at] == 7]
  found = shares(of_seven, [(y, x) for y in range(3) for x in range(8)])
  np.testing.assert_allclose(found, 1 / 24, atol=0.025)
  of_one = shares(
    [at for at in drawn if label[at] == 1], [(4, 2), (4, 3), (4, 4)]
  )
  np.testing.assert_allclose(of_one, 1 / 3, atol=0.06)


# ------------------------------------------------------------------- window


@pytest.mark.parametrize(
  'at, rows, columns',
  [
    ((5, 6), range(2, 6), range(4, 7)),  # from any place in the window
    ((0, 10), range(1), range(8, 9)),  # in a corner there is but one
    ((8, 1), range(5, 6), range(2)),
  ],
)
def test_windows_that_hold_the_pixel_are_equally_likely(at, rows, columns):
  label = np.full((9, 11), 255)
  label[at] = 4
  rng, example = np.random.default_rng(0), picture(label)
  starts = [class_window.draw(example, rng, 4, 3) for _ in range(3000)]
  among = [(y, x) for y in rows for x in columns]
  np.testing.assert_allclose(shares(starts, among), 1 / len(among), atol=0.025)


@settings(max_examples=100, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES, st.floats(0.5, 2), SEEDS)
def test_with_probability_one_a_class_is_there(
  height, width, h, w, factor, seed
):
  label = blotches(height, width, seed)
  scale = f'random_scale({factor}, {factor})'
  seen = run(scale, picture(label))['label']
  out = run(f'{scale}|class_crop({h}, {w}, 1)', picture(label), seed)
  assert out['label'].shape == (h, w) and out['image'].shape == (h, w, 3)
  assert (out['label'] != 255).any() == (seen != 255).any()
  # Padded bottom and right alone.
  rows, columns = min(h, seen.shape[0]), min(w, seen.shape[1])
  outside = np.ones((h, w), bool)
  outside[:rows, :columns] = False
  assert (out['label'][outside] == 255).all()
  assert (out['image'][outside] == geometry.MEAN_PIXEL).all()


@pytest.mark.parametrize('probability, void', [(0, False), (1, True)])
def test_otherwise_it_is_a_window_of_random_crop(probability, void):
  label = np.arange(99).reshape(9, 11)
  example = picture(np.full_like(label, 255) if void else label)
  example['image'] = np.repeat(label[..., None], 3, 2).astype(np.uint8)
  (op,) = ops.parse(f'class_crop(4, 5, {probability})')
  (plain,) = ops.parse('random_crop(4, 5)')
  corners = set()
  for seed in range(200):
    rng = np.random.default_rng(seed)
    out = op(example, rng)
    rng = np.random.default_rng(seed)
    rng.random()  # the coin
    np.testing.assert_array_equal(out['image'], plain(example, rng)['image'])
    corners.add(out['image'][0, 0, 0])
  assert len(corners) > 0.9 * 6 * 7


def test_a_rare_class_is_seen_more_often():
  label = np.zeros((60, 200), np.uint8)
  label[:, 100:] = 1
  label[30:33, 20:23] = 2
  example = picture(label)

  def seen(spec):
    return np.mean([(run(spec, example, s)['label'] == 2).any()
                    for s in range(300)])  # fmt: skip

  plain = seen('random_crop(20, 20)')
  assert plain < 0.12
  # A third of the half that is drawn by class, at least; or all of a third.
  assert plain + 0.08 < seen('class_crop(20, 20)') < 0.32
  assert 0.27 < seen('class_crop(20, 20, 1)') < 0.45
  scaled = 'random_scale(0.5, 2)|class_crop(20, 20, 1)'
  assert 0.27 < seen(scaled) < 0.5


def test_the_seed_decides():
  label, spec = blotches(40, 50, 0), 'random_scale(0.5, 2)|class_crop(9, 9)'
  first, again, other = (
    [run(spec, picture(label), seed)['label'] for seed in seeds]
    for seeds in (range(20), range(20), range(20, 40))
  )
  np.testing.assert_array_equal(first, again)
  assert not np.array_equal(first, other)


# ------------------------------------------------------------------ grammar


def test_arguments_are_read_and_checked():
  parsed = ops.parse('random_scale(.5, 2)|class_crop(5, 6)|random_flip()')
  assert str(parsed[1]) == 'class_crop(h=5, w=6, probability=0.5)'
  assert ops.crop_size(parsed) == (5, 6)
  for spec, words in [
    ('class_crop(5)', r'w is missing; expected class_crop\(h, w, prob'),
    ('class_crop(5, 6, 1.5)', 'probability is 1.5; expected 0 to 1'),
    ('class_crop(5, 6, -.1)', 'probability is -0.1; expected 0 to 1'),
    ('class_crop(0, 6)', 'h is 0; expected 1 or more'),
  ]:
    with pytest.raises(ops.OpsError, match=words):
      ops.parse(spec)
