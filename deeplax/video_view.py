"""How a frame and its prediction are shown: over each other or side by side."""

import math

import cv2
import numpy as np

from deeplax import visualize
from deeplax.data.info import DatasetInfo

VIEWS = ('overlay', 'side_by_side')
_NARROW = 480  # pixels: pictures below it are enlarged to be as wide at least
_WIDE = 1280  # where the legend's letters, of 12 pixels, begin to grow


class View:
  """`view(image, pred)` -> the frame of a video, its legend below.

  Attributes:
    size: (height, width) of what is drawn; even numbers, as codecs want them:
      where one is odd a dark line is added.
  """

  def __init__(self, info: DatasetInfo, size: tuple[int, int], kind: str):
    """Draws the legend.

    Args:
      info: The classes.
      size: (height, width) of the pictures. Small ones are enlarged by a whole
        factor, so that the legend is not larger than they are.
      kind: `overlay`, 0.35 picture + 0.65 class colours, or `side_by_side`,
        the picture and beside it the colours.
    """
    self._palette, self._kind = info.palette, kind
    height, width = size
    parts = 2 if kind == 'side_by_side' else 1
    zoom = max(math.ceil(_NARROW / (width * parts)), 1)
    self._part = height * zoom, width * zoom
    height, width = height * zoom, width * zoom * parts
    legend = _legend(info, width)
    canvas = np.concatenate([np.zeros((height, width, 3), np.uint8), legend])
    odd = [side % 2 for side in canvas.shape[:2]]
    self._canvas = np.pad(canvas, ((0, odd[0]), (0, odd[1]), (0, 0)))
    self.size = self._canvas.shape[:2]

  def __call__(self, image: np.ndarray, pred: np.ndarray) -> np.ndarray:
    """uint8[H, W, 3] in RGB and uint8[H, W] -> uint8[*size, 3] in BGR."""
    colours = visualize.colour(pred, self._palette)
    if self._kind == 'overlay':
      parts = [visualize.overlay(image, colours)]
    else:
      parts = [image, colours]
    canvas = self._canvas.copy()
    height, width = self._part
    for i, part in enumerate(parts):
      if part.shape[:2] != self._part:
        part = cv2.resize(
          part, (width, height), interpolation=cv2.INTER_NEAREST_EXACT
        )
      canvas[:height, i * width : (i + 1) * width] = part
    return cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR)


def _legend(info, width):
  """uint8[h, width, 3], its letters as large as the width of a screen asks."""
  zoom = max(width // _WIDE, 1)
  strip = visualize.legend(info.class_names, info.palette, width=width // zoom)
  strip = strip[:, : width // zoom]
  size = width, strip.shape[0] * zoom
  return cv2.resize(strip, size, interpolation=cv2.INTER_LINEAR)
