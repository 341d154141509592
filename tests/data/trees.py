"""Small data sets on disk, for the tests of the sources."""

import json

import cv2
import numpy as np


def write_picture(path, height=24, width=32, seed=0):
  path.parent.mkdir(parents=True, exist_ok=True)
  rng = np.random.default_rng(seed)
  bgr = rng.integers(0, 256, (height, width, 3), np.uint8)
  assert cv2.imwrite(str(path), bgr)
  return bgr[..., ::-1]


def write_mask(path, mask):
  path.parent.mkdir(parents=True, exist_ok=True)
  assert cv2.imwrite(str(path), mask)
  return mask


def ids(values, height=24, width=32, seed=0):
  """uint8[height, width] drawn from `values`."""
  rng = np.random.default_rng(seed)
  return rng.choice(np.array(values, np.uint8), (height, width))


def write_folder(root, classes=('a', 'b', 'c'), count=4, split='train'):
  """A tree of the `folder` layout: classes 0, 1, ... and 255."""
  root.mkdir(parents=True, exist_ok=True)
  (root / 'classes.json').write_text(json.dumps(list(classes)))
  values = [*range(len(classes)), 255]
  for i in range(count):
    write_picture(root / split / 'images' / f'{i}.png', seed=i)
    write_mask(root / split / 'labels' / f'{i}.png', ids(values, seed=i))
  return root


def write_cityscapes(root, split='val', cities=('aachen', 'bonn'), count=2):
  """A tree as the official archives unpack, with all kinds of files."""
  for c, city in enumerate(cities):
    for i in range(count):
      name, seed = f'{city}_000000_{i:06d}', 10 * c + i
      write_picture(
        root / 'leftImg8bit' / split / city / f'{name}_leftImg8bit.png',
        seed=seed,
      )
      stem = root / 'gtFine' / split / city / f'{name}_gtFine'
      mask = ids(range(34), seed=seed)
      write_mask(stem.with_name(f'{stem.name}_labelIds.png'), mask)
      instance = mask.astype(np.uint16)
      instance[mask == 26] = 26001
      write_mask(stem.with_name(f'{stem.name}_instanceIds.png'), instance)
      raw = np.random.default_rng(seed).integers(0, 9, mask.shape)
      write_mask(
        root / 'disparity' / split / city / f'{name}_disparity.png',
        (raw * 4000).astype(np.uint16),
      )
  return root
