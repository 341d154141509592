"""Writes any source with Cityscapes' classes as an official Cityscapes tree."""

import json
import os
import re

import cv2
import numpy as np
import tqdm

from deeplax import atomic
from deeplax.data.datasets import cityscapes
from deeplax.data.durable import (
  Journal,
  check_space,
  only_writer,
  to_json,
)
from deeplax.data.errors import DataError
from deeplax.data.identity import checked, identify
from deeplax.data.info import DatasetInfo

_FILES = 5  # of an example in any one folder, unfinished ones included

# City, sequence and frame, as in aachen_000000_000019.
_OFFICIAL = re.compile(r'([A-Za-z-]+)_\d{6}_\d{6}')


def write_cityscapes_tree(
  source,
  info: DatasetInfo,
  split: str,
  directory: str | os.PathLike,
  *,
  extras: tuple[str, ...] = (),
) -> None:
  """Writes the files that training and the official scripts read.

  leftImg8bit, and labelIds, instanceIds, labelTrainIds and color in gtFine;
  disparity where that is among the extras. Ids that aren't like Cityscapes'
  own (`aachen_000000_000019`) are numbered under the data set's name. Without
  the extra `'instance'` label ids come from train ids (void is `unlabeled`)
  and no two things are told apart.

  Each file appears whole or not at all; a second call goes on where a killed
  one stopped, and the result is the same byte for byte.

  Args:
    source: A `deeplax.data.Source` that yields the extras.
    info: Its class table.
    split: Name of the split in the tree.
    directory: Where `leftImg8bit` and `gtFine` go.
    extras: Of `'instance'` and `'disparity'`.

  Raises:
    DataError: Other classes than Cityscapes', another source's tree in that
      split, a full disk, or a bad example.
  """
  _check_classes(info)
  finished = os.path.join(directory, f'.{split}.json')
  with only_writer(directory):
    identity = identify(source, info, extras)
    if os.path.exists(finished):
      with open(finished, 'rb') as file:
        _check_same(json.load(file), identity.plan, directory, split)
      return
    journal = Journal(os.path.join(directory, f'.{split}.jsonl'), identity.plan)
    if not journal.done:
      _check_empty(directory, split)
    left = identity.length - len(journal.done)
    sizes = [
      sum(map(len, _encode(example, split, 'x', 'x', extras).values()))
      for example in identity.samples
    ]
    check_space(directory, identity.total(sizes) * left // identity.length)
    seen = set(journal.done)
    bar = tqdm.tqdm(
      range(len(journal.done), identity.length),
      desc=split,
      total=identity.length,
      initial=len(journal.done),
      unit=' pictures',
      disable=None,  # quiet where stderr is no terminal
    )
    for i in bar:
      example = checked(source[i], i)
      city, name = _name(info, example['id'], i)
      if name in seen:
        raise DataError(
          f'two examples are called {name!r}, the second is number {i}.',
          fix='Give every picture a name of its own.',
          kind='doubled name',
        )
      seen.add(name)
      for path, content in _encode(example, split, city, name, extras).items():
        path = os.path.join(directory, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        atomic.write(path, content)
      journal.add([name])
    atomic.write(finished, to_json(identity.plan))
    journal.remove()


def _check_classes(info: DatasetInfo):
  ours, theirs = info.label_to_train, cityscapes.INFO.label_to_train
  if info.class_names != cityscapes.INFO.class_names or (ours != theirs).any():
    raise DataError(
      f'{info.name} has {info.num_classes} classes '
      f'({", ".join(info.class_names[:4])}, ...), which are not the 19 of '
      'Cityscapes in their order and with their label ids.',
      fix='Only such sources can become a Cityscapes tree; use --to=memmap or '
      '--to=tfds.',
      kind='other classes',
    )


def _check_same(found: dict, plan: dict, directory, split: str):
  if found != plan:
    raise DataError(
      f'its split {split} comes from another source ({found["dataset"]}, '
      f'{found["length"]} pictures), expected {plan["dataset"]} with '
      f'{plan["length"]}, or its pictures have changed.',
      fix='Choose another folder, or delete this one.',
      file=directory,
      kind='another data set',
    )


def _check_empty(directory: str | os.PathLike, split: str):
  """A tree that somebody else made must not be mixed with ours."""
  for kind in ('leftImg8bit', 'gtFine'):
    folder = os.path.join(directory, kind, split)
    names = [name for *_, files in os.walk(folder) for name in files]
    # Those of the first example can be ours: a kill may come before its line.
    if len(names) > _FILES:
      raise DataError(
        f'there are {len(names)} files already.',
        fix='Choose another folder, or delete this one.',
        file=folder,
        kind='another data set',
      )


def _name(info: DatasetInfo, example_id: str, index: int) -> tuple[str, str]:
  """City and name of the files."""
  match = _OFFICIAL.fullmatch(example_id)
  if match:
    return match[1], example_id
  city = re.sub('[^a-z]', '', info.name.lower()) or 'city'
  return city, f'{city}_000000_{index:06d}'


def _encode(
  example: dict, split: str, city: str, name: str, extras: tuple[str, ...]
) -> dict[str, bytes]:
  """The content of every file by its path in the tree."""
  info = cityscapes.INFO
  label = example['label']
  if 'instance' in extras:
    instance = example['instance']
    label_ids = np.where(instance >= 1000, instance // 1000, instance)
    label_ids = label_ids.astype(np.uint8)
    if (info.label_to_train[label_ids] != label).any():
      raise DataError(
        f'{example["id"]}: instance ids and labels name different classes.',
        fix='Prepare without them: --extras=',
        kind='instances',
      )
  else:
    label_ids = info.train_to_label[label]
    instance = label_ids
  colours = np.zeros((256, 3), np.uint8)
  for row in info.labels:
    if row.label_id >= 0:
      colours[row.label_id] = row.colour
  truth = f'gtFine/{split}/{city}/{name}_gtFine_'
  files = {
    f'leftImg8bit/{split}/{city}/{name}_leftImg8bit.png': _png(
      example['image'][..., ::-1]
    ),
    f'{truth}labelIds.png': _png(label_ids),
    f'{truth}instanceIds.png': _png(instance.astype(np.uint16)),
    f'{truth}labelTrainIds.png': _png(label),
    f'{truth}color.png': _png(colours[label_ids][..., ::-1]),
  }
  if 'disparity' in extras:
    disparity = example['disparity']
    measured = ~np.isnan(disparity)
    raw = np.zeros(disparity.shape, np.uint16)  # 0: not measured
    raw[measured] = np.clip(disparity[measured] * 256 + 1, 1, 65535) + 0.5
    path = f'disparity/{split}/{city}/{name}_disparity.png'
    files[path] = _png(raw)
  return files


def _png(pixels: np.ndarray) -> bytes:
  """Lossless; grey, or BGR as OpenCV has it."""
  done, data = cv2.imencode('.png', np.ascontiguousarray(pixels))
  if not done:
    raise ValueError(
      f'OpenCV refused to encode {pixels.dtype}{pixels.shape} as PNG.'
    )
  return data.tobytes()
