"""Operations: grammar, geometry, and windows equal to the whole."""

import pathlib
import pickle
import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplax.data import geometry, ops
from deeplax.data.errors import DataError
from deeplax.data.photometric import distort, draw


def coordinates(height, width):
  """A picture that tells where each pixel came from.

  The image holds 4x and 4y of its pixels, so that interpolating it gives the
  place in quarters of a pixel; label and 'row' hold x and y themselves.
  """
  y, x = np.mgrid[:height, :width]
  image = np.stack([4 * x, 4 * y, np.full_like(x, 200)], -1)
  example = {
    'image': image.astype(np.uint8),
    'label': x.astype(np.uint8),
    'row': y.astype(np.int32),
    'id': 'coordinates',
  }
  for key in ('image', 'label', 'row'):
    example[key].flags.writeable = False  # as a memory map's
  return example


def noise(height, width, seed=0):
  rng = np.random.default_rng(seed)
  image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
  label = rng.integers(0, 20, (height, width), dtype=np.uint8)
  return {'image': image, 'label': label, 'id': 'noise'}


def run(spec, example, seed=0):
  return ops.apply(ops.parse(spec), example, np.random.default_rng(seed))


# ------------------------------------------------------------------ grammar


def test_parse_reads_positional_named_and_default_arguments():
  spec = (
    'random_scale(1, hi=2.)|random_crop(h=3, w=4, max_class_fraction=.75)'
    '|random_crop(3, 4)|random_flip()|photometric()|pad_to_multiple(16)'
  )
  parsed = ops.parse(spec)
  assert [str(op) for op in parsed] == [
    'random_scale(lo=1.0, hi=2.0)',
    'random_crop(h=3, w=4, max_class_fraction=0.75)',
    'random_crop(h=3, w=4, max_class_fraction=1.0)',
    'random_flip()',
    'photometric()',
    'pad_to_multiple(k=16)',
  ]
  assert ops.parse('') == ops.parse('  ') == ()
  assert pickle.loads(pickle.dumps(parsed)) == parsed


@pytest.mark.parametrize(
  ('spec', 'words'),
  [
    ('random_rotate(5)', ['random_rotate', 'Known', 'random_crop(h, w']),
    ('random_scale(2, .5)', ['random_scale', 'hi is 0.5', 'lo (=2.0)']),
    ('random_scale(0, 2)', ['lo is 0.0', 'more than 0']),
    ('random_scale(.5)', ['hi is missing', 'random_scale(lo, hi)']),
    ('random_scale(.5, 2, 3)', ['3 arguments', 'random_scale(lo, hi)']),
    ('random_scale(.5, hi=2, lo=1)', ['lo is given twice']),
    ('random_scale(.5, high=2)', ["'high'", 'random_scale(lo, hi)']),
    ("random_scale('a', 2)", ["lo is 'a'", 'a number']),
    ('random_scale(1e999, 2)', ['lo', 'a number']),
    ('random_crop(512., 4)', ['h is 512.0', 'a whole number']),
    ('random_crop(True, 4)', ['h is True', 'a whole number']),
    ('random_crop(0, 4)', ['h is 0', '1 or more']),
    ('random_crop(4, -1)', ['w is -1', '1 or more']),
    ('random_crop(4, 4, 75)', ['max_class_fraction is 75', 'at most 1']),
    ('random_crop(n(), 4)', ['h is n()', 'a whole number']),
    ('random_flip', ['random_flip is no call', 'random_flip()']),
    ('random_flip(.5)', ['1 arguments', 'random_flip()']),
    ('random_flip()||photometric()', ["can't be read"]),
    ('random_flip() photometric()', ["can't be read"]),
    ('random_flip()+photometric()', ['joined by |']),
    ("__import__('os').system('true')", ['no call']),
    ('resize_image(4, 4)|random_crop(2, 2)', ['random_crop', 'resize_image']),
  ],
)
def test_parse_errors_name_operation_value_and_expectation(spec, words):
  with pytest.raises(ops.OpsError) as error:
    ops.parse(spec)
  for word in words:
    assert word in str(error.value)


def test_crop_size():
  def size(spec):
    return ops.crop_size(ops.parse(spec))

  assert size('random_scale(.5, 2)|random_crop(3, 4)|random_flip()') == (3, 4)
  assert size('resize(5, 6)|pad_to_multiple(4)|photometric()') == (8, 8)
  assert size('random_crop(3, 4)|random_scale(1, 2)') is None
  assert size('random_flip()') is None
  assert size('') is None


def test_a_new_operation_is_one_registered_function():
  @ops.register(lambda size, *, level: size, level=ops.at_least(0))
  def paint_for_test(example, rng, *, level: int):
    return {**example, 'image': np.full_like(example['image'], level)}

  # After a pending scale, which the new operation knows nothing of.
  out = run('random_scale(2, 2)|paint_for_test(7)', noise(4, 6))
  assert out['image'].shape == (8, 12, 3)
  assert (out['image'] == 7).all()
  with pytest.raises(ops.OpsError, match='level is -1; expected 0 or more'):
    ops.parse('paint_for_test(-1)')


# ----------------------------------------------------------------- geometry

_MOVES = st.lists(
  st.sampled_from(
    [
      'random_crop(17, 23)',
      'random_crop(40, 9)',
      'random_crop(17, 23, 0.01)',
      'class_crop(17, 23)',
      'random_flip()',
      'pad_to_multiple(8)',
    ]
  ),
  max_size=3,
)
_RESAMPLING = st.sampled_from(
  [[], ['random_scale(0.5, 2)'], ['random_scale(1, 1)'], ['resize(20, 31)']]
)
# Resampled once at most: each time, nearest may move by half a pixel.
GEOMETRIC = st.tuples(_MOVES, _RESAMPLING, _MOVES).map(
  lambda parts: '|'.join([*parts[0], *parts[1], *parts[2]])
)


@settings(max_examples=150, deadline=None)
@given(GEOMETRIC, st.integers(1, 50), st.integers(1, 50), st.integers(0, 99))
def test_image_label_and_extras_stay_together(spec, height, width, seed):
  out = run(spec, coordinates(height, width), seed)
  image, label, row = (out[key] for key in ('image', 'label', 'row'))
  assert image.shape == (*label.shape, 3) and row.shape == label.shape
  assert (label.dtype, row.dtype) == (np.uint8, np.int32)
  assert all(a.flags.c_contiguous for a in (image, label, row))

  # Blue is 200 in the picture and 104 in padding: what lies between has been
  # interpolated over the border of the two.
  sure = image[..., 2] == 200
  assert (label[sure] != 255).all()
  assert (label[image[..., 2] == 104] == 255).all()
  # Nearest is within half a pixel of bilinear, which is rounded to quarters.
  assert np.abs(image[..., 0] / 4 - label)[sure].max(initial=0) <= 0.63
  assert np.abs(image[..., 1] / 4 - row)[sure].max(initial=0) <= 0.63


@settings(max_examples=150, deadline=None)
@given(
  st.integers(1, 60),
  st.integers(1, 60),
  st.integers(1, 150),
  st.integers(1, 150),
  st.randoms(use_true_random=False),
)
def test_window_has_the_bits_of_the_whole(height, width, h, w, random):
  """Lazy scaling: a window computed alone equals the window of the whole."""
  example = noise(height, width)
  scaled = geometry.scale(example, h, w)
  whole = geometry.realise(scaled)
  assert whole['image'].shape == (h, w, 3)
  top, left = random.randrange(h), random.randrange(w)
  size = random.randrange(1, 80), random.randrange(1, 80)
  fused = geometry.crop(scaled, top, left, *size)
  unfused = geometry.crop(whole, top, left, *size)
  np.testing.assert_array_equal(fused['image'], unfused['image'])
  np.testing.assert_array_equal(fused['label'], unfused['label'])


def test_fused_operations_equal_operations_one_by_one():
  spec = 'random_scale(0.5, 2)|random_crop(40, 50, 0.06)|random_flip()'
  parsed = ops.parse(spec)
  for seed in range(40):
    example = noise(61, 83, seed)
    rng = np.random.default_rng(seed)
    stepwise = example
    for op in parsed:
      stepwise = geometry.realise(op(stepwise, rng))
    fused = ops.apply(parsed, example, np.random.default_rng(seed))
    np.testing.assert_array_equal(fused['image'], stepwise['image'])
    np.testing.assert_array_equal(fused['label'], stepwise['label'])


FORBIDDEN = """
import ctypes, mmap, sys
sys.path.insert(0, {root!r})
import numpy as np
from deeplax.data import geometry

PAGE = mmap.PAGESIZE
shape = 64, PAGE, 3  # rows of whole pages
memory = mmap.mmap(-1, np.prod(shape))
image = np.frombuffer(memory, np.uint8).reshape(shape)
protect = ctypes.CDLL(None, use_errno=True).mprotect
protect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
for row in [*range({first}), *range({last} + 1, 64)]:
  assert protect(image[row].ctypes.data, 3 * PAGE, 0) == 0  # PROT_NONE
label = image[..., 0]
example = {{'image': image, 'label': label, 'id': ''}}
size = round(64 * {factor}), round(PAGE * {factor})
if {factor} != 1:
  example = geometry.scale(example, *size)
crop = geometry.crop(example, size[0] // 2, 100, 8, 16)
print(crop['image'].sum(), crop['label'].sum())
"""


@pytest.mark.parametrize('factor, rows', [(1, 8), (0.5, 16), (2, 5)])
def test_a_crop_reads_its_rows_alone(factor, rows):
  """Out of a memory map, say: those of the rest kill whoever reads them."""

  def run_with(first, last):
    code = FORBIDDEN.format(
      root=str(pathlib.Path(__file__).resolve().parents[2]),
      factor=factor,
      first=first,
      last=last,
    )
    return subprocess.run(
      [sys.executable, '-c', code], capture_output=True, check=False
    ).returncode

  # Bilinear pixels look at one row more, above where they are enlarged.
  assert run_with(32 - (factor > 1), 31 + rows) == 0
  assert run_with(33, 31 + rows) < 0
  assert run_with(0, 30 + rows - (factor > 1)) < 0


@pytest.mark.parametrize('size', [(64, 96), (51, 301), (128, 192), (31, 47)])
def test_whole_pictures_agree_with_opencv(size):
  example = noise(64, 96)
  out = run(f'resize({size[0]}, {size[1]})', example)
  expected = cv2.resize(example['image'], size[::-1])
  difference = np.abs(out['image'].astype(int) - expected)
  assert difference.max() <= 1  # OpenCV's weights have 11 bits
  nearest = cv2.resize(
    example['label'], size[::-1], interpolation=cv2.INTER_NEAREST_EXACT
  )
  # A centre that falls between two pixels may go either way: OpenCV's steps
  # are rounded to 16 bits, ours are exact.
  y, x = ((2 * np.arange(n) + 1) * m % (2 * n) for m, n in zip((64, 96), size))
  clear = np.logical_and.outer(y != 0, x != 0)
  assert clear.mean() > 0.9
  np.testing.assert_array_equal(out['label'][clear], nearest[clear])


def test_pictures_beyond_the_limit_of_remap():
  rng = np.random.default_rng(0)
  for shape, size in [((3, 40001), (4, 80)), ((5, 30), (6, 40003))]:
    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    out = geometry.bilinear(image, size, (0, 0, *size))
    expected = cv2.resize(image, size[::-1])
    assert np.abs(out.astype(int) - expected).max() <= 1


def test_random_crop_pads_bottom_and_right():
  example = noise(5, 6)
  out = run('random_crop(8, 9)', example)
  np.testing.assert_array_equal(out['image'][:5, :6], example['image'])
  np.testing.assert_array_equal(out['label'][:5, :6], example['label'])
  for part in (out['label'][5:], out['label'][:, 6:]):
    assert (part == 255).all()
  for part in (out['image'][5:], out['image'][:, 6:]):
    assert (part == (124, 116, 104)).all()


def test_random_crop_reaches_every_place():
  example = coordinates(6, 5)
  corners = {
    (out['row'][0, 0], out['label'][0, 0])
    for out in (run('random_crop(4, 4)', example, s) for s in range(60))
  }
  assert corners == {(y, x) for y in range(3) for x in range(2)}


def test_random_scale_is_uniform_between_its_bounds():
  example, rng = noise(200, 2), np.random.default_rng(0)
  scale = ops.parse('random_scale(0.5, 2)')
  heights = [
    ops.apply(scale, example, rng)['label'].shape[0] for _ in range(1000)
  ]
  assert min(heights) >= 100 and max(heights) <= 400
  assert abs(np.mean(heights) - 250) < 11  # four standard errors
  assert len(set(heights)) > 150


def test_max_class_fraction_finds_mixed_windows():
  label = np.zeros((40, 400), np.uint8)
  label[:, 360:] = 1
  label[0] = 255  # void does not count
  example = {'image': np.zeros((40, 400, 3), np.uint8), 'label': label}

  def mixed(spec):
    outs = (run(spec, example, seed)['label'] for seed in range(60))
    shares = [(out == 0).sum() / (out != 255).sum() for out in outs]
    return sum(0.25 <= share <= 0.75 for share in shares)

  plain = mixed('random_crop(40, 40)')
  chosen = mixed('random_crop(40, 40, 0.75)')
  assert plain < 10 < 2 * plain + 10 < chosen
  # One class only: the last try is taken.
  example['label'] = np.zeros((40, 400), np.uint8)
  assert (run('random_crop(9, 9, 0.5)', example)['label'] == 0).all()


def test_flip_is_a_mirror_half_of_the_time():
  example = coordinates(4, 7)
  flipped = 0
  for seed in range(200):
    out = run('random_flip()', example, seed)
    if out['label'][0, 0]:
      flipped += 1
      for key in ('image', 'label', 'row'):
        np.testing.assert_array_equal(out[key], example[key][:, ::-1])
  assert 70 < flipped < 130


def test_resize_image_and_pad_to_multiple():
  example = noise(10, 13)
  out = run('resize_image(5, 6)', example)
  assert out['image'].shape == (5, 6, 3) and out['label'].shape == (10, 13)
  out = run('pad_to_multiple(8)', example)
  assert out['image'].shape == (16, 16, 3)
  assert (out['label'][10:] == 255).all() and (
    out['label'][:, 13:] == 255
  ).all()


@pytest.mark.parametrize(
  'size, padded', [((10, 13), (17, 17)), ((9, 17), (9, 17)), ((1, 2), (1, 9))]
)
def test_pad_aligned_keeps_corners_on_the_grid(size, padded):
  example = noise(*size)
  out = run('pad_aligned(8)', example)
  assert out['image'].shape[:2] == out['label'].shape == padded
  (op,) = ops.parse('pad_aligned(8)')
  assert op.size(size) == padded
  for key in ('image', 'label'):
    kept = out[key][: size[0], : size[1]]
    np.testing.assert_array_equal(kept, example[key])
  assert (out['label'][size[0] :] == 255).all()
  assert (out['label'][:, size[1] :] == 255).all()


def test_unequal_sizes_are_an_error_that_names_the_file():
  example = {**noise(10, 13), 'label': np.zeros((10, 12), np.uint8)}
  with pytest.raises(DataError, match=r'noise.*image 10x13, label 10x12'):
    run('random_crop(4, 4)', example)


# -------------------------------------------------------------- photometric


def test_photometric_leaves_its_input_and_the_label_alone():
  example = noise(20, 30)
  before = example['image'].copy()
  example['image'].flags.writeable = False
  changed = 0
  for seed in range(50):
    out = run('photometric()', example, seed)
    assert out['image'].dtype == np.uint8
    assert out['label'] is example['label']
    changed += not np.array_equal(out['image'], before)
  np.testing.assert_array_equal(example['image'], before)
  assert 40 <= changed < 50  # all four are left out once in 16


class _Draws:
  """A generator that deals given numbers, to reach one branch at a time."""

  def __init__(self, use, first, brightness, contrast, saturation, hue):
    self._random = [np.where(use, 0.1, 0.9), 0.1 if first else 0.9]
    self._uniform = [brightness, contrast, saturation]
    self._hue = hue

  def random(self, size=None):
    return self._random.pop(0)

  def uniform(self, low, high):
    assert low <= self._uniform[0] <= high
    return self._uniform.pop(0)

  def integers(self, low, high):
    assert low <= self._hue < high
    return self._hue


def test_photometric_does_what_each_name_says():
  image = noise(20, 30)['image']

  def only(*use, first=True):
    return distort(image, draw(_Draws(use, first, 20.4, 1.3, 0.5, 18)))

  np.testing.assert_array_equal(only(0, 0, 0, 0), image)
  brighter = np.clip(np.rint(image + 20.4), 0, 255)
  np.testing.assert_array_equal(only(1, 0, 0, 0), brighter)
  stronger = np.clip(np.rint(image * 1.3), 0, 255)
  np.testing.assert_array_equal(only(0, 1, 0, 0), stronger)
  np.testing.assert_array_equal(only(0, 1, 0, 0, first=False), stronger)
  assert not np.array_equal(only(0, 1, 1, 0), only(0, 1, 1, 0, first=False))

  before = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(int)
  strong = (before[..., 1] > 100) & (before[..., 2] > 100)
  pale = cv2.cvtColor(only(0, 0, 1, 0), cv2.COLOR_RGB2HSV).astype(int)
  assert np.abs(pale[..., 1] - before[..., 1] / 2)[strong].max() <= 3
  turned = cv2.cvtColor(only(0, 0, 0, 1), cv2.COLOR_RGB2HSV).astype(int)
  turn = (turned[..., 0] - before[..., 0] - 18 + 90) % 180 - 90
  assert np.abs(turn)[strong].max() <= 3
  assert np.abs(turned[..., 2] - before[..., 2]).max() <= 1
