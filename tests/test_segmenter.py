"""The Python API: the command's answers, for pictures in any form."""

import pathlib
import subprocess
import sys

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageOps

import deeplax
from deeplax import predict
from deeplax.data import DataError
from deeplax.data.datasets import cityscapes
from deeplax.errors import RunError, UserError
from deeplax.predictor import Predictor
from deeplax.run_predictor import RunPredictor
from deeplax.segmenter import Segmenter
from tests import tiny_run

ROOT = pathlib.Path(__file__).resolve().parents[1]
INFO = cityscapes.INFO


class Red(nn.Module):
  """Each pixel's class is its red value / 13: void, 19, from 247 on."""

  @nn.compact
  def __call__(self, image, *, train):
    red = jnp.floor(image[..., :1].astype(jnp.float32) / 13)
    return -jnp.abs(red - jnp.arange(20)), {}


class Rows(nn.Module):
  """Each pixel's class is its row: it tells up from down."""

  @nn.compact
  def __call__(self, image, *, train):
    rows = jnp.arange(image.shape[1])[:, None, None]
    scores = -jnp.abs(rows - jnp.arange(19.0))
    return jnp.broadcast_to(scores, (*image.shape[:3], 19)), {}


def segmenter(net, batch_size=None):
  return Segmenter(RunPredictor(Predictor(net, {}, INFO), INFO, 7), 'toy', batch_size)  # fmt: skip # noqa: E501


@pytest.fixture(scope='module')
def red():
  return segmenter(Red())


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """A run that pads its pictures and knows void."""
  workdir = tmp_path_factory.mktemp('runs') / 'r101'
  tiny_run.make(workdir, void=True, ops='pad_to_multiple(32)')
  return workdir


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
  """Two shapes, colours and greys, one picture on its side, one broken."""
  folder = tmp_path_factory.mktemp('photos')
  exif = Image.Exif()
  exif[0x0112] = 6
  tiny_run.save(folder / 'a.png', tiny_run.picture(50, 70))
  tiny_run.save(folder / 'b.jpg', tiny_run.picture(70, 50, 1), exif=exif)
  tiny_run.save(folder / 'c' / 'grey.png', tiny_run.picture(50, 70, 2)[..., 0])
  (folder / 'd.png').write_text('no picture')
  return folder


@pytest.mark.parametrize(
  'choices',
  [
    {},
    dict(flip=True, scales=(0.75,), batch_size=2),
    dict(crf=dict(num_iterations=2, bilateral=(20, 5, 4))),
  ],
  ids=['plain', 'views', 'crf'],
)
def test_answers_and_files_are_those_of_the_command(
  run, photos, tmp_path, choices, caplog
):
  flags = dict(choices)
  if 'crf' in flags:
    flags |= dict(crf=True, crf_options=flags['crf'])
  predict.predict_run(
    run, [str(photos)], tmp_path, formats=predict.FORMATS, **flags
  )
  results = deeplax.load(run, **choices)(photos)
  assert 'd.png' in caplog.text
  names = ['a', 'b', 'c/grey']
  assert [r.path for r in results] == [
    photos / f'{n}.{s}' for n, s in zip(names, ('png', 'jpg', 'png'))
  ]
  for name, result in zip(names, results):
    with Image.open(tmp_path / f'{name}_train_id.png') as written:
      np.testing.assert_array_equal(result.labels, np.asarray(written))
    for kind in predict.FORMATS:
      mine = result.save(tmp_path / 'mine' / f'{kind}.png', kind)
      theirs = tmp_path / f'{name}_{kind}.png'
      assert mine.read_bytes() == theirs.read_bytes()
  labels = np.stack([r.labels.ravel() for r in results])
  assert len(np.unique(labels)) > 4
  if 'flip' not in choices:  # slow to compile, and no other code
    for result in results:
      check_probs(result)


def check_probs(result):
  probs = result.probs
  assert probs.dtype == np.float32
  assert probs.shape == (*result.labels.shape, 20)
  np.testing.assert_allclose(probs.sum(-1), 1, atol=1e-5)
  best = probs.argmax(-1)
  np.testing.assert_array_equal(np.where(best < 19, best, 255), result.labels)
  assert result.probs is probs  # kept


def test_probs_are_the_softmax_of_the_network(red):
  image = np.zeros((1, 20, 3), np.uint8)
  image[..., 0] = np.arange(20) * 13
  distance = np.abs(np.arange(20)[:, None] - np.arange(20))
  expected = np.exp(-distance) / np.exp(-distance).sum(-1, keepdims=True)
  np.testing.assert_allclose(red(image).probs[0], expected, rtol=1e-5)


@pytest.fixture(scope='module')
def image():
  """Every row and column differs."""
  ramp = np.arange(63).reshape(9, 7) * 4
  return np.stack([ramp, 255 - ramp, ramp // 2], -1).astype(np.uint8)


def expected(image):
  classes = image[..., 0] // 13
  return np.where(classes < 19, classes, 255).astype(np.uint8)


def test_pictures_in_memory(red, image):
  grey = image[..., 0]
  alpha = np.concatenate([image, np.full((9, 7, 1), 99, np.uint8)], -1)
  given = [
    *(image, grey, grey[..., None], alpha, jnp.asarray(image), image[:, :, :]),
    *(Image.fromarray(x) for x in (image, grey, alpha)),
    Image.fromarray(np.stack([grey, grey], -1), 'LA'),
    Image.fromarray(grey.astype(np.uint16) * 257),
    Image.fromarray(alpha).convert('RGB').quantize(256),
    image[::-1][::-1],  # not contiguous
  ]
  for one in given:
    result = red(one)
    np.testing.assert_array_equal(result.labels, expected(image))
    assert result.path is None
  for mode in ('1', 'CMYK', 'YCbCr', 'HSV'):
    picture = Image.fromarray(image).convert(mode)
    np.testing.assert_array_equal(red(picture).image, picture.convert('RGB'))
  for mode in ('RGBa', 'La'):  # premultiplied
    picture = Image.fromarray(alpha).convert(f'{mode[:-1]}A').convert(mode)
    assert red(picture).image.shape == (9, 7, 3)


def test_what_it_was_given_may_change_afterwards(red, image):
  mine = image.copy()
  result = red(mine)
  mine[:] = 0
  np.testing.assert_array_equal(result.image, image)


@pytest.mark.parametrize('orientation', range(1, 9))
def test_exif_orientation(tmp_path, orientation):
  exif = Image.Exif()
  exif[0x0112] = orientation
  stored = np.zeros((6, 9, 3), np.uint8)
  path = tiny_run.save(tmp_path / 'photo.png', stored, exif=exif)
  model = segmenter(Rows())
  with Image.open(path) as picture:
    results = [model(path), model(picture), model(picture.copy())]
  for result in results:
    # On the pixels as stored; what is made of them says how they lie.
    assert result.labels.shape == (6, 9)
    for made in (result.color(), result.color().copy()):
      upright = np.asarray(ImageOps.exif_transpose(made))
      rows = INFO.palette[np.arange(upright.shape[0])]
      np.testing.assert_array_equal(upright[:, 0], rows)
      assert (upright == upright[:, :1]).all()
    best = result.probs.argmax(-1)
    np.testing.assert_array_equal(best, result.labels)
    size = (9, 6) if orientation < 5 else (6, 9)
    assert result._shown().shape[1::-1] == size


@pytest.mark.parametrize('batch_size', [1, 3])
def test_several_in_their_order(batch_size, tmp_path, image):
  sizes = [(9, 7), (5, 5), (9, 7), (5, 5), (2, 7), (9, 7), (9, 7)]
  images = [image[:h, :w] + np.uint8(i) for i, (h, w) in enumerate(sizes)]
  model = segmenter(Red(), batch_size)
  for i, one in enumerate(images):
    tiny_run.save(tmp_path / 'in' / f'{i}.png', one)
  (tmp_path / 'in' / 'notes.txt').touch()
  paths = [tmp_path / 'in' / f'{i}.png' for i in range(7)]
  mixed = [paths[0], images[1], str(paths[2]), *images[3:]]
  for given in (
    *(images, iter(images), tuple(paths), mixed),
    *(tmp_path / 'in', f'{tmp_path}/in/*.png', [f'{tmp_path}/in']),
  ):
    results = model(given)
    assert len(results) == 7
    for result, one in zip(results, images):
      np.testing.assert_array_equal(result.labels, expected(one))
  assert model([]) == []


def test_stream_takes_pictures_one_by_one(image):
  taken = []

  def endless():
    while True:
      taken.append(image)
      yield image

  model = segmenter(Red(), 1)
  stream = model.stream(endless())
  for _ in range(5):
    np.testing.assert_array_equal(next(stream).labels, expected(image))
  stream.close()
  assert len(taken) < 40


def test_what_came_before_a_bad_picture_is_given(red, image):
  got = []
  with pytest.raises(UserError, match='float32'):
    for result in red.stream([image, image, image.astype(np.float32), image]):
      got.append(result)
  assert len(got) == 2


@pytest.mark.parametrize(
  'given, message',
  [
    (np.ones((4, 4, 3), np.float32), r'float32\[4, 4, 3\].*\* 255\)\.round'),
    (np.full((4, 4, 3), 7.5), r'float64.*values to 0\.\.255'),
    (np.ones((4, 4, 3), bool), r'bool.*\* 255'),
    (np.ones((4, 4, 3), np.uint16), r'uint16.*>> 8'),
    (np.ones((4, 4, 3), np.int64), r'int64.*values to 0\.\.255'),
    (np.ones((2, 4, 4, 3), np.uint8), r'batch give list\(images\)'),
    (np.ones((3, 5, 5), np.uint8), r'np\.moveaxis'),
    (np.ones((4, 4, 2), np.uint8), r'uint8\[4, 4, 2\] is no picture'),
    (np.ones((0, 4, 3), np.uint8), r'\[0, 4, 3\] is no picture'),
    (jnp.ones((4, 4, 3)), 'float32.*round'),
    (Image.new('F', (4, 4)), "mode 'F'.*first"),
    (Image.new('RGB', (0, 4)), '0x4 pixels is empty'),
    ('', "'' is no picture"),
    (b'street.jpg', 'bytes is no picture'),
    ('nothing\0.png', 'nothing'),
    (3, 'int is no picture; expected a path'),
    (None, 'NoneType is no picture'),
    ([[1, 2], [3, 4]], 'list is no picture'),
    ('nothing.png', r'nothing\.png: there is no such file'),
    ('nothing*.png', 'matches no file'),
    (['nothing.png'], 'there is no such file'),
  ],
)
def test_no_picture(red, given, message):
  with pytest.raises(UserError, match=message) as caught:
    red(given)
  assert '--input' not in str(caught.value)


def test_damaged_pictures(red, tmp_path):
  path = tiny_run.save(tmp_path / 'torn.png', tiny_run.picture(64, 64))
  whole = path.read_bytes()
  path.write_bytes(whole[: len(whole) // 2])
  for given in (path, [path], Image.open(path)):
    with pytest.raises(DataError, match=r'torn\.png.*damaged'):
      red(given)
  with pytest.raises(RunError, match=r'no picture in this folder \(0 other'):
    (tmp_path / 'empty').mkdir()
    red(tmp_path / 'empty')
  assert red(tmp_path) == []  # what lies in a folder is left out


@pytest.mark.parametrize(
  'choices, message',
  [
    (dict(step=3), r'no checkpoint 3, only \[0\]'),
    (dict(output_stride=7), r'output_stride.*7'),
    (dict(scales=()), 'scales'),
    (dict(scales=0.5), r'scales \(=0.5\)'),
    (dict(scales=('1',)), 'scales'),
    (dict(window=512), r'window \(=512\)'),
    (dict(window=(0, 5)), r'window \(=\(0, 5\)\)'),
    (dict(window=(5,)), r'window \(=\(5,\)\)'),
    (dict(batch_size=0), r'batch_size \(=0\)'),
    (dict(spatial=3), r'spatial \(=3\)'),
    (dict(crf=dict(width=3)), "crf has no 'width'; it has: num_iterations"),
    (dict(crf=dict(spatial=(1,))), 'spatial'),
  ],
)
def test_choices_that_can_not_be(run, choices, message):
  with pytest.raises(UserError, match=message):
    deeplax.load(run, **choices)


def test_no_run(tmp_path):
  with pytest.raises(RunError, match='is not the workdir of a run'):
    deeplax.load(tmp_path)


def test_repr(run):
  model = deeplax.load(run)
  assert repr(model) == f'Segmenter({run}, step 0, 19 classes)'
  assert model.class_names[0] == 'road' and model.palette.shape == (256, 3)


def test_import_is_light_until_it_is_used():
  code = (
    'import sys, deeplax\n'
    'heavy = {"jax", "numpy", "flax", "PIL", "cv2"} & {*sys.modules}\n'
    'assert not heavy, heavy\n'
    'assert {"load", "build"} <= {*dir(deeplax)}\n'
    'assert not hasattr(deeplax, "lode")\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', code],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
