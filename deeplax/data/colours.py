"""Masks drawn in colours, and the class ids they stand for."""

import os

import numpy as np

from deeplax.data.errors import DataError, first_few
from deeplax.data.info import DatasetInfo


def colours_to_ids(rgb: np.ndarray, info: DatasetInfo) -> np.ndarray:
  """uint8[H, W] label ids of a colour mask uint8[H, W, 3], by the class table.

  Where two labels share a colour the first one counts.

  Raises:
    DataError: A colour that no label has.
  """
  table = {}
  for label in info.labels:
    if 0 <= label.label_id < 256:
      table.setdefault(_number(np.array(label.colour)), label.label_id)
  unknown = [c for c in _used(rgb).tolist() if c not in table]
  if unknown:
    raise DataError(
      f'colours that no class has: {first_few(map(_triple, unknown))}.',
      fix=f'Colours of {info.name}: '
      f'{first_few((_triple(c) for c in table), 20)}.',
      kind='unknown colours',
    )
  by_colour = np.zeros(1 << 24, np.uint8)
  for colour, label_id in table.items():
    by_colour[colour] = label_id
  ids = np.empty(rgb.shape[:2], np.uint8)
  for row, colours in zip(ids, rgb):
    row[:] = by_colour[_number(colours)]
  return ids


def colour_mask(
  rgb: np.ndarray,
  mode: str,
  path: str | os.PathLike,
  info: DatasetInfo | None,
) -> DataError:
  """The error for a mask uint8[H, W, 3] of colours, and how to convert it."""
  colours = _used(rgb)
  found = (
    f'a colour mask (mode {mode}, {len(colours)} colours: '
    f'{first_few(map(_triple, colours.tolist()), 3)}), expected one channel '
    'of class ids.'
  )
  if (rgb == rgb[..., :1]).all():
    fix = 'All its channels are equal: save one of them.'
  elif info is not None and _has_colours(info, rgb):
    fix = (
      'Its colours are those of the class table: turn each mask into ids with '
      'deeplax.data.colours.colours_to_ids(read_image(mask), info) and save '
      'them as PNG.'
    )
  else:
    fix = (
      'Save class ids in one channel. With the colours of the classes as '
      '`palette` in classes.json, deeplax.data.colours.colours_to_ids converts.'
    )
  return DataError(found, fix=fix, file=path, kind='colour mask')


def _has_colours(info: DatasetInfo, rgb: np.ndarray) -> bool:
  try:
    colours_to_ids(rgb, info)
  except DataError:
    return False
  return True


def _used(rgb: np.ndarray) -> np.ndarray:
  """Numbers of the colours in a picture, ascending.

  Row by row: sorting a whole one would take twenty times its own memory.
  """
  seen = np.zeros(1 << 24, bool)
  for row in rgb:
    seen[_number(row)] = True
  return np.flatnonzero(seen)


def _number(rgb: np.ndarray):
  """One integer a colour."""
  red, green, blue = np.moveaxis(rgb.astype(np.int64), -1, 0)
  number = (red << 16) | (green << 8) | blue
  return number if number.ndim else int(number)


def _triple(colour: int) -> tuple[int, int, int]:
  return colour >> 16, colour >> 8 & 255, colour & 255
