"""Pascal VOC 2012: background and 20 classes of objects, up to 500 x 500.

Tree, as the official archive unpacks below VOCdevkit/VOC2012:

  JPEGImages/{id}.jpg
  SegmentationClass/{id}.png
  ImageSets/Segmentation/{split}.txt      one id a line

Splits are those whose lists are there: train (1,464), val (1,449) and trainval.
The 10,582 pictures that are usually trained on, `trainaug`, are no part of it:
they need trainaug.txt among the lists and SegmentationClassAug, masks of the
Semantic Boundaries Dataset (Hariharan et al., ICCV 2011) in VOC's ids. Any
split whose name ends in `aug` is read from there.

Masks are palette pictures, read as indices; 255, the border of a few pixels
around each object, is void.

Everingham et al., The Pascal Visual Object Classes Challenge: A Retrospective,
IJCV 2015.
"""

import collections
import os

from deeplax.data import class_table
from deeplax.data.errors import DataError, first_few, missing_data
from deeplax.data.info import IGNORE_LABEL, DatasetInfo, Label
from deeplax.data.pairs import Files, FileSource

_CATEGORIES = {
  'background': ('background',),
  'vehicle': (
    'aeroplane',
    'bicycle',
    'boat',
    'bus',
    'car',
    'motorbike',
    'train',
  ),
  'household': (
    'bottle',
    'chair',
    'diningtable',
    'pottedplant',
    'sofa',
    'tvmonitor',
  ),
  'animal': ('bird', 'cat', 'cow', 'dog', 'horse', 'sheep'),
  'person': ('person',),
}
_CATEGORY = {
  name: category for category, names in _CATEGORIES.items() for name in names
}
# Ids follow the alphabet, behind the background.
_NAMES = ('background', *sorted({*_CATEGORY} - {'background'}))

LABELS = (
  *(
    Label(name, i, i, _CATEGORY[name], class_table.default_colour(i - 1))
    for i, name in enumerate(_NAMES)
  ),
  Label('void', IGNORE_LABEL, IGNORE_LABEL, 'void', (224, 224, 192)),
)

INFO = DatasetInfo(
  'voc',
  LABELS,
  how_to_get='Download VOCtrainval_11-May-2012.tar from '
  'http://host.robots.ox.ac.uk/pascal/VOC/voc2012 and unpack it.',
)

_AUGMENTED = (
  'Training on the augmented set needs the masks SegmentationClassAug and the '
  'list ImageSets/Segmentation/trainaug.txt, which are no part of the official '
  'archive: put them there, or say --config.dataset.train_split=train.'
)


def source(split: str, data_dir: str, *, strict: bool = True) -> FileSource:
  """The pictures of a split, in the order of its list.

  Args:
    split: Name of the list in ImageSets/Segmentation, e.g. `'trainaug'`.
    data_dir: The folder that holds JPEGImages, or one above it:
      VOCdevkit, or what holds that.
    strict: Raise on pictures or masks that are listed, but not there.

  Raises:
    DataError: Nothing there, no such list, or a list that names files that
      aren't there.
  """
  root = _root(data_dir)
  ids = _read_list(root, split)
  kind = 'SegmentationClass' + ('Aug' if split.endswith('aug') else '')
  items, problems = [], []
  for i in ids:
    item = Files(
      i,
      os.path.join(root, 'JPEGImages', f'{i}.jpg'),
      os.path.join(root, kind, f'{i}.png'),
    )
    lost = [p for p in (item.image, item.label) if not os.path.isfile(p)]
    problems += [_lost(path, split) for path in lost]
    if not lost:
      items.append(item)
  if not items:
    looked = f'{os.path.join(root, "JPEGImages", "*.jpg")} and ' + os.path.join(
      root, kind, '*.png'
    )
    raise missing_data('voc', looked, _how_to_get(split))
  if strict and problems:
    raise DataError(
      f'voc {split}: {len(problems)} of the files for {len(ids)} listed '
      f'pictures are missing: {first_few(p.file for p in problems)}.',
      fix=_how_to_get(split),
      kind='missing file',
    )
  return FileSource(items, INFO, problems)


def _root(data_dir: str) -> str:
  """The folder that holds JPEGImages.

  Raises:
    DataError: There is none.
  """
  below = ('', 'VOC2012', os.path.join('VOCdevkit', 'VOC2012'))
  for path in below:
    root = os.path.join(data_dir, path) if path else data_dir
    if os.path.isdir(os.path.join(root, 'JPEGImages')):
      return root
  there = (
    f'in {data_dir}: {first_few(sorted(os.listdir(data_dir))) or "nothing"}'
    if os.path.isdir(data_dir)
    else f'the folder {data_dir} does not exist'
  )
  looked = f'{os.path.join(data_dir, "JPEGImages")} ({there})'
  raise missing_data('voc', looked, INFO.how_to_get)


def _read_list(root: str, split: str) -> list[str]:
  """The ids in ImageSets/Segmentation/{split}.txt.

  Raises:
    DataError: There is no such list, or it is empty or names one id twice.
  """
  folder_of_lists = os.path.join(root, 'ImageSets', 'Segmentation')
  path = os.path.join(folder_of_lists, f'{split}.txt')
  try:
    if os.path.exists(path) and not os.path.isfile(path):
      raise OSError('a directory, a pipe or a device, not a file')
    with open(path, encoding='utf-8-sig') as file:
      # trainaug.txt is also passed on with paths: /JPEGImages/X.jpg /...png
      rows = [line.split() for line in file if line.strip()]
  except (FileNotFoundError, NotADirectoryError) as error:
    lists = _lists(folder_of_lists)
    looked = f'{path} (lists there: {first_few(lists) or "none"})'
    raise missing_data('voc', looked, _how_to_get(split)) from error
  except (OSError, UnicodeDecodeError) as error:
    raise DataError(
      f"the list can't be read: {error}.",
      fix='Copy it again.',
      file=path,
      kind='unreadable file',
    ) from error
  ids = [os.path.splitext(os.path.basename(row[0]))[0] for row in rows]
  doubled = sorted(i for i, n in collections.Counter(ids).items() if n > 1)
  if doubled or not ids:
    found = f'{first_few(doubled)} more than once' if ids else 'no id'
    raise DataError(
      f'the list names {found}.',
      fix='Expected one id a line, as in 2007_000032, each once.',
      file=path,
      kind='list of a split',
    )
  return ids


def _lists(path: str) -> list[str]:
  names = os.listdir(path) if os.path.isdir(path) else []
  return sorted(n.removesuffix('.txt') for n in names if n.endswith('.txt'))


def _lost(path: str, split: str) -> DataError:
  return DataError(
    f'no such file, though {split}.txt lists it.',
    fix=_how_to_get(split),
    file=path,
    kind='missing file',
  )


def _how_to_get(split: str) -> str:
  if split.endswith('aug'):
    return f'{INFO.how_to_get} {_AUGMENTED}'
  return INFO.how_to_get
