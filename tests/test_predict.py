"""Prediction: any picture, and nothing outside of the output folder."""

import functools
import pathlib
import threading

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageOps

from deeplax import picture_paths, predict, sharding
from deeplax.data.datasets import cityscapes
from deeplax.errors import RunError
from deeplax.predictor import Predictor, evaluation_padding, evaluation_size

INFO = cityscapes.INFO


class Net(nn.Module):
  """Each pixel's class is its red value / 13: void, 19, from 247 on."""

  @nn.compact
  def __call__(self, image, *, train):
    scale = self.param('scale', nn.initializers.ones, ())
    red = jnp.floor(image[..., :1].astype(jnp.float32) / 13)
    return -jnp.abs(red - jnp.arange(20) * scale), {}


@functools.cache
def predictor(**options):
  net = Net()
  variables = net.init(
    jax.random.key(0), np.zeros((1, 4, 4, 3), np.uint8), train=False
  )
  return Predictor(net, variables, INFO, **options)


def picture(height=9, width=14):
  """Every row and column differs, so that a turned one shows."""
  red = np.arange(height * width).reshape(height, width) * 255
  red = (red // (height * width - 1)).astype(np.uint8)
  return np.stack([red, 255 - red, red // 2], -1)


def expected(image):
  classes = image[..., 0] // 13
  return np.where(classes < 19, classes, 255).astype(np.uint8)


def test_rows_on_several_devices():
  """9 rows on 4 devices."""
  mesh = sharding.make_mesh(1, 4, jax.devices()[:4])
  np.testing.assert_array_equal(
    predictor(mesh=mesh)(picture()), expected(picture())
  )


def save(path, image, **options):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(image).save(path, **options)
  return path


def run(inputs, output, formats=('train_id',), **options):
  pictures = picture_paths.find([str(i) for i in inputs], output)
  return predict.predict_pictures(
    predictor(), pictures, pathlib.Path(output), INFO, formats, **options
  )


def read(path):
  return np.asarray(Image.open(path))


def files_below(folder):
  found = pathlib.Path(folder).rglob('*')
  return sorted(str(p.relative_to(folder)) for p in found if p.is_file())


def test_all_formats_agree(tmp_path):
  image = picture()
  save(tmp_path / 'in' / 'a.png', image)
  result = run([tmp_path / 'in'], tmp_path / 'out', predict.FORMATS)
  assert len(result.written) == 4 and not result.failed
  out = tmp_path / 'out'
  pred = read(out / 'a_train_id.png')
  np.testing.assert_array_equal(pred, expected(image))
  assert (pred == 255).any()
  label_id = read(out / 'a_label_id.png')
  np.testing.assert_array_equal(INFO.train_to_label[pred], label_id)
  assert (label_id[pred == 255] == 0).all()
  colours = read(out / 'a_color.png')
  np.testing.assert_array_equal(colours, INFO.palette[pred])
  mixture = 0.35 * image + 0.65 * colours
  assert np.abs(read(out / 'a_overlay.png') - mixture).max() <= 0.5 + 1e-9


def test_pictures_of_every_kind_and_size(tmp_path):
  image = picture(11, 7)
  grey = image[..., 0]
  folder = tmp_path / 'in'
  save(folder / 'rgb.png', image)
  save(folder / 'grey.png', grey)
  alpha = np.concatenate([image, np.full((11, 7, 1), 99, np.uint8)], -1)
  save(folder / 'alpha.png', alpha)
  save(folder / 'deep.png', grey.astype(np.uint16) * 257)
  Image.fromarray(image).convert('P').save(folder / 'palette.png')
  Image.fromarray(image).convert('CMYK').save(folder / 'cmyk.jpg')
  save(folder / 'one.png', picture(1, 2)[:, :1])
  result = run([folder], tmp_path / 'out')
  assert not result.failed and len(result.written) == 7
  for name in ('rgb', 'grey', 'alpha', 'deep'):
    got = read(tmp_path / 'out' / f'{name}_train_id.png')
    np.testing.assert_array_equal(got, expected(image))
  for name in ('palette', 'cmyk'):
    assert read(tmp_path / 'out' / f'{name}_train_id.png').shape == (11, 7)
  assert read(tmp_path / 'out' / 'one_train_id.png').shape == (1, 1)


def test_bad_pictures_are_reported_and_skipped(tmp_path):
  folder = tmp_path / 'in'
  save(folder / 'good.png', picture())
  save(folder / 'torn.jpg', picture(64, 64))
  data = (folder / 'torn.jpg').read_bytes()
  (folder / 'torn.jpg').write_bytes(data[: len(data) // 2])
  (folder / 'text.png').write_text('not a picture')
  (folder / 'empty.png').touch()
  result = run([folder], tmp_path / 'out')
  assert [p.name for p in result.written] == ['good_train_id.png']
  names = sorted(p.name for p in result.failed)
  assert names == ['empty.png', 'text.png', 'torn.jpg']
  assert all(p.name in message for p, message in result.failed.items())


@pytest.mark.parametrize('suffix', ['jpg', 'png'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_exif_orientation(tmp_path, orientation, suffix):
  # A network that tells up from down: it sees the picture upright, and the
  # result lies on the stored pixels.
  seen = []

  class Rows:
    def apply(self, variables, image, *, train):
      seen.append(image.shape[1:3])
      rows = jnp.arange(image.shape[1])[:, None, None]
      scores = -jnp.abs(rows - jnp.arange(12.0))
      return jnp.broadcast_to(scores, (*image.shape[:3], 12)), {}

  upright_rows = Predictor(Rows(), {}, INFO)
  path = tmp_path / 'in' / f'photo.{suffix}'
  exif = Image.Exif()
  exif[0x0112] = orientation
  save(path, picture(6, 9), exif=exif)
  predict.predict_pictures(
    upright_rows, {path: 'photo'}, tmp_path, INFO, ['train_id']
  )
  assert seen == [(9, 6) if orientation >= 5 else (6, 9)]
  with Image.open(tmp_path / 'photo_train_id.png') as result:
    assert result.size == (9, 6)
    assert result.getexif().get(0x0112, 1) == orientation
    # Turned upright, rows are counted from the top again.
    turned = np.asarray(ImageOps.exif_transpose(result))
  np.testing.assert_array_equal(turned[:, 0], np.arange(turned.shape[0]))
  assert (turned == turned[:, :1]).all()


def test_equal_names_do_not_overwrite_each_other(tmp_path):
  paths = [
    save(tmp_path / name, np.full((4, 4, 3), 13 * i, np.uint8))
    for i, name in enumerate(
      ('a/x.png', 'b/x.png', 'b/X.bmp', 'c/a/x.png', 'd/y.png')
    )
  ]
  result = run(paths, tmp_path / 'out')
  assert len({str(p).lower() for p in result.written}) == 5
  for i, path in enumerate(result.written):
    assert (read(path) == i).all()
  assert (tmp_path / 'out' / 'y_train_id.png').exists()


def test_folders_keep_their_tree_and_own_results_are_no_input(tmp_path):
  folder = tmp_path / 'in'
  save(folder / 'b' / '1.png', picture())
  save(folder / '1.JPG', picture())
  for _ in range(2):  # the output lies inside of the input
    run([folder], folder / 'out')
  assert files_below(folder / 'out') == ['1_train_id.png', 'b/1_train_id.png']


def test_patterns_commas_and_repetition(tmp_path):
  for name in ('a.png', 'b.png', 'c,d.png'):
    save(tmp_path / name, picture())
  pattern = f'{tmp_path}/[ab].png,{tmp_path}/a.png'
  found = picture_paths.find([pattern, f'{tmp_path}/c,d.png'], tmp_path / 'o')
  assert [p.name for p in found] == ['a.png', 'b.png', 'c,d.png']


@pytest.mark.parametrize('text', ['nothing.png', '*.gif', 'empty'])
def test_nothing_to_predict(tmp_path, text):
  (tmp_path / 'empty').mkdir()
  (tmp_path / 'empty' / 'notes.txt').touch()
  with pytest.raises(RunError, match='--input'):
    picture_paths.find([f'{tmp_path}/{text}'], tmp_path / 'out')


def test_nothing_is_written_outside_of_the_output(tmp_path):
  save(tmp_path / 'in' / 'sub' / 'a.png', picture())
  elsewhere, out = tmp_path / 'elsewhere', tmp_path / 'out'
  elsewhere.mkdir()
  out.mkdir()
  (out / 'sub').symlink_to(elsewhere)
  with pytest.raises(RunError, match='leads out'):
    run([tmp_path / 'in'], out)
  assert not list(elsewhere.iterdir())
  # A link in the place of a result is replaced, not followed.
  secret = elsewhere / 'secret'
  secret.write_text('mine')
  (out / 'a_train_id.png').symlink_to(secret)
  run([tmp_path / 'in' / 'sub' / 'a.png'], out)
  assert secret.read_text() == 'mine'
  # Dots in names are names.
  save(tmp_path / 'odd' / '...png', picture(), format='PNG')
  run([tmp_path / 'odd'], out)
  assert not list(tmp_path.glob('*_train_id.png'))


def test_an_input_is_never_overwritten(tmp_path):
  save(tmp_path / 'a.png', picture())
  save(tmp_path / 'a_train_id.png', picture())
  inputs = [tmp_path / 'a.png', tmp_path / 'a_train_id.png']
  with pytest.raises(RunError, match='overwritten'):
    run(inputs, tmp_path)
  with pytest.raises(RunError, match='same folder'):
    run([tmp_path], tmp_path)


def test_network_sees_the_size_of_evaluation():
  ops = 'pad_to_multiple(16)|resize_image(8, 12)'
  assert evaluation_size(ops) == (8, 12)
  assert evaluation_size('') is None
  image = np.zeros((16, 24, 3), np.uint8)
  image[:, 12:] = 130
  pred = predictor(resize_to=(8, 12))(image)
  assert pred.shape == (16, 24)
  assert (pred[:, :10] == 0).all() and (pred[:, 14:] == 10).all()


def test_network_sees_the_padding_of_evaluation():
  ops = 'pad_to_multiple(3)|pad_aligned(16)'
  assert evaluation_padding(ops) == 'pad_aligned(k=16)'
  assert evaluation_padding('resize_image(8, 12)') == ''
  seen = []

  class Spy:
    def apply(self, variables, image, *, train):
      seen.append(image.shape)
      return image.astype(np.float32), {}

  spy = Predictor(Spy(), {}, INFO, padding='pad_to_multiple(16)')
  image = picture(9, 20)
  pred = spy(image)
  assert seen == [(1, 16, 32, 3)]
  np.testing.assert_array_equal(pred, np.argmax(image, -1))


def test_one_compilation_a_size():
  one = Predictor(Net(), {'params': {'scale': np.float32(1)}}, INFO, flip=True)
  for height in (5, 6, 5):
    one(picture(height, 8))
  assert one._predict._cache_size() == 2


def test_unknown_format(tmp_path):
  with pytest.raises(RunError, match=r"'mask'.*overlay,color,train_id"):
    predict.predict_run(tmp_path, ['x'], tmp_path, formats=['mask'])


def test_a_link_to_itself_is_a_bad_picture(tmp_path):
  save(tmp_path / 'in' / 'good.png', picture())
  (tmp_path / 'in' / 'loop.png').symlink_to('loop.png')
  result = run([tmp_path / 'in'], tmp_path / 'out')
  assert [p.name for p in result.written] == ['good_train_id.png']
  assert [p.name for p in result.failed] == ['loop.png']


def test_the_output_is_tried_before_anything_is_compiled(tmp_path):
  (tmp_path / 'file').write_text('')
  for folder in (tmp_path / 'file', tmp_path / 'file' / 'below'):
    with pytest.raises(RunError, match=r'--output .* can not be written'):
      picture_paths.make(folder)


@pytest.mark.parametrize('batch_size', [1, 3])
def test_a_folder_of_mixed_sizes(tmp_path, batch_size, caplog):
  folder, out = tmp_path / 'in', tmp_path / 'out'
  sizes = [(9, 14), (11, 7), (9, 14), (5, 5), (11, 7), (9, 14), (9, 14)] * 5
  for i, size in enumerate(sizes):
    image = picture(*size)
    image[..., 0] += np.uint8(i)  # all differ
    save(folder / f'{i:02}.png', image)
  for i in (3, 20):
    (folder / f'{i:02}.png').write_text('torn')
  result = run([folder], out, ('train_id', 'color'), batch_size=batch_size)
  good = [i for i in range(35) if i not in (3, 20)]
  # In the order of the input, whichever batch they were in.
  assert [p.name for p in result.written] == [
    f'{i:02}_{kind}.png' for i in good for kind in ('train_id', 'color')
  ]
  assert (result.pictures, len(result.failed)) == (33, 2)
  assert files_below(out) == sorted(p.name for p in result.written)
  skipped = [r.getMessage() for r in caplog.records]
  assert [name in m for name, m in zip(('03.png', '20.png'), skipped)] == [
    True,
    True,
  ]
  for i in good:
    pred = read(out / f'{i:02}_train_id.png')
    np.testing.assert_array_equal(pred, expected(read(folder / f'{i:02}.png')))
    colours = read(out / f'{i:02}_color.png')
    np.testing.assert_array_equal(colours, INFO.palette[pred])


def whole_pictures_only(folder):
  """How many PNGs are there; all of them whole, and nothing else."""
  names = files_below(folder)
  assert all(name.endswith('.png') for name in names)
  return sum(read(folder / name).size > 0 for name in names)


@pytest.mark.parametrize('broken', ['00', '20', '39'])
def test_a_result_that_can_not_be_written(tmp_path, monkeypatch, broken):
  folder, out = tmp_path / 'in', tmp_path / 'out'
  for i in range(40):
    save(folder / f'{i:02}.png', picture())
  save_picture = Image.Image.save

  def full(self, file, *args, **options):
    save_picture(self, file, *args, **options)
    if pathlib.Path(file.name).name.startswith(broken):
      raise OSError(28, 'No space left on device')

  monkeypatch.setattr(Image.Image, 'save', full)
  with pytest.raises(
    RunError, match=rf'{broken}_train_id\.png .*No space left'
  ):
    run([folder], out)
  assert not list(out.glob(f'{broken}*'))
  # All that was begun before is done.
  names = [f'{i:02}_train_id.png' for i in range(int(broken))]
  assert {*names} <= {*files_below(out)}
  assert whole_pictures_only(out) < 40


def test_results_appear_at_once(tmp_path, monkeypatch):
  save(tmp_path / 'in' / 'a.png', picture())
  save_picture, there = Image.Image.save, []

  def slow(self, file, *args, **options):
    there.append(files_below(tmp_path / 'out'))
    save_picture(self, file, *args, **options)
    there.append(files_below(tmp_path / 'out'))

  monkeypatch.setattr(Image.Image, 'save', slow)
  run([tmp_path / 'in'], tmp_path / 'out')
  assert there == 2 * [['a_train_id.png.part']]
  assert files_below(tmp_path / 'out') == ['a_train_id.png']


def test_an_interrupt_leaves_whole_files(tmp_path):
  folder, out = tmp_path / 'in', tmp_path / 'out'
  for i in range(60):
    save(folder / f'{i:02}.png', picture())
  plain = predictor()

  class Interrupted:
    shapes = frozenset()
    num_classes, largest_scale = plain.num_classes, plain.largest_scale
    prepare, finish = plain.prepare, plain.finish
    count = 0

    def start(self, images, size):
      self.count += 1
      if self.count == 30:
        raise KeyboardInterrupt
      return plain.start(images, size)

  pictures = picture_paths.find([str(folder)], out)
  before = threading.active_count()
  with pytest.raises(KeyboardInterrupt):
    predict.predict_pictures(Interrupted(), pictures, out, INFO, ['train_id'])
  assert threading.active_count() == before
  assert whole_pictures_only(out) <= 28


@pytest.mark.parametrize('where', ['read', 'write_png'])
def test_what_goes_wrong_in_a_thread_names_the_picture(
  tmp_path, monkeypatch, where
):
  save(tmp_path / 'in' / 'a.png', picture())

  def broken(*_):
    raise MemoryError('no room')

  monkeypatch.setattr(predict.picture_files, where, broken)
  with pytest.raises(MemoryError, match='no room') as caught:
    run([tmp_path / 'in'], tmp_path / 'out')
  assert 'a.png' in caught.value.__notes__[0]
