"""cutmix and paste_rare: parts of another picture, image and label together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplax.data import collate, mixing, ops, photometric
from deeplax.data.errors import DataError
from deeplax.data.pipeline import batch_indices, train_batches
from tests.data.batches import assert_equal

MIXED = (
  'random_scale(0.5, 2)|class_crop(12, 16)|random_flip()'
  '|paste_rare(0.5, 0.3)|photometric()|cutmix(0.5)|photometric()'
)


class Pictures:
  """Pictures whose every pixel tells what it is.

  Red is the class, green the number of the picture; 'instance' is the class and
  twice the number. Class 0 is common, 1 to 5 are in blocks, and void.
  """

  def __init__(self, length=7, size=(20, 24), bad=()):
    self.length, self.size, self.bad = length, size, bad

  def __len__(self):
    return self.length

  def __getitem__(self, index):
    if index in self.bad:
      raise DataError('the file is empty.', file=f'/pic/{index}.png')
    rng = np.random.default_rng(index)
    label = np.zeros(self.size, np.uint8)
    for value in (1, 2, 3, 4, 5, 255):
      top, left = (rng.integers(n - 3) for n in self.size)
      label[top : top + rng.integers(2, 6), left : left + 5] = value
    label.flags.writeable = False  # as a memory map's
    number = np.full_like(label, index)
    return {
      'image': np.stack([label, number, number], -1),
      'label': label,
      'instance': label + 256 * number.astype(np.int32),
      'id': f'picture{index}',
    }


class Counted(Pictures):
  loads = 0

  def __getitem__(self, index):
    self.loads += 1
    return super().__getitem__(index)


def run(spec, index=0, seed=0, source=None):
  source = Pictures() if source is None else source
  rng = np.random.default_rng(seed)
  return ops.apply(ops.parse(spec), source[index], rng, source)


def origin(out):
  """The number of the picture that each pixel is of.

  Image, label and extra must agree on it, and be as in that picture at that
  place: crops of the whole picture move nothing.
  """
  came_from = out['image'][..., 1]
  for number in np.unique(came_from):
    where, whole = came_from == number, Pictures()[int(number)]
    for key in ('image', 'label', 'instance'):
      np.testing.assert_array_equal(out[key][where], whole[key][where])
  return came_from


# ------------------------------------------------------------------- cutmix


class Uniform:
  """A generator that deals given fractions of the way."""

  def __init__(self, *values):
    self.values = list(values)

  def uniform(self, low=0.0, high=1.0):
    return low + self.values.pop(0) * (high - low)


@pytest.mark.parametrize(
  'drawn, rows, columns',
  [
    ((0.25, 0.5, 0.5), (5, 15), (10, 30)),  # a quarter: half of each side
    ((0.25, 0.0, 1.0), (0, 5), (30, 40)),  # cut off at the border
    ((1.0, 0.5, 0.5), (0, 20), (0, 40)),
    ((0.0, 0.3, 0.3), (6, 6), (12, 12)),  # nothing
  ],
)
def test_rectangle(drawn, rows, columns):
  expected = np.zeros((20, 40), bool)
  expected[slice(*rows), slice(*columns)] = True
  found = mixing.rectangle(20, 40, Uniform(*drawn))
  np.testing.assert_array_equal(found, expected)


def test_shares_and_centres_are_uniform():
  rng, large = np.random.default_rng(0), 0
  covered = np.zeros((40, 60))
  for _ in range(2000):
    inside = mixing.rectangle(40, 60, rng)
    covered += inside
    large += inside.mean() > 0.5
  covered /= 2000
  # About the centre x of a half of the length: x is hit if the centre is as
  # near as sqrt(share) / 2, so with probability E sqrt(share) = 2/3, squared
  # for two sides, of which they have the same share: E share = 1/2.
  np.testing.assert_allclose(covered[18:22, 27:33], 0.5, atol=0.05)
  # In a corner half of either length is out of reach.
  np.testing.assert_allclose(covered[[0, 0, -1, -1], [0, -1, 0, -1]], 0.125,
                             atol=0.04)  # fmt: skip
  assert 0.1 < large / 2000 < 0.25


def test_cutmix_puts_a_rectangle_of_another_picture_over():
  others = set()
  for seed in range(60):
    came_from = origin(run('random_crop(20, 24)|cutmix(1)', 0, seed))
    assert came_from.shape == (20, 24)
    pasted = came_from != 0
    rows, columns = pasted.any(1), pasted.any(0)
    np.testing.assert_array_equal(pasted, np.outer(rows, columns))
    assert len({*came_from[pasted]}) <= 1
    others |= {*came_from[pasted].tolist()}
  assert others == {1, 2, 3, 4, 5, 6}


# --------------------------------------------------------------- paste_rare


@pytest.mark.parametrize('max_share', [0.02, 0.05, 0.3, 1])
def test_paste_rare_copies_the_rare_classes_and_no_void(max_share):
  pasted_of = set()
  for seed in range(40):
    spec = f'random_crop(20, 24)|paste_rare(1, {max_share})'
    came_from = origin(run(spec, 0, seed))
    other = [*({*came_from.ravel().tolist()} - {0})]
    if not other:
      continue  # it was mixed with itself, or nothing is rare
    pasted_of.add(other[0])
    label = Pictures()[other[0]]['label']
    labelled = (label != 255).sum()
    expected = np.zeros(label.shape, bool)
    for value in range(6):
      if (label == value).sum() < max_share * labelled:
        expected |= label == value
    np.testing.assert_array_equal(came_from == other[0], expected)
    assert not (label[came_from == other[0]] == 255).any()
  assert len(pasted_of) >= (1 if max_share < 0.05 else 5)


def test_shares_are_of_what_is_labelled_in_the_crop():
  label = np.full((10, 10), 255, np.uint8)
  label[0, :8], label[0, 8:] = 3, 4
  assert not mixing.rare(label, 0.2).any()
  np.testing.assert_array_equal(mixing.rare(label, 0.21), label == 4)
  np.testing.assert_array_equal(mixing.rare(label, 1), label != 255)
  assert not mixing.rare(np.zeros((4, 4), np.uint8), 1).any()
  assert not mixing.rare(np.full((4, 4), 255, np.uint8), 1).any()


# --------------------------------------------------------------------- both


@pytest.mark.parametrize('op', ['cutmix({})', 'paste_rare({}, 1)'])
def test_the_probability_is_kept(op):
  source = Pictures()
  rng = np.random.default_rng(1)

  def mixed(probability):
    spec = f'random_crop(20, 24)|{op.format(probability)}'
    parsed = ops.parse(spec)
    outs = [ops.apply(parsed, source[0], rng, source) for _ in range(300)]
    return np.mean([origin(out).any() for out in outs])

  assert mixed(0) == 0
  # One in seven is the picture itself.
  assert 0.19 < mixed(0.3) < 0.33 and mixed(1) > 0.8


KINDS = st.sampled_from(
  [(np.uint8, (3,)), (np.uint8, ()), (np.int32, ()), (np.float32, (2,)),
   (np.uint16, ()), (bool, ()), (np.float64, (5,))]
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(KINDS, st.integers(1, 20), st.integers(1, 20), st.integers(0, 99))
def test_arrays_of_any_kind_are_pasted(kind, height, width, seed):
  rng = np.random.default_rng(seed)
  dtype, channels = kind
  # A window of something larger, mirrored, is no contiguous array.
  below, over = (
    (rng.random((height + 2, width + 3, *channels)) * 9).astype(dtype)
    for _ in range(2)
  )
  below, over = below[1:-1, 3:], over[2:, :width][:, ::-1]
  before = below.copy()
  where = rng.random((height, width)) < 0.5
  out = mixing.paste({'x': below, 'id': 'a'}, {'x': over, 'id': 'b'}, where)
  assert out['x'].dtype == dtype and out['id'] == 'a'
  np.testing.assert_array_equal(out['x'][where], over[where])
  np.testing.assert_array_equal(out['x'][~where], below[~where])
  np.testing.assert_array_equal(below, before)


def test_what_the_other_lacks_is_zero_and_what_it_has_more_is_left():
  one, other = Pictures()[1], Pictures()[2]
  where = np.arange(20 * 24).reshape(20, 24) % 3 == 0
  plain = {k: v for k, v in other.items() if k != 'instance'}
  out = mixing.paste(one, plain, where)
  assert (out['instance'][where] == 0).all()
  np.testing.assert_array_equal(
    out['instance'][~where], one['instance'][~where]
  )
  assert 'instance' not in mixing.paste(plain, one, where)


def test_the_other_goes_through_what_comes_before():
  """Its crop is as large, and it is flipped and distorted by itself."""

  @ops.register(lambda size: size)
  def number_for_test(example, rng):
    number = rng.integers(200, 250)
    image = example['image'].copy()
    image[..., 2] = number
    return {**example, 'image': image}

  source = Pictures(5, (40, 50))
  spec = 'random_scale(1.5, 2)|random_crop(9, 13)|number_for_test()|cutmix(1)'
  numbers = [
    len(np.unique(run(spec, 0, seed, source)['image'][..., 2]))
    for seed in range(20)
  ]
  assert numbers.count(2) > 15


def test_a_lone_example_is_mixed_with_itself():
  example, rng = Pictures(1, (30, 40))[0], np.random.default_rng(0)
  parsed = ops.parse('random_crop(9, 9)|cutmix(1)')
  source = Pictures(1, (30, 40))
  for _ in range(9):
    state = rng.bit_generator.state
    alone = ops.apply(parsed, example, rng)
    rng.bit_generator.state = state
    of_one = ops.apply(parsed, example, rng, source)
    np.testing.assert_array_equal(alone['label'], of_one['label'])


def test_a_crop_is_made_of_four_pictures_at_most():
  source = Counted()
  run('random_crop(9, 9)|paste_rare(1)|cutmix(1)', 0, 0, source)
  assert source.loads == 4
  with pytest.raises(ops.OpsError, match=r'3 operations.*at most 2'):
    ops.parse('resize(9, 9)|cutmix(1)|paste_rare(1)|cutmix(1)')


@pytest.mark.parametrize(
  'spec, words',
  [
    ('cutmix(0.5)', 'cutmix puts.*of one size.*after random_crop'),
    ('random_scale(1, 2)|paste_rare(1)|random_crop(9, 9)', 'paste_rare puts'),
    ('random_crop(9, 9)|random_scale(1, 2)|cutmix(1)', 'cutmix puts'),
    ('resize(9, 9)|cutmix()', r'probability is missing; .* cutmix\(probab'),
    ('resize(9, 9)|cutmix(1.1)', 'probability is 1.1; expected 0 to 1'),
    ('resize(9, 9)|paste_rare(-1)', 'probability is -1.0; expected 0 to 1'),
    ('resize(9, 9)|paste_rare(1, 0)', 'max_share is 0.0; expected more than 0'),
    ('resize(9, 9)|paste_rare(1, 5)', 'max_share is 5.0; .* at most 1'),
    ('resize_image(9, 9)|cutmix(1)', 'cutmix comes after resize_image'),
  ],
)
def test_arguments_and_places_are_checked(spec, words):
  with pytest.raises(ops.OpsError, match=words):
    ops.parse(spec)


# ------------------------------------------------------------------ batches


def train(count, source=None, **options):
  options = {'ops': MIXED, 'batch_size': 4, 'seed': 5, **options}
  source = Pictures() if source is None else source
  with train_batches(source, **options) as batches:
    return [next(batches) for _ in range(count)]


@pytest.fixture(scope='module')
def straight():
  """Eight global batches made without workers."""
  return train(8)


def test_batches_are_mixed_and_tell_the_main_picture(straight):
  plain = train(8, ops=MIXED.replace('|cutmix(0.5)', ''))
  pairs = zip(straight, plain)
  assert any((a['label'] != b['label']).any() for a, b in pairs)
  for step, batch in enumerate(straight):
    told = batch_indices(7, batch_size=4, seed=5, step=step)
    assert batch['index'].tolist() == told and batch['valid'].all()
    assert set(batch) == {'image', 'label', 'valid', 'index'}


def test_neither_workers_nor_processes_nor_a_restart_change_them(straight):
  assert_equal(train(4, workers=2), straight[:4])
  assert_equal(train(3, start_step=5), straight[5:])
  shares = [train(8, process_index=p, process_count=2) for p in range(2)]
  for step, whole in enumerate(straight):
    for key, value in whole.items():
      parts = [share[step][key] for share in shares]
      np.testing.assert_array_equal(np.concatenate(parts), value)


def test_colours_at_the_end_can_be_left_to_the_device(straight):
  for batch, host in zip(train(8, photometric_on_device=True), straight):
    np.testing.assert_array_equal(batch['label'], host['label'])
    for image, row, expected in zip(
      batch['image'], batch['photometric'], host['image']
    ):
      image = photometric.distort(image, photometric.Numbers(*row))
      difference = np.abs(image.astype(int) - expected)
      assert difference.max() <= 1 and (difference != 0).mean() < 0.01


def test_another_picture_that_can_not_be_read(straight):
  options = {'source': Pictures(bad=(3,))}
  got = train(8, on_error='skip', **options)
  lost = 0
  for batch, whole in zip(got, straight):
    np.testing.assert_array_equal(batch['index'], whole['index'])
    assert not batch['valid'][batch['index'] == 3].any()
    lost += (~batch['valid'][batch['index'] != 3]).sum()
    good = batch['valid']  # those that it was not for are as ever
    np.testing.assert_array_equal(batch['image'][good], whole['image'][good])
    assert (batch['label'][~good] == 255).all()
  assert lost > 0
  with pytest.raises(DataError, match=r'^/pic/3.png: the file is empty'):
    train(8, **options)


def test_skipped_for_another_is_counted():
  options = {'ops': 'random_crop(9, 9)|cutmix(1)', 'batch_size': 4, 'seed': 5}
  source = Pictures(bad=(3,))
  with train_batches(source, on_error='skip', **options) as batches:
    valid = np.concatenate([next(batches)['valid'] for _ in range(10)])
    assert batches.skipped == (~valid).sum() > 40 / 7 + 1
    assert batches.errors == ('/pic/3.png: the file is empty.',)


class Broken(Pictures):
  def __getitem__(self, index):
    if index == 3:
      raise RuntimeError('a bug')
    return super().__getitem__(index)


def test_a_bug_with_another_picture_names_both():
  load = collate.Load(Broken(), ops.parse('random_crop(9, 9)|cutmix(1)'))
  with pytest.raises(RuntimeError, match='a bug') as error:
    for seed in range(99):
      load(0, np.random.default_rng(seed))
  assert error.value.__notes__ == [
    'Example 3 of the source was to be mixed in.',
    'It happened with example 0 of the source.',
  ]
