"""A prediction: shares, pictures, files, and what a notebook shows."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from deeplax.data import DatasetInfo, Label
from deeplax.errors import UserError
from deeplax.picture_inputs import Stored
from deeplax.result import Result

INFO = DatasetInfo(
  'toy',
  (
    Label('void', 0, 255, 'void', (0, 0, 0)),
    Label('road', 7, 0, 'flat', (128, 64, 128)),
    Label('<b>car</b>', 26, 1, 'vehicle', (0, 0, 142)),
    Label('sky', 23, 2, 'sky', (70, 130, 180)),
  ),
)
LABELS = np.array([[0, 0, 0, 0], [1, 1, 255, 255]], np.uint8)
IMAGE = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 10


def make(labels=LABELS, image=IMAGE, orientation=1, path=None, probs=None):
  return Result(Stored(image, orientation, path), labels, INFO, lambda: probs)


def test_shares_are_sorted_and_sum_to_one():
  shares = make().shares
  assert shares == {'road': 0.5, '<b>car</b>': 0.25, 'void': 0.25}
  assert next(iter(shares)) == 'road'


def test_repr_is_short():
  text = repr(make(path='x/street.jpg'))
  assert text.startswith('Result(x/street.jpg, 2x4: road 50 %, ')
  assert repr(make()).startswith('Result(array')
  labels = np.arange(200, dtype=np.uint8).reshape(20, 10) % 3
  assert len(repr(make(labels))) < 80


def test_pictures():
  result = make()
  colours = INFO.palette[LABELS]
  np.testing.assert_array_equal(np.asarray(result.color()), colours)
  overlay = np.asarray(result.overlay(), np.float64)
  assert np.abs(overlay - (0.35 * IMAGE + 0.65 * colours)).max() <= 0.51
  assert result.overlay().mode == 'RGB' and result.overlay().size == (4, 2)


def test_files(tmp_path):
  result = make(orientation=6)
  path = result.save(tmp_path / 'new' / 'ids.PNG', 'label_id')
  with Image.open(path) as image:
    np.testing.assert_array_equal(
      np.asarray(image), [[7, 7, 7, 7], [26, 26, 0, 0]]
    )
    assert image.getexif()[0x0112] == 6
  with Image.open(result.save(str(tmp_path / 'o.png'))) as image:
    np.testing.assert_array_equal(np.asarray(image), result.overlay())
  assert sorted(p.name for p in tmp_path.iterdir()) == ['new', 'o.png']


def test_files_that_can_not_be(tmp_path):
  picture = tmp_path / 'street.png'
  picture.touch()
  (tmp_path / 'link.png').symlink_to(picture)
  for name, format, message in (
    ('a.png', 'mask', "'mask' is not known; expected one of overlay"),
    ('a.jpg', 'color', r'a\.jpg does not end in \.png'),
    ('street.png', 'color', 'is the picture itself'),
    ('link.png', 'color', 'is the picture itself'),
    ('street.png/a.png', 'color', 'street.png can not be made'),
  ):
    with pytest.raises(UserError, match=message):
      make(path=picture).save(tmp_path / name, format)
  (tmp_path / 'a.png').mkdir()
  with pytest.raises(UserError, match=r'a\.png can not be written.*folder'):
    make().save(tmp_path / 'a.png')


def test_probs_agree_with_the_labels_where_rounding_does_not():
  labels = np.array([[0, 1, 255, 2]], np.uint8)
  probs = np.array(
    [
      [0.3, 0.29999, 0.2, 0.20001],  # as the label says
      [0.4, 0.4, 0.1, 0.1],  # a tie
      [0.2, 0.1, 0.36, 0.34],  # void is the last
      [0.35, 0.1, 0.34, 0.21],
    ],
    np.float32,
  )[None]
  before = probs.copy()
  got = make(labels, IMAGE[:1], probs=probs).probs
  np.testing.assert_array_equal(got.argmax(-1), [[0, 1, 3, 2]])
  np.testing.assert_array_equal(probs, before)  # not its own to change
  np.testing.assert_array_equal(got[0, 0], probs[0, 0])
  np.testing.assert_allclose(got[0, 1], probs[0, 1], rtol=1e-6)
  np.testing.assert_array_equal(got[0, 3], probs[0, 3][[2, 1, 0, 3]])
  np.testing.assert_allclose(got.sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize('size', [(2, 4), (40, 1200)])
@pytest.mark.parametrize('orientation', [1, 6])
def test_a_notebook_shows_it_upright_with_a_legend(size, orientation):
  labels = np.zeros(size, np.uint8)
  labels[:, : size[1] // 2] = 255
  result = make(labels, np.full((*size, 3), 9, np.uint8), orientation)
  image = np.asarray(Image.open(io.BytesIO(result._repr_png_())))
  scale = min(960 / max(size), 1)
  height, width = (round(n * scale) for n in size)
  if orientation == 6:  # clockwise: the left half is on top
    height, width = width, height
  assert image.shape[0] > height + 10 and image.shape[1] >= width
  mixed = np.uint8([3, 3, 3])
  np.testing.assert_allclose(image[0, 0], mixed, atol=1)
  far = (height - 1, 0) if orientation == 6 else (0, width - 1)
  road = 0.35 * 9 + 0.65 * INFO.palette[0]
  np.testing.assert_allclose(image[far], road, atol=1)
  # The swatches of the two classes that are there.
  legend = image[height:].reshape(-1, 3)
  assert (legend == INFO.palette[0]).all(1).any()
  assert not (legend == INFO.palette[2]).all(1).any()


def test_names_are_no_html():
  text = make(path='<script>')._repr_html_()
  assert '<b>' not in text and '<script>' not in text
  assert '&lt;b&gt;car&lt;/b&gt; 25.0 %' in text and 'void 25.0 %' in text
  assert 'rgb(128, 64, 128)' in text
  assert re.search(r'src="data:image/png;base64,[\w+/=]+"', text)
