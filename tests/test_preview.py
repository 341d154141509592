"""launch/prepare.py --preview: what it draws is what the network gets."""

import itertools
import pathlib
import subprocess
import sys

import cv2
import numpy as np
import pytest

from deeplax import contact_sheet, data, objective, preview
from deeplax.data import pipeline
from deeplax.errors import ConfigError
from tests.checks import small_network as small
from tests.checks.looking import is_in

ROOT = pathlib.Path(__file__).resolve().parents[1]
OPS = (
  'random_scale(0.5, 2.0)|class_crop(20, 28)|random_flip()|cutmix(0.5)'
  '|paste_rare(0.5, 0.2)|photometric()'
)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  """A folder with void in every mask."""

  def label(mask, rng):
    mask[:3] = 255
    return mask

  return small.write(tmp_path_factory.mktemp('preview') / 'mine', label=label)


def read(path):
  return cv2.imread(str(path))[..., ::-1]


def crops_of(root, **options):
  """Images and labels of training batches, one after the other."""
  source = data.source('folder', 'train', root)
  given = dict(ops=OPS, batch_size=4, seed=0) | options
  with pipeline.train_batches(source, **given) as batches:
    for batch in itertools.islice(batches, 4):
      images = np.asarray(objective.image(batch))
      ids = [source[int(i)]['id'] for i in batch['index']]
      yield from zip(images, batch['label'], ids)


@pytest.mark.parametrize('seed, batch_size', [(0, 4), (3, 4), (0, 5)])
def test_a_config_shows_the_pixels_of_its_batches(
  root, tmp_path, seed, batch_size
):
  config = small.config(
    root, **{'input.train': OPS, 'seed': seed, 'batch_size': batch_size}
  )
  words = preview.preview(config, '', '', (), '', tmp_path / 'x.png')
  sheet = read(tmp_path / 'x.png')
  crops = list(crops_of(root, seed=seed, batch_size=batch_size))
  palette = data.info('folder', root).palette
  for image, label, _ in crops[: preview.CROPS]:
    assert is_in(image, sheet)
    assert is_in(contact_sheet.overlaid(image, label, palette), sheet)
  assert not is_in(crops[preview.CROPS][0], sheet)
  assert f'first {preview.CROPS} crops of training, 20x28' in words
  void = np.mean([label == 255 for _, label, _ in crops[: preview.CROPS]])
  assert f'{void:.1%} of their pixels are void' in words


def test_what_a_device_distorts_is_the_same_to_rounding(root):
  """The colours that the network gets on an accelerator are drawn, too."""
  batches = pipeline.train_batches(
    data.source('folder', 'train', root),
    ops=OPS,
    batch_size=4,
    seed=0,
    photometric_on_device=True,
  )
  with batches:
    shown = list(
      itertools.islice(
        preview.crops(batches, data.source('folder', 'train', root)), 8
      )
    )
  for crop, (image, label, name) in zip(shown, crops_of(root)):
    assert crop.title == name and (crop.label == label).all()
    assert np.abs(crop.image.astype(int) - image).max() <= 2
  plain = next(iter(crops_of(root, ops=OPS.replace('|photometric()', ''))))
  assert np.abs(shown[0].image.astype(int) - plain[0]).max() > 2


def test_data_without_a_config(root, tmp_path):
  words = preview.preview(
    None, 'folder', str(root), ['train'], OPS, tmp_path / 'a.png'
  )
  assert OPS in words
  sheet = read(tmp_path / 'a.png')
  assert all(is_in(c[0], sheet) for c in itertools.islice(crops_of(root), 8))
  words = preview.preview(
    None, 'folder', str(root), ['train'], '', tmp_path / 'b.png'
  )
  assert 'random_crop(32, 32)' in words


def test_void_is_striped_and_classes_are_seen_through():
  image = np.full((16, 16, 3), 100, np.uint8)
  label = np.zeros((16, 16), np.uint8)
  label[8:] = 255
  palette = np.zeros((256, 3), np.uint8)
  palette[0] = (200, 0, 0)
  drawn = contact_sheet.overlaid(image, label, palette)
  assert (drawn[:8] == (150, 50, 50)).all()
  assert len(np.unique(drawn[8:].reshape(-1, 3), axis=0)) == 2


def test_large_crops_are_shrunk_and_titles_are_cut():
  crop = contact_sheet.Crop(
    np.full((400, 800, 3), 77, np.uint8),
    np.zeros((400, 800), np.uint8),
    'folder/' * 40 + 'end',
  )
  palette = np.zeros((256, 3), np.uint8)
  sheet = contact_sheet.sheet([crop] * 3, ['a'], palette)
  assert is_in(np.full((160, 320, 3), 77, np.uint8), sheet)
  assert sheet.shape[0] < 500 and sheet.shape[1] < 1600


def test_what_can_not_be_drawn(root, tmp_path):
  output = tmp_path / 'x.png'

  def draw(config=None, data_dir='', ops='', output=output):
    preview.preview(config, 'folder', data_dir, ['train'], ops, output)

  with pytest.raises(ConfigError, match='one size'):
    draw(data_dir=str(root), ops='random_flip()')
  with pytest.raises(ConfigError, match='unknown operation'):
    draw(data_dir=str(root), ops='turn()')
  with pytest.raises(ConfigError, match='is a folder'):
    draw(data_dir=str(root), output=str(tmp_path))
  with pytest.raises(ConfigError, match=r'--config\.dataset\.dir='):
    draw(small.config(root), data_dir=str(root))
  with pytest.raises(data.DataError, match='does not exist'):
    draw(data_dir=str(tmp_path / 'absent'))
  assert not list(tmp_path.iterdir())


def test_the_command(root, tmp_path):
  words = [
    '--preview',
    f'--config={ROOT}/configs/folder.py',
    f'--config.dataset.dir={root}',
    '--config.mesh.data=1',
  ]
  done = subprocess.run(
    [sys.executable, str(ROOT / 'launch/prepare.py'), *words],
    capture_output=True,
    text=True,
    cwd=tmp_path,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  assert 'preview.png' in done.stdout and 'random_crop(32, 32)' in done.stdout
  assert (tmp_path / 'preview.png').exists()
