"""Cityscapes: 19 trained classes of street scenes, 1024 x 2048.

Tree, as the official archives unpack:

  leftImg8bit/{split}/{city}/{id}_leftImg8bit.png
  gtFine/{split}/{city}/{id}_gtFine_labelIds.png
  gtFine/{split}/{city}/{id}_gtFine_instanceIds.png   (extra 'instance')
  disparity/{split}/{city}/{id}_disparity.png         (extra 'disparity')

Splits are train (2975), val (500) and test (1525). The labels of test are not
public (its archive holds dummies, void throughout), so asking for it is an
error that says how to predict it for the benchmark's server.

Cordts et al., The Cityscapes Dataset for Semantic Urban Scene Understanding,
CVPR 2016. Class table: `cityscapesscripts/helpers/labels.py`.
"""

import os
from collections.abc import Sequence

from deeplax.data import files
from deeplax.data.errors import DataError, first_few, missing_data
from deeplax.data.info import IGNORE_LABEL, DatasetInfo, Label
from deeplax.data.pairs import Files, FileSource, pair, to_train_ids

_VOID = IGNORE_LABEL

# fmt: off
LABELS = (
  # name, label id, train id, category, colour, has instances
  Label('unlabeled', 0, _VOID, 'void', (0, 0, 0)),
  Label('ego vehicle', 1, _VOID, 'void', (0, 0, 0)),
  Label('rectification border', 2, _VOID, 'void', (0, 0, 0)),
  Label('out of roi', 3, _VOID, 'void', (0, 0, 0)),
  Label('static', 4, _VOID, 'void', (0, 0, 0)),
  Label('dynamic', 5, _VOID, 'void', (111, 74, 0)),
  Label('ground', 6, _VOID, 'void', (81, 0, 81)),
  Label('road', 7, 0, 'flat', (128, 64, 128)),
  Label('sidewalk', 8, 1, 'flat', (244, 35, 232)),
  Label('parking', 9, _VOID, 'flat', (250, 170, 160)),
  Label('rail track', 10, _VOID, 'flat', (230, 150, 140)),
  Label('building', 11, 2, 'construction', (70, 70, 70)),
  Label('wall', 12, 3, 'construction', (102, 102, 156)),
  Label('fence', 13, 4, 'construction', (190, 153, 153)),
  Label('guard rail', 14, _VOID, 'construction', (180, 165, 180)),
  Label('bridge', 15, _VOID, 'construction', (150, 100, 100)),
  Label('tunnel', 16, _VOID, 'construction', (150, 120, 90)),
  Label('pole', 17, 5, 'object', (153, 153, 153)),
  Label('polegroup', 18, _VOID, 'object', (153, 153, 153)),
  Label('traffic light', 19, 6, 'object', (250, 170, 30)),
  Label('traffic sign', 20, 7, 'object', (220, 220, 0)),
  Label('vegetation', 21, 8, 'nature', (107, 142, 35)),
  Label('terrain', 22, 9, 'nature', (152, 251, 152)),
  Label('sky', 23, 10, 'sky', (70, 130, 180)),
  Label('person', 24, 11, 'human', (220, 20, 60), True),
  Label('rider', 25, 12, 'human', (255, 0, 0), True),
  Label('car', 26, 13, 'vehicle', (0, 0, 142), True),
  Label('truck', 27, 14, 'vehicle', (0, 0, 70), True),
  Label('bus', 28, 15, 'vehicle', (0, 60, 100), True),
  Label('caravan', 29, _VOID, 'vehicle', (0, 0, 90), True),
  Label('trailer', 30, _VOID, 'vehicle', (0, 0, 110), True),
  Label('train', 31, 16, 'vehicle', (0, 80, 100), True),
  Label('motorcycle', 32, 17, 'vehicle', (0, 0, 230), True),
  Label('bicycle', 33, 18, 'vehicle', (119, 11, 32), True),
  # Not in any label file: polygons with a negative id are not drawn. Officially
  # its train id is -1, which is void for everyone who trains.
  Label('license plate', -1, _VOID, 'vehicle', (0, 0, 142)),
)
# fmt: on

INFO = DatasetInfo(
  'cityscapes',
  LABELS,
  how_to_get='Register at https://www.cityscapes-dataset.com, download '
  'leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip and unpack both '
  'into one folder.',
)

_IMAGE = '_leftImg8bit.png'
_LABEL = '_gtFine_labelIds.png'
_EXTRAS = {
  'instance': ('gtFine', '_gtFine_instanceIds.png', 'gtFine_trainvaltest.zip'),
  'disparity': (
    'disparity',
    '_disparity.png',
    'disparity_trainvaltest.zip',
  ),
}


def source(
  split: str,
  data_dir: str,
  *,
  extras: Sequence[str] = (),
  strict: bool = True,
) -> FileSource:
  """The pictures of a split, sorted by city and name.

  Args:
    split: `'train'` or `'val'` (or any other folder of that tree).
    data_dir: The folder that holds `leftImg8bit` and `gtFine`.
    extras: Of `'instance'` and `'disparity'`.
    strict: Raise on pictures without a label file, and the reverse.

  Raises:
    DataError: Nothing there, files that don't pair, an unknown extra, or the
      test split, whose labels are not public.
  """
  for extra in extras:
    if extra not in _EXTRAS:
      raise DataError(
        f'cityscapes has no extra {extra!r}.',
        fix=f'There are: {", ".join(_EXTRAS)}.',
        kind='unknown option',
      )
  images = _find(data_dir, 'leftImg8bit', split, _IMAGE)
  if not images:
    pattern = _pattern(data_dir, 'leftImg8bit', split, _IMAGE)
    raise missing_data(
      'cityscapes', pattern + _there(data_dir), INFO.how_to_get
    )
  labels = _find(data_dir, 'gtFine', split, _LABEL)
  if split == 'test' and _is_blank(labels):
    folder = os.path.join(data_dir, 'leftImg8bit', 'test')
    raise DataError(
      'the labels of the Cityscapes test split are not public (there are '
      f'{len(labels)} label files, without one trained class).',
      fix=f'Predict with launch/predict.py --input={folder} '
      '--format=submission and upload its submission.zip to the benchmark; '
      'evaluate on val.',
      kind='no labels',
    )
  if not labels:
    pattern = _pattern(data_dir, 'gtFine', split, _LABEL)
    raise missing_data('cityscapes', pattern, INFO.how_to_get)
  ids, problems = pair(
    images,
    labels,
    name=f'cityscapes {split}',
    rule=f'leftImg8bit/.../X{_IMAGE} goes with gtFine/.../X{_LABEL}.',
    strict=strict,
  )
  found = {extra: _extra(extra, split, data_dir, ids) for extra in extras}
  items = [
    Files(
      os.path.basename(i),
      images[i],
      labels[i],
      {extra: paths[i] for extra, paths in found.items()},
    )
    for i in ids
  ]
  return FileSource(items, INFO, problems)


def _find(data_dir: str, kind: str, split: str, suffix: str) -> dict[str, str]:
  """Path by `city/id` of every file of one kind."""
  folder = os.path.join(data_dir, kind, split)
  found = {}
  if not os.path.isdir(folder):
    return found
  for city in sorted(os.listdir(folder)):
    path = os.path.join(folder, city)
    if not os.path.isdir(path):
      continue
    for name in os.listdir(path):
      # macOS leaves `._x.png` beside x.png on foreign disks.
      if name.endswith(suffix) and not name.startswith('.'):
        key = f'{city}/{name.removesuffix(suffix)}'
        found[key] = os.path.join(path, name)
  return found


def _extra(
  extra: str, split: str, data_dir: str, ids: Sequence[str]
) -> dict[str, str]:
  kind, suffix, archive = _EXTRAS[extra]
  paths = _find(data_dir, kind, split, suffix)
  lost = [i for i in ids if i not in paths]
  if lost:
    raise DataError(
      f'{len(lost)} of {len(ids)} pictures have no {extra}: '
      f'{first_few(lost)}; looked for '
      f'{_pattern(data_dir, kind, split, suffix)}.',
      fix=f'Unpack {archive} there.',
      kind='missing file',
    )
  return paths


def _is_blank(labels: dict[str, str]) -> bool:
  """Whether the first label files hold no trained class (or none are there)."""
  return all(
    (to_train_ids(files.read_mask(labels[i]), INFO, labels[i]) == _VOID).all()
    for i in sorted(labels)[:3]
  )


def _pattern(data_dir: str, kind: str, split: str, suffix: str) -> str:
  return os.path.join(data_dir, kind, split, '*', '*' + suffix)


def _there(data_dir: str) -> str:
  """What is in the folder instead, if that may help."""
  if not os.path.isdir(data_dir):
    return f' (the folder {data_dir} does not exist)'
  inside = os.path.join(data_dir, 'leftImg8bit')
  if os.path.isdir(inside):
    return f' (splits there: {first_few(sorted(os.listdir(inside)))})'
  if os.path.basename(os.path.normpath(data_dir)) == 'leftImg8bit':
    return ' (give the folder above leftImg8bit)'
  return f' (in {data_dir}: {first_few(sorted(os.listdir(data_dir)))})'
