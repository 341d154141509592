"""Crops and their labels on one sheet, for people to look at."""

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

from deeplax import visualize

WIDEST = 320  # pixels of a crop; larger ones are shrunk to it
_SHEET = 1600  # pixels
_GAP, _LINE = 6, 18
_INK, _PAPER = (235, 235, 235), (32, 32, 32)
_STRIPE = 4  # pixels
_FONT, _SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.4


@dataclasses.dataclass(frozen=True)
class Crop:
  """What stands on one place of the sheet.

  Attributes:
    image: uint8[H, W, 3].
    label: uint8[H, W], 255 = void.
    title: Below it.
  """

  image: np.ndarray
  label: np.ndarray
  title: str


def sheet(
  crops: Sequence[Crop], names: Sequence[str], palette: np.ndarray
) -> np.ndarray:
  """Each crop beside itself with its label over it, in rows; a legend below.

  Void is striped. Crops of up to 320 columns stand there pixel by pixel.

  Args:
    crops: All of one size.
    names: Of the classes.
    palette: uint8[256, 3].

  Returns:
    uint8[H, W, 3].
  """
  tiles = [_tile(crop, palette) for crop in crops]
  height, width = tiles[0].shape[:2]
  columns = min(max(_SHEET // width, 1), len(tiles))
  rows = [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
  table = visualize.legend(
    (*names, 'void: striped'),
    np.concatenate([palette[: len(names)], [_INK]]),
    width=columns * width,
  )
  canvas = _paper(
    len(rows) * height + table.shape[0], max(columns * width, table.shape[1])
  )
  for r, row in enumerate(rows):
    for c, tile in enumerate(row):
      canvas[r * height :, c * width :][:height, :width] = tile
  canvas[len(rows) * height :, : table.shape[1]] = table
  return canvas


def overlaid(
  image: np.ndarray, label: np.ndarray, palette: np.ndarray
) -> np.ndarray:
  """The label's colours over the image, half and half; void is striped."""
  mixed = visualize.overlay(
    image, visualize.colour(label, palette), image_weight=0.5
  )
  rows, columns = np.indices(label.shape)
  stripe = (rows + columns) // _STRIPE % 2 == 0
  void = label == visualize.VOID
  mixed[void & stripe] = _INK
  mixed[void & ~stripe] = image[void & ~stripe] // 2
  return mixed


def _tile(crop: Crop, palette: np.ndarray) -> np.ndarray:
  image, label = crop.image, crop.label
  height, width = label.shape
  if width > WIDEST:
    size = WIDEST, max(round(height * WIDEST / width), 1)
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    label = cv2.resize(label, size, interpolation=cv2.INTER_NEAREST_EXACT)
    height, width = label.shape
  parts = image, overlaid(image, label, palette)
  tile = _paper(height + _LINE + _GAP, 2 * width + 3 * _GAP)
  for i, part in enumerate(parts):
    left = _GAP + i * (width + _GAP)
    tile[_GAP : _GAP + height, left : left + width] = part
  title = _fitting(crop.title, tile.shape[1] - 2 * _GAP)
  at = _GAP, height + _LINE
  cv2.putText(tile, title, at, _FONT, _SCALE, _INK, 1, cv2.LINE_AA)
  return tile


def _fitting(title: str, width: int) -> str:
  """The end of a title, which tells files apart, if it is too long."""
  cut = title
  while len(cut) > 4 and cv2.getTextSize(cut, _FONT, _SCALE, 1)[0][0] > width:
    cut = f'..{cut[3:]}'
  return cut


def _paper(height: int, width: int) -> np.ndarray:
  canvas = np.empty((height, width, 3), np.uint8)
  canvas[:] = _PAPER
  return canvas
