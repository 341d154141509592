"""Pictures and masks come whole and unaltered, or as an error."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from deeplax.data import colours, files
from deeplax.data.errors import DataError
from deeplax.data.info import DatasetInfo, Label

INFO = DatasetInfo(
  'two',
  (
    Label('a', 0, 0, 'a', (10, 20, 30)),
    Label('b', 1, 1, 'b', (200, 0, 7)),
    Label('void', 255, 255, 'void', (0, 0, 0)),
  ),
)


def picture(height=24, width=40, seed=0):
  rng = np.random.default_rng(seed)
  return rng.integers(0, 256, (height, width, 3), np.uint8)


def encoded(array, fmt='PNG', mode=None, **options):
  buffer = io.BytesIO()
  image = array if isinstance(array, Image.Image) else Image.fromarray(array)
  (image.convert(mode) if mode else image).save(buffer, fmt, **options)
  return buffer.getvalue()


@pytest.mark.parametrize('fmt', ['PNG', 'BMP', 'TIFF'])
def test_lossless_rgb_is_exact(fmt):
  rgb = picture()
  assert (files.decode_image(encoded(rgb, fmt)) == rgb).all()


@pytest.mark.parametrize('fmt', ['JPEG', 'WEBP'])
def test_lossy_rgb_has_its_channels_in_order(fmt):
  red = np.zeros((16, 16, 3), np.uint8)
  red[..., 0] = 255
  got = files.decode_image(encoded(red, fmt))
  assert got.shape == red.shape and got.dtype == np.uint8
  assert abs(got.astype(int) - red).max() < 20


@pytest.mark.parametrize('mode', ['L', 'RGBA', 'LA', 'P', '1'])
def test_any_mode_becomes_rgb(mode):
  got = files.decode_image(encoded(picture(), mode=mode))
  assert got.shape == (24, 40, 3) and got.dtype == np.uint8


def test_sixteen_bits_become_eight():
  grey = np.full((4, 5), 0x8123, np.uint16)
  assert (files.decode_image(encoded(grey)) == 0x81).all()


def test_exif_orientation_only_on_request():
  exif = Image.Exif()
  exif[0x0112] = 6
  data = encoded(picture(24, 40), 'JPEG', exif=exif)
  assert files.header(data).orientation == 6
  assert files.decode_image(data).shape == (24, 40, 3)
  assert files.decode_image(data, upright=True).shape == (40, 24, 3)


@pytest.mark.filterwarnings('ignore:Corrupt EXIF')
def test_broken_exif_is_no_reason_to_refuse_a_picture():
  exif = b'Exif\0\0II*\0' + b'\xff' * 30
  data = encoded(picture(), 'JPEG', exif=exif)
  assert files.header(data).orientation == 1
  assert files.decode_image(data).shape == (24, 40, 3)


@pytest.mark.parametrize('fmt', ['JPEG', 'PNG', 'WEBP', 'BMP', 'TIFF'])
@pytest.mark.parametrize('share', [0.05, 0.5, 0.95])
def test_truncated_is_an_error(fmt, share, tmp_path):
  data = encoded(picture(200, 300), fmt)
  path = tmp_path / f'cut.{fmt.lower()}'
  path.write_bytes(data[: int(len(data) * share)])
  with pytest.raises(DataError, match='cut') as error:
    files.read_image(path)
  assert error.value.kind in ('damaged file', 'not a picture')


def test_truncated_jpeg_is_what_imread_would_let_through(tmp_path):
  # Why `files` decodes from memory; if this fails OpenCV has become stricter.
  data = encoded(picture(200, 300), 'JPEG')
  path = tmp_path / 'cut.jpg'
  path.write_bytes(data[: len(data) // 2])
  assert cv2.imread(str(path)) is not None


def test_progressive_and_zero_filled_jpeg():
  data = encoded(picture(200, 300), 'JPEG', progressive=True)
  with pytest.raises(DataError):
    files.decode_image(data[: int(len(data) * 0.9)])
  data = encoded(picture(200, 300), 'JPEG')
  with pytest.raises(DataError):
    files.decode_image(data[:5000] + bytes(len(data) - 5000))


def test_jpeg_with_a_thumbnail_or_something_behind_its_end():
  thumbnail = b'Exif\0\0' + encoded(picture(8, 8), 'JPEG')
  data = encoded(picture(200, 300), 'JPEG', exif=thumbnail)
  assert files.decode_image(data + b'maker notes').shape == (200, 300, 3)
  with pytest.raises(DataError):
    files.decode_image(data[:9000] + bytes(len(data) - 9000))


def test_flipped_bit_in_a_png():
  data = bytearray(encoded(picture()))
  data[len(data) // 2] ^= 4
  with pytest.raises(DataError, match='damaged'):
    files.decode_image(bytes(data))


def test_missing_empty_text_and_folder_are_told_apart(tmp_path):
  (tmp_path / 'empty.png').write_bytes(b'')
  (tmp_path / 'text.png').write_text('no picture')
  cases = {
    'absent.png': 'missing file',
    'empty.png': 'damaged file',
    'text.png': 'not a picture',
    '.': 'unreadable file',
  }
  for name, kind in cases.items():
    with pytest.raises(DataError) as error:
      files.read_image(tmp_path / name)
    assert error.value.kind == kind, name
    assert str(tmp_path) in str(error.value)


def test_decompression_bomb_is_refused_by_its_header():
  data = bytearray(encoded(np.zeros((4, 4), np.uint8)))
  data[16:24] = (30000).to_bytes(4, 'big') * 2  # IHDR: 900 million pixels
  import zlib

  data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, 'big')
  with pytest.raises(DataError, match='refused before decoding') as error:
    files.decode_image(bytes(data))
  assert error.value.kind == 'too large'


def test_mask_is_read_as_indices():
  ids = np.random.default_rng(0).integers(0, 16, (24, 40), np.uint8)
  palette = Image.fromarray(ids, 'P')
  palette.putpalette(list(range(255, 255 - 48, -1)))
  for data in (encoded(ids), encoded(palette), encoded(palette, bits=4)):
    got = files.decode_mask(data)
    assert got.dtype == np.uint8 and (got == ids).all()
  for fmt in ('BMP', 'TIFF'):
    assert (files.decode_mask(encoded(ids, fmt)) == ids).all()


def test_mask_of_few_bits_is_not_stretched():
  two = np.random.default_rng(0).integers(0, 2, (8, 9), np.uint8)
  data = encoded(Image.fromarray(two * 255).convert('1'))
  assert (files.decode_mask(data) == two).all()
  # Four grey bits, written by hand: Pillow can't.
  import struct
  import zlib

  def chunk(name, body):
    crc = zlib.crc32(name + body)
    return struct.pack('>I', len(body)) + name + body + struct.pack('>I', crc)

  rows = b''.join(b'\0' + bytes([0x01, 0x2F]) for _ in range(3))
  data = b'\x89PNG\r\n\x1a\n'
  data += chunk(b'IHDR', struct.pack('>IIBBBBB', 4, 3, 4, 0, 0, 0, 0))
  data += chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')
  assert files.decode_mask(data).tolist() == [[0, 1, 2, 15]] * 3


def test_sixteen_bit_instances_and_disparity(tmp_path):
  raw = np.array([[0, 1, 257], [26001, 7, 65535]], np.uint16)
  path = tmp_path / 'x.png'
  cv2.imwrite(str(path), raw)
  instance = files.read_instance(path)
  assert instance.dtype == np.int32 and (instance == raw).all()
  disparity = files.read_disparity(path)
  assert disparity.dtype == np.float32
  assert np.isnan(disparity[0, 0])
  np.testing.assert_allclose(disparity[0, 1:], [0, 1])
  np.testing.assert_allclose(disparity[1, 2], 65534 / 256)


def test_colour_mask_says_how_to_convert():
  ids = np.array([[0, 1], [255, 0]], np.uint8)
  table = np.zeros((256, 3), np.uint8)
  for label in INFO.labels:
    table[label.label_id] = label.colour
  rgb = table[ids]
  with pytest.raises(DataError, match='colours_to_ids') as error:
    files.decode_mask(encoded(rgb), 'm.png', INFO)
  assert error.value.kind == 'colour mask'
  assert 'those of the class table' in error.value.fix
  assert (colours.colours_to_ids(rgb, INFO) == ids).all()
  with pytest.raises(DataError, match=r'\(1, 2, 3\)'):
    colours.colours_to_ids(np.full((2, 2, 3), [1, 2, 3], np.uint8), INFO)
  grey = np.repeat(ids[..., None], 3, -1)
  with pytest.raises(DataError, match='save one of them'):
    files.decode_mask(encoded(grey), 'm.png', INFO)


def test_jpeg_mask_and_float_mask_are_errors():
  with pytest.raises(DataError, match='JPEG'):
    files.decode_mask(encoded(np.zeros((8, 8), np.uint8), 'JPEG'))
  with pytest.raises(DataError, match='float32'):
    files.decode_mask(encoded(np.zeros((8, 8), np.float32), 'TIFF'))
