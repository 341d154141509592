"""What the server of the Cityscapes benchmark would find in a submission."""

import fnmatch
import logging
import os
import pathlib
import zipfile

import numpy as np
import pytest
from PIL import Image

from deeplax import picture_paths, predict, submission
from deeplax.data.datasets import camvid
from deeplax.data.info import DatasetInfo, Label
from deeplax.errors import RunError
from tests import videos

IDS = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]


def name(city, number):
  return f'{city}_{number:06}_000019'


@pytest.fixture
def split(tmp_path):
  """A split of Cityscapes' tree: picture i is of class i."""
  folder = tmp_path / 'leftImg8bit' / 'val'
  for i, city in enumerate(('bonn', 'bonn', 'bad-honnef', 'ulm')):
    path = folder / city / f'{name(city, i)}_leftImg8bit.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(videos.frame(i, (24, 32))).save(path)
  return folder


def run(inputs, output, formats=('submission',)):
  """As `predict_run` does, less the run."""
  pictures = picture_paths.find([str(i) for i in inputs], output)
  submission.check(videos.INFO, pictures)
  result = predict.predict_pictures(
    videos.predictor(), pictures, output, videos.INFO, formats
  )
  result.written += submission.pack(output, pictures, result.failed)
  return result


def prediction_of(names, truth):
  """The rule of the official script, from its description.

  For <city>_<sequence>_<frame>_gtFine_labelIds.png it wants exactly one file
  that is called <city>_<sequence>_<frame>*.png.
  """
  city, sequence, frame = truth.split('_')[:3]
  found = fnmatch.filter(names, f'{city}_{sequence}_{frame}*.png')
  assert len(found) == 1, (truth, found)
  return found[0]


def test_the_zip_has_one_prediction_for_each_picture(split, tmp_path):
  out = tmp_path / 'out'
  result = run([split], out, ('label_id', 'submission'))
  assert result.written[-1] == out / 'submission.zip'
  with zipfile.ZipFile(out / 'submission.zip') as archive:
    names = archive.namelist()
    archive.extractall(tmp_path / 'server')
  pictures = sorted(split.glob('*/*.png'))
  assert len(names) == len(pictures) == 4
  assert not any('/' in n for n in names)
  for path in pictures:
    truth = path.name.replace('leftImg8bit', 'gtFine_labelIds')
    found = prediction_of(names, truth)
    with Image.open(tmp_path / 'server' / found) as image:
      assert (image.format, image.mode, image.size) == ('PNG', 'L', (32, 24))
      number = int(path.name.split('_')[1])
      assert (np.asarray(image) == IDS[number]).all()
  # The folder itself is as good for the script, which looks below it, too.
  below = [f for *_, files in os.walk(out / 'submission') for f in files]
  assert sorted(below) == sorted(names)


def test_the_same_predictions_give_the_same_bytes(split, tmp_path):
  first, second = tmp_path / 'a', tmp_path / 'b'
  run([split], first)
  for path in split.glob('*/*.png'):
    os.utime(path, (1, 1))
  run([*sorted(split.glob('*/*.png'), reverse=True)], second)
  zips = [(f / 'submission.zip').read_bytes() for f in (first, second)]
  assert zips[0] == zips[1]


def test_pictures_that_are_missing_are_named(split, tmp_path):
  (lost,) = split.glob('ulm/*.png')
  given = [path for path in split.glob('*/*.png') if path != lost]
  with pytest.raises(RunError, match=rf'1 of the 4 pictures.*{name("ulm", 3)}'):
    run(given, tmp_path / 'out')
  # The other way round nobody knows: a folder of somebody's own.
  folder = tmp_path / 'mine'
  folder.mkdir()
  for path in given:
    path.rename(folder / path.name)
  run([folder], tmp_path / 'out')


def test_an_unusable_picture_leaves_no_zip(split, tmp_path, caplog):
  out = tmp_path / 'out'
  run([split], out)
  (torn,) = split.glob('ulm/*.png')
  torn.write_bytes(torn.read_bytes()[:60])
  result = run([split], out)
  assert list(result.failed) == [torn]
  assert not (out / 'submission.zip').exists()  # the old one neither
  assert '1 predictions are missing' in caplog.text
  assert torn.name in caplog.records[-1].getMessage()


def test_a_picture_that_is_there_twice(split, tmp_path):
  (path,) = split.glob('ulm/*.png')
  again = tmp_path / 'again' / path.name
  again.parent.mkdir()
  again.write_bytes(path.read_bytes())
  with pytest.raises(RunError, match=rf'more than once: .*{path.name}.*again'):
    run([split, again], tmp_path / 'out')


@pytest.mark.parametrize(
  'bad', ['street.png', 'ulm_1_2_leftImg8bit.png', 'ulm_000000_0000191.png']
)
def test_pictures_that_are_not_named_like_cityscapes(split, tmp_path, bad):
  other = tmp_path / bad
  Image.fromarray(videos.frame(0)).save(other)
  with pytest.raises(RunError, match=f'1 pictures are not named.*{bad}'):
    run([split, other], tmp_path / 'out')


def test_two_splits_are_two_submissions(split, tmp_path):
  test = split.parent / 'test' / 'berlin' / f'{name("berlin", 0)}.png'
  test.parent.mkdir(parents=True)
  Image.fromarray(videos.frame(0)).save(test)
  with pytest.raises(RunError, match=r'2 splits, .*test, .*val'):
    run([split.parent], tmp_path / 'out')


def test_an_incomplete_test_split_is_told(split, tmp_path, caplog):
  split.rename(split.parent / 'test')
  with caplog.at_level(logging.WARNING, 'deeplax'):
    run([split.parent / 'test'], tmp_path / 'out')
  assert 'holds 4 pictures, the official split has 1525' in caplog.text


def test_other_classes(split):
  few = DatasetInfo('few', (Label('road', 7, 0, 'flat', (1, 2, 3)),))
  for info in (few, camvid.INFO):
    with pytest.raises(RunError, match='the benchmark wants the 19'):
      submission.check(info, split.glob('*/*.png'))


def test_a_zip_that_can_not_be_written(split, tmp_path, monkeypatch):
  out = tmp_path / 'out'

  def full(*_):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(submission.atomic, 'publish', full)
  with pytest.raises(RunError, match=r'submission\.zip .*No space left'):
    run([split], out)
  assert {p.name for p in out.iterdir()} == {'submission'}


def test_links_in_the_place_of_the_zip_are_replaced(split, tmp_path):
  secret, out = tmp_path / 'secret', tmp_path / 'out'
  secret.write_text('mine')
  out.mkdir()
  for planted in ('submission.zip', '.submission.zip.part'):
    (out / planted).symlink_to(secret)
  run([split], out)
  assert secret.read_text() == 'mine'
  assert zipfile.is_zipfile(out / 'submission.zip')
  assert not pathlib.Path(out / 'submission.zip').is_symlink()
