"""Procedural street scenes in Cityscapes classes: no files, no download.

Name `synthetic`, or `synthetic:HxW`, `synthetic:HxWxT`, `synthetic:HxWxTxV`:
pictures of H x W pixels (default 256x512), T in the split train (default 400),
V in each of val and test (default 60). A picture depends on split, index and
size only; the scene (but for its noise) is the same at every size. Every 7
successive pictures hold every class. The ego vehicle's bonnet and litter bins
are void.

Extras: `'instance'` (Cityscapes' instance ids: label id, or label id * 1000 + k
for things), `'disparity'` (float32 pixels for a 0.209 m stereo base; NaN where
Cityscapes would have none: sky and bonnet) and `'camera'` (`data.cameras`).
"""

import dataclasses
import random
import re
from collections.abc import Sequence

import numpy as np

from deeplax.data.datasets import cityscapes
from deeplax.data.errors import DataError
from deeplax.data.scenes import street
from deeplax.data.scenes.camera import Camera
from deeplax.data.scenes.canvas import Canvas
from deeplax.data.scenes.finish import Noise, finish

INFO = dataclasses.replace(cityscapes.INFO, name='synthetic', how_to_get='')

_SIZE, _TRAIN, _OTHER = (256, 512), 400, 60
_SPLITS = ('train', 'val', 'test')
_EXTRAS = ('instance', 'disparity', 'camera')
_LEAST = 32  # rows and columns below which nothing can be told apart
_BASE = 0.209  # metres between Cityscapes' two cameras
_LABELS = {label.name: label for label in INFO.labels}


def source(
  split: str,
  data_dir: str = '',
  *,
  argument: str = '',
  extras: Sequence[str] = (),
) -> 'SyntheticSource':
  """The scenes of a split.

  Args:
    split: `'train'`, `'val'` or `'test'`; no picture is in two of them.
    data_dir: Not used.
    argument: `'HxW'`, `'HxWxT'` or `'HxWxTxV'`, see above.
    extras: Of `'instance'`, `'disparity'` and `'camera'`.

  Raises:
    DataError: Another split, argument or extra.
  """
  del data_dir
  if split not in _SPLITS:
    raise DataError(
      f'synthetic has no split {split!r}.',
      fix=f'There are: {", ".join(_SPLITS)}.',
      kind='unknown split',
    )
  for extra in extras:
    if extra not in _EXTRAS:
      raise DataError(
        f'synthetic has no extra {extra!r}.',
        fix=f'There are: {", ".join(_EXTRAS)}.',
        kind='unknown option',
      )
  height, width, train, other = _parse(argument)
  count = train if split == 'train' else other
  return SyntheticSource(split, height, width, count, tuple(extras))


def _parse(argument: str) -> tuple[int, int, int, int]:
  if not argument:
    return (*_SIZE, _TRAIN, _OTHER)
  if not re.fullmatch(r'\d+x\d+(x\d+){0,2}', argument):
    raise DataError(
      f"synthetic:{argument} can't be read.",
      fix='Expected synthetic:HxW, or with the number of pictures HxWxT or '
      'HxWxTxV, e.g. synthetic:128x256x400x60.',
      kind='unknown option',
    )
  numbers = [int(number) for number in argument.split('x')]
  height, width, train, other = numbers + [_TRAIN, _OTHER][len(numbers) - 2 :]
  if min(height, width) < _LEAST or min(train, other) < 1:
    raise DataError(
      f'synthetic:{argument} has pictures of {height} x {width}, {train} and '
      f'{other} of them.',
      fix=f'Height and width must be at least {_LEAST}, counts at least 1.',
      kind='unknown option',
    )
  return height, width, train, other


@dataclasses.dataclass(frozen=True)
class SyntheticSource:
  """Scenes by position; holds numbers only, so pickling it is free."""

  split: str
  height: int
  width: int
  count: int
  extras: tuple[str, ...] = ()

  def __len__(self) -> int:
    return self.count

  def __getitem__(self, index: int) -> dict:
    index = int(index)
    if not 0 <= index < self.count:
      raise IndexError(
        f'synthetic {self.split} has {self.count} pictures, not one at {index}.'
      )
    # Python's generator gives the same numbers on all machines and versions.
    dice = random.Random(f'{self.split}/{index}')
    noise = Noise(dice.getrandbits(64))
    clouds = noise.clouds(self.height, self.width)
    canvas, camera = street.draw(dice, index, self.height, self.width, clouds)
    finish(canvas, noise, grain=dice.randint(6, 18))
    train_ids = [_LABELS[thing.name].train_id for thing in canvas.things]
    example = {
      'image': canvas.image,
      'label': np.array(train_ids, np.uint8)[canvas.owner],
      # City, sequence and frame, as the files of Cityscapes are called.
      'id': f'synthetic_{_SPLITS.index(self.split):06d}_{index:06d}',
    }
    if 'instance' in self.extras:
      example['instance'] = _instances(canvas)
    if 'disparity' in self.extras:
      example['disparity'] = _disparity(canvas, camera)
    if 'camera' in self.extras:
      example['camera'] = np.array([_BASE, camera.focal])
    return example


def _instances(canvas: Canvas) -> np.ndarray:
  """int32[H, W] in Cityscapes' encoding."""
  ids = []
  for thing in canvas.things:
    label = _LABELS[thing.name]
    number = label.label_id * 1000 + thing.count
    ids.append(number if label.has_instances else label.label_id)
  return np.array(ids, np.int32)[canvas.owner]


def _disparity(canvas: Canvas, camera: Camera) -> np.ndarray:
  """float32[H, W]: base * focal / distance, from each thing's plane."""
  height, width = canvas.owner.shape
  planes = np.array([thing.plane for thing in canvas.things])[canvas.owner]
  at = np.array([thing.at for thing in canvas.things])[canvas.owner]
  du = np.arange(width) + 0.5 - camera.u0
  dv = (np.arange(height) + 0.5 - camera.v0)[:, None]
  ground = np.maximum(dv - camera.roll * du, 0.0) / camera.eye
  with np.errstate(divide='ignore'):
    per_metre = np.select(  # focal / distance
      [planes == 'z', planes == 'x', planes == 'ground'],
      [camera.focal / at, np.maximum(du / at, 0.0), ground],
      np.nan,
    )
  return (_BASE * per_metre).astype(np.float32)
