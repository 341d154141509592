"""What reads files of others: `read` gives a sound result or a clear error.

A reader takes the path of a file. It ends in silence, in one of `CLEAR`, or in
anything else, which is a defect: an `AssertionError` where a result came out
that nobody should get.
"""

import atexit
import dataclasses
import functools
import hashlib
import json
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from deeplax.data.datasets import camvid, memmap
from deeplax.data.errors import DataError
from deeplax.data.spec import OpsError
from deeplax.errors import UserError
from tests.fuzz import mutate, seeds

CLEAR = (UserError, DataError, OpsError)

Mutator = Callable[..., bytes]


@dataclasses.dataclass(frozen=True)
class Reader:
  """One way in.

  Attributes:
    seeds: `() -> [(name, content)]`, whole files.
    read: Takes a path.
    mutators: One of them is drawn for a case; those that need a form of file
      that a seed has not are passed over.
    beside: Writes what must lie beside the file, into a folder.
    repair: `(folder, name)`: makes the rest agree with a damaged file.
    places: `(content) -> offsets` where damage matters.
    cost: How many times as long as others a case takes; as much fewer are run.
  """

  seeds: Callable[[], Sequence[tuple[str, bytes]]]
  read: Callable[[pathlib.Path], object]
  mutators: Sequence[Mutator] = (mutate.mutate,)
  beside: Callable[[pathlib.Path], None] = lambda folder: None
  repair: Callable[[pathlib.Path, str], None] = lambda folder, name: None
  places: Callable[[bytes], Sequence[int]] = lambda content: ()
  cost: int = 1


def read_picture(path: pathlib.Path) -> None:
  from deeplax import picture_files
  from deeplax.data import files

  image, orientation = picture_files.read(path)
  head = files.header(path.read_bytes())
  assert image.dtype == np.uint8
  assert image.shape == (head.height, head.width, 3), (image.shape, head)
  assert type(orientation) is int and 1 <= orientation <= 8
  upright = files.read_image(path, upright=True)
  assert sorted(upright.shape) == sorted(image.shape)


def read_mask(path: pathlib.Path) -> None:
  from deeplax.data import files
  from deeplax.data.pairs import to_train_ids

  raw = files.read_mask(path, camvid.INFO)
  head = files.header(path.read_bytes())
  assert raw.dtype in (np.uint8, np.uint16), raw.dtype
  assert raw.shape == (head.height, head.width), (raw.shape, head)
  assert files.read_instance(path).dtype == np.int32
  assert files.read_disparity(path).dtype == np.float32
  ids = to_train_ids(raw, camvid.INFO, str(path))
  assert ids.dtype == np.uint8
  assert set(np.unique(ids)) <= {*range(11), 255}


def read_classes(path: pathlib.Path) -> None:
  from deeplax.data import class_table

  _check_table(class_table.read(str(path), 'mine'))


def _check_table(info) -> None:
  assert info.num_classes == len(info.class_names) > 0
  assert info.palette.shape == (256, 3)
  assert all(isinstance(name, str) for name in info.class_names)
  trained = set(info.label_to_train.tolist()) - {255}
  assert trained <= {*range(info.num_classes)}
  assert info.train_to_label.shape == (256,)
  assert info.train_to_category.max() < len(info.categories)
  assert info == type(info).from_json(json.loads(json.dumps(info.to_json())))


def read_dataset(path: pathlib.Path) -> None:
  from deeplax import saved_config
  from deeplax.data.info import DatasetInfo

  tree = saved_config.load_json(path)
  try:
    info = DatasetInfo.from_json(tree)
  except (KeyError, TypeError, ValueError) as error:  # whoever calls says where
    raise DataError(f'no table of classes: {error!r}') from error
  _check_table(info)


def read_config(path: pathlib.Path) -> None:
  """As evaluate and predict use it."""
  from deeplax import config as config_lib
  from deeplax import models, refinement, saved_config

  config = saved_config.load(path)
  missing = {'dataset', 'input', 'model', 'loss'} - {*config}
  if missing:  # `workdir.load_run` says so
    raise DataError(f'the config has no {missing}')
  refinement.options(config, True)
  for key in ('align_corners', 'half_pixel_centers', 'void_class'):
    if key not in {**config.model, **config.loss}:
      return  # of a run before there was such a key
  config_lib.resampling(config)
  options = config_lib.model_options(config)
  try:
    models.build(11 + config.loss.void_class, **options)
  except ValueError as error:  # as `predict_run` has it
    raise DataError(str(error)) from error


def configs() -> list[tuple[str, bytes]]:
  from deeplax import config_files

  return [
    (name, json.dumps(config.to_dict()).encode())
    for name, config in config_files.load_all(
      ['demo', 'r101', 'v2_r101']
    ).items()
  ]


def read_list(path: pathlib.Path) -> None:
  from deeplax.data.datasets import voc

  root = path.parent
  lists = root / 'ImageSets' / 'Segmentation'
  lists.mkdir(parents=True, exist_ok=True)
  path.replace(lists / 'train.txt')
  ids = voc._read_list(str(root), 'train')
  assert ids and all('/' not in i for i in ids)


def read_spec(path: pathlib.Path) -> None:
  from deeplax.data import ops

  text = path.read_bytes().decode(errors='surrogateescape')
  for op in ops.parse(text):
    assert all(type(v) in (int, float) for _, v in op.arguments)
    str(op)


def memory_map(folder: pathlib.Path) -> None:
  from deeplax import data
  from deeplax.data.write_memmap import write_memmap

  scenes = data.source('synthetic:32x40x3', 'train', extras=('instance',))
  table = data.info('synthetic')
  write_memmap(scenes, table, folder / 'train', extras=('instance',))


@functools.cache
def memory_map_files() -> list[tuple[str, bytes]]:
  return _files_of(memory_map)


def correct_digests(folder: pathlib.Path, name: str) -> None:
  """Whoever means harm writes the digests, too."""
  path = folder / 'train' / memmap.INFO_FILE
  name = name.rpartition('/')[2]
  if name in (memmap.INDEX_FILE, memmap.IDS_FILE):
    head = json.loads(path.read_text())
    content = (folder / 'train' / name).read_bytes()
    head['digests'][name] = hashlib.sha256(content).hexdigest()
    path.write_text(json.dumps(head))


def read_memory_map(path: pathlib.Path) -> None:
  from deeplax import data

  source = data.source(
    'memmap', 'train', path.parent.parent, extras=('instance',)
  )
  for i in range(len(source)):
    example = source[i]
    shape = example['label'].shape
    assert example['image'].shape == (*shape, 3)
    assert example['image'].dtype == example['label'].dtype == np.uint8
    assert example['instance'].shape == shape
    assert example['instance'].dtype == np.int32
    assert isinstance(example['id'], str)
    ids = set(np.unique(example['label']))
    assert ids <= {*range(source.info.num_classes), 255}, ids
  _check_table(source.info)


def tfds_folder(folder: pathlib.Path) -> None:
  from deeplax import data
  from deeplax.data.write_tfds import write_tfds

  scenes = data.source('synthetic:32x40x3', 'train')
  write_tfds(scenes, data.info('synthetic'), 'train', folder / 'd')


@functools.cache
def tfds_files() -> list[tuple[str, bytes]]:
  return _files_of(tfds_folder)


def _files_of(make) -> list[tuple[str, bytes]]:
  with tempfile.TemporaryDirectory() as folder:
    make(pathlib.Path(folder))
    paths = [p for p in sorted(pathlib.Path(folder).rglob('*')) if p.is_file()]
    return [
      (str(p.relative_to(folder)), p.read_bytes())
      for p in paths
      if p.name[0] != '.'
    ]


def read_tfds(path: pathlib.Path) -> None:
  from deeplax import data

  root = next(p for p in path.parents if p.name == 'now')
  source = data.source('tfds', 'train', root)
  classes = data.info('tfds', root).num_classes
  for i in range(len(source)):
    example = source[i]
    assert example['image'].shape == (*example['label'].shape, 3)
    assert isinstance(example['id'], str)
    assert set(np.unique(example['label'])) <= {*range(classes), 255}


@functools.cache
def _workdir() -> pathlib.Path:
  from tests.report import workdirs

  folder = pathlib.Path(tempfile.mkdtemp())
  atexit.register(shutil.rmtree, folder)
  with pytest.MonkeyPatch.context() as patch:
    return workdirs.make(folder / 'run', patch, pictures=2)


@functools.cache
def evaluations() -> list[tuple[str, bytes]]:
  """What a report is made of: the figures, and the pictures."""
  folder = _workdir() / 'evaluation'
  names = ('val-7-os16.json', 'val-7-os16/worst.json')
  return [(name, (folder / name).read_bytes()) for name in names]


def read_evaluation(path: pathlib.Path) -> None:
  from deeplax.report import page, saved

  # In its place, beside an undamaged other one.
  figures, pictures = (content for _, content in evaluations())
  content = path.read_bytes()
  run = _workdir()
  place = run / 'evaluation' / 'val-7-os16.json'
  is_pictures = path.name.endswith('worst.json')
  place.write_bytes(figures if is_pictures else content)
  place = place.with_suffix('') / 'worst.json'
  place.write_bytes(content if is_pictures else pictures)
  html = page.render([saved.load(run)])
  assert html.endswith(b'</html>\n') and html.count(b'<script') == 1


def read_camera(path: pathlib.Path) -> None:
  from deeplax.data import cameras

  camera = cameras.read(path)
  assert camera.shape == (2,) and (camera > 0).all()
  assert np.isfinite(camera).all()


READERS = {
  'picture': Reader(
    seeds.pictures, read_picture, (mutate.mutate, mutate.mutate_png)
  ),
  'mask': Reader(seeds.masks, read_mask, (mutate.mutate, mutate.mutate_png)),
  'classes': Reader(
    seeds.class_tables, read_classes, (mutate.mutate, mutate.mutate_json)
  ),
  'dataset': Reader(
    seeds.datasets, read_dataset, (mutate.mutate, mutate.mutate_json)
  ),
  'config': Reader(configs, read_config, (mutate.mutate, mutate.mutate_json)),
  'evaluation': Reader(
    evaluations, read_evaluation, (mutate.mutate, mutate.mutate_json), cost=4
  ),
  'camera': Reader(
    seeds.cameras, read_camera, (mutate.mutate, mutate.mutate_json)
  ),
  'list': Reader(seeds.lists, read_list),
  'spec': Reader(seeds.specs, read_spec, (mutate.mutate, mutate.mutate_text)),
  'memmap': Reader(
    memory_map_files,
    read_memory_map,
    (mutate.mutate, mutate.mutate_json),
    beside=memory_map,
    repair=correct_digests,
  ),
  'tfds': Reader(
    tfds_files,
    read_tfds,
    (mutate.mutate, mutate.mutate_json),
    beside=tfds_folder,
  ),
}
