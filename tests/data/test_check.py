"""The label doctor finds each kind of damage, names the file and the fix."""

import json
import pathlib

import cv2
import numpy as np
import pytest
from PIL import Image

from deeplax import data
from deeplax.data.check import check, check_source, class_pixel_counts
from deeplax.data.info import DatasetInfo, Label
from tests.data import trees

CAMVID = pathlib.Path(__file__).parents[3] / 'shared' / 'data' / 'camvid'


def kinds(report, severity=None):
  return [p.kind for p in report.problems if severity in (None, p.severity)]


def labels(root):
  return root / 'train' / 'labels'


def test_sound_data(tmp_path):
  trees.write_folder(tmp_path)
  report = check('folder', 'train', tmp_path)
  assert not report.failed and not report.problems
  assert (report.read, report.total) == (4, 4)
  masks = [trees.ids([0, 1, 2, 255], seed=i) for i in range(4)]
  expected = np.bincount(np.stack(masks).ravel(), minlength=256)
  assert (report.counts == expected).all()
  assert 'no problems found' in str(report)
  for name in ('a', 'b', 'c', 'void'):
    assert f'\n{name} ' in str(report)


def test_ids_out_of_range(tmp_path):
  trees.write_folder(tmp_path)
  trees.write_mask(labels(tmp_path) / '2.png', trees.ids([0, 1, 3, 99]))
  report = check('folder', 'train', tmp_path)
  assert report.failed and kinds(report) == ['ids out of range']
  (problem,) = report.problems
  assert problem.file.endswith('labels/2.png')
  assert '[3, 99]' in problem.found and '0..2, 255' in problem.found
  assert problem.fix


@pytest.mark.parametrize('void', [255, None])
def test_masks_of_0_and_255(tmp_path, void):
  trees.write_folder(tmp_path, classes=('lawn', 'path'))
  for path in labels(tmp_path).iterdir():
    trees.write_mask(path, trees.ids([0, 255]))
  names = {'names': ['lawn', 'path'], 'void_id': void}
  (tmp_path / 'classes.json').write_text(json.dumps(names))
  for sample in (None, 2):
    report = check('folder', 'train', tmp_path, sample=sample)
    assert report.failed
    assert kinds(report, 'error').count('0/255 mask') >= (sample or 4)
    assert '(mask == 255)' in str(report)
    assert 'all-ignore picture' not in kinds(report)


def test_some_masks_of_the_first_class_and_void_are_fine(tmp_path):
  trees.write_folder(tmp_path, count=6)
  for i in range(5):
    trees.write_mask(labels(tmp_path) / f'{i}.png', trees.ids([0, 255]))
  assert not check('folder', 'train', tmp_path).failed
  for seed in range(4):  # even where the sample holds no others
    assert not check('folder', 'train', tmp_path, sample=1, seed=seed).failed


def test_colour_masks(tmp_path):
  trees.write_folder(tmp_path)
  info = data.info('folder', tmp_path)
  rgb = info.palette[trees.ids([0, 1, 2])]
  trees.write_mask(labels(tmp_path) / '0.png', rgb[..., ::-1])
  report = check('folder', 'train', tmp_path)
  assert kinds(report) == ['colour mask'] and report.failed
  assert 'colours_to_ids' in report.problems[0].fix


def test_palette_png_is_at_most_a_note(tmp_path):
  trees.write_folder(tmp_path)
  for i, values in enumerate(([0, 1, 2], [0, 1, 77])):
    image = Image.fromarray(trees.ids(values), 'P')
    image.putpalette(list(range(256)) * 3)
    image.save(labels(tmp_path) / f'{i}.png')
  report = check('folder', 'train', tmp_path)
  assert kinds(report, 'note') == ['palette PNG'] * 2
  assert kinds(report, 'error') == ['ids out of range']


def test_size_mismatch(tmp_path):
  trees.write_folder(tmp_path)
  trees.write_mask(labels(tmp_path) / '0.png', trees.ids([0], 48, 64))
  report = check('folder', 'train', tmp_path)
  assert kinds(report) == ['size mismatch'] and report.failed
  assert '48x64' in str(report) and '24x32' in str(report)


def test_unreadable_files_both_of_a_pair(tmp_path):
  trees.write_folder(tmp_path)
  picture = tmp_path / 'train/images/0.png'
  picture.write_bytes(picture.read_bytes()[:300])
  (labels(tmp_path) / '0.png').write_bytes(b'')
  (labels(tmp_path) / '1.png').write_text('no picture')
  report = check('folder', 'train', tmp_path)
  assert kinds(report) == ['damaged file', 'damaged file', 'not a picture']
  assert report.failed
  assert {pathlib.Path(p.file).parent.name for p in report.problems} == {
    'images',
    'labels',
  }


def test_all_ignore_pictures(tmp_path):
  trees.write_folder(tmp_path)
  trees.write_mask(labels(tmp_path) / '3.png', trees.ids([255]))
  report = check('folder', 'train', tmp_path)
  assert kinds(report, 'error') == ['all-ignore picture']
  assert report.problems[0].file.endswith('3.png')
  sampled = check('folder', 'train', tmp_path, sample=4)
  assert not sampled.failed
  assert kinds(sampled, 'warning') == ['all-ignore picture']


def test_class_never_seen(tmp_path):
  trees.write_folder(tmp_path)
  names = ['a', 'b', 'c', 'unicorn']
  (tmp_path / 'classes.json').write_text(json.dumps(names))
  report = check('folder', 'train', tmp_path)
  assert report.failed and kinds(report) == ['class never seen']
  assert 'unicorn' in str(report)
  sampled = check('folder', 'train', tmp_path, sample=2)
  assert not sampled.failed and 'of a sample' in str(sampled)


def test_pictures_without_mask_and_the_rest_is_still_checked(tmp_path):
  trees.write_folder(tmp_path)
  (labels(tmp_path) / '0.png').unlink()
  trees.write_mask(labels(tmp_path) / '1.png', trees.ids([0, 9]))
  report = check('folder', 'train', tmp_path)
  assert kinds(report) == ['picture without a mask', 'ids out of range']
  assert report.failed and report.read == 3


def test_turned_pictures_are_a_warning(tmp_path):
  trees.write_folder(tmp_path)
  exif = Image.Exif()
  exif[0x0112] = 3
  picture = tmp_path / 'train/images/0.png'
  Image.open(picture).save(picture.with_suffix('.jpg'), exif=exif)
  picture.unlink()
  report = check('folder', 'train', tmp_path)
  assert kinds(report) == ['EXIF orientation'] and not report.failed


def test_missing_data_set_and_broken_table_are_findings(tmp_path):
  report = check('cityscapes', 'train', tmp_path / 'absent')
  assert report.failed and kinds(report) == ['missing data set']
  (tmp_path / 'classes.json').write_text('[')
  report = check('folder', 'train', tmp_path)
  assert report.failed and kinds(report) == ['class table']


def test_equal_findings_are_listed_together(tmp_path):
  trees.write_folder(tmp_path, count=9)
  for i in range(8):
    trees.write_mask(labels(tmp_path) / f'{i}.png', trees.ids([0, 9]))
  text = str(check('folder', 'train', tmp_path))
  assert 'error: ids out of range (8)' in text
  assert text.count('labels/') == 5 and 'and 3 more' in text
  assert text.count('fix:') == 1


def test_cityscapes_reads_extras_and_ids(tmp_path):
  trees.write_cityscapes(tmp_path)
  assert not check('cityscapes', 'val', tmp_path).failed
  source = data.source('cityscapes', 'val', tmp_path, extras=('instance',))
  path = pathlib.Path(source.files(1).extras['instance'])
  path.write_bytes(path.read_bytes()[:200])
  report = check_source(source, data.info('cityscapes'))
  assert kinds(report) == ['damaged file']
  assert report.problems[0].file == str(path)


class Plain:
  """A source without files."""

  def __init__(self, masks):
    self.masks = masks

  def __len__(self):
    return len(self.masks)

  def __getitem__(self, index):
    if self.masks[index] is None:
      raise data.DataError('broken.', fix='Mend it.', file=f'r{index}')
    mask = self.masks[index]
    image = np.zeros((*mask.shape, 3), np.uint8)
    return {'image': image, 'label': mask, 'id': f'r{index}'}


INFO = DatasetInfo(
  'two',
  (
    Label('a', 7, 0, 'a', (1, 0, 0)),
    Label('b', 8, 1, 'b', (0, 1, 0)),
  ),
)


def test_source_without_files():
  good = trees.ids([0, 1, 255])
  report = check_source(Plain([good, good]), INFO)
  assert not report.problems
  report = check_source(Plain([good, None, trees.ids([0, 1, 2])]), INFO)
  assert kinds(report) == ['data', 'ids out of range']
  assert [p.file for p in report.problems] == ['r1', 'r2']
  stretched = check_source(Plain([trees.ids([0, 255])] * 2), INFO)
  assert '0/255 mask' in kinds(stretched)
  assert check_source(Plain([]), INFO).failed


def test_class_pixel_counts(tmp_path):
  masks = [trees.ids([0, 1, 255], seed=i) for i in range(5)]
  expected = np.bincount(np.stack(masks).ravel(), minlength=256)
  counts = class_pixel_counts(Plain(masks))
  assert counts.dtype == np.int64 and (counts == expected).all()
  assert class_pixel_counts(Plain(masks), 2).sum() == 2 * masks[0].size
  with pytest.raises(data.DataError, match='Mend it'):
    class_pixel_counts(Plain([*masks, None]))
  skipped = class_pixel_counts(Plain([*masks, None]), on_error='skip')
  assert (skipped == expected).all()


def test_counts_read_no_pictures(tmp_path):
  trees.write_folder(tmp_path)
  source = data.source('folder', 'train', tmp_path)
  for path in (tmp_path / 'train/images').iterdir():
    path.unlink()
  assert class_pixel_counts(source).sum() == 4 * 24 * 32


def test_palette_of_opencv_would_have_been_colours(tmp_path):
  # Why palette masks are read with Pillow.
  image = Image.fromarray(trees.ids([0, 1, 2]), 'P')
  image.putpalette(list(range(256)) * 3)
  image.save(tmp_path / 'p.png')
  expanded = cv2.imread(str(tmp_path / 'p.png'), cv2.IMREAD_UNCHANGED)
  assert expanded.ndim == 3


@pytest.mark.skipif(not CAMVID.is_dir(), reason='no CamVid beside the checkout')
def test_camvid_counts_are_those_of_its_makers():
  stats = json.loads((CAMVID / 'classes.json').read_text())['stats']['val']
  report = check('camvid', 'val', CAMVID)
  assert not report.failed and report.read == stats['pairs']
  assert report.counts[:11].tolist() == stats['pixels_per_class']
  assert report.counts[255] == stats['void_pixels']
  counts = class_pixel_counts(data.source('folder', 'val', CAMVID))
  assert (counts == report.counts).all()
