"""Pictures of labels and predictions: numpy and OpenCV, all of it uint8 RGB."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

VOID = 255
_RIGHT, _WRONG, _UNLABELLED = (24, 60, 24), (230, 40, 40), (0, 0, 0)
_FONT, _TEXT_HEIGHT = cv2.FONT_HERSHEY_SIMPLEX, 12
_INK, _PAPER, _GAP = (235, 235, 235), (32, 32, 32), 6


def colour(label: np.ndarray, palette: np.ndarray) -> np.ndarray:
  """uint8[H, W] train ids -> uint8[H, W, 3] by `palette`, uint8[256, 3]."""
  if palette.shape != (256, 3) or label.dtype != np.uint8:
    raise ValueError(
      f'label is {label.dtype} and palette {palette.shape}; expected uint8 and '
      '(256, 3), a colour for every train id (DatasetInfo.palette).'
    )
  return palette[label]


def overlay(
  image: np.ndarray, colours: np.ndarray, *, image_weight: float = 0.35
) -> np.ndarray:
  """`image_weight` x image + the rest x colours, rounded: uint8[H, W, 3].

  The default is the mixture of the DeepLab course project's video.
  """
  _same_size(image, colours)
  return cv2.addWeighted(image, image_weight, colours, 1 - image_weight, 0)


def error_map(label: np.ndarray, pred: np.ndarray) -> np.ndarray:
  """Wrong pixels red, right ones dark green, unlabelled ones black."""
  _same_size(label, pred)
  result = np.empty((*label.shape, 3), np.uint8)
  result[:] = _RIGHT
  result[label != pred] = _WRONG
  result[label == VOID] = _UNLABELLED
  return result


def panel(
  image: np.ndarray,
  label: np.ndarray,
  pred: np.ndarray,
  palette: np.ndarray,
  *,
  width: int = 0,
) -> np.ndarray:
  """Image | truth | prediction | errors, side by side with titles.

  Args:
    image: uint8[h, w, 3]; brought to the size of the label.
    label: uint8[H, W], 255 = void.
    pred: uint8[H, W]; a predicted void class has no colour, it is black.
    palette: uint8[256, 3].
    width: Of each part, in pixels; larger parts are shrunk to it, 0 never.

  Returns:
    uint8[about H + 20, about 4 W, 3].
  """
  _same_size(label, pred)
  height, own = label.shape
  if image.shape[:2] != label.shape:
    image = cv2.resize(image, (own, height), interpolation=cv2.INTER_AREA)
  parts = {
    'image': image,
    'truth': colour(label, palette),
    'prediction': colour(pred, palette),
    'errors': error_map(label, pred),
  }
  if 0 < width < own:
    size = (width, max(round(height * width / own), 1))
    parts = {
      name: cv2.resize(part, size, interpolation=cv2.INTER_AREA)
      for name, part in parts.items()
    }
  tiles = [_titled(part, name) for name, part in parts.items()]
  gap = np.full((tiles[0].shape[0], _GAP, 3), _PAPER, np.uint8)
  return np.concatenate([x for tile in tiles for x in (tile, gap)][:-1], axis=1)


def legend(
  names: Sequence[str], palette: np.ndarray, *, width: int = 960
) -> np.ndarray:
  """A strip of colour swatches with class names, in rows of `width` pixels."""
  cell = 34 + max(_text_width(name) for name in names) + _GAP
  columns = min(max(width // cell, 1), len(names))
  rows = math.ceil(len(names) / columns)
  line = _TEXT_HEIGHT + 2 * _GAP
  canvas = _canvas(rows * line + _GAP, max(columns * cell, width))
  for i, name in enumerate(names):
    x, y = i % columns * cell + _GAP, i // columns * line + _GAP
    canvas[y : y + _TEXT_HEIGHT + 2, x : x + 20] = palette[i]
    _write(canvas, name, x + 26, y + _TEXT_HEIGHT)
  return canvas


def confusion_picture(
  confusion: np.ndarray, names: Sequence[str]
) -> np.ndarray:
  """The confusion matrix as shares of each class of the truth, in colour.

  Args:
    confusion: int[G, K]; a column beyond G is the void class.
    names: Of the G classes.

  Returns:
    uint8[h, w, 3].
  """
  # Not pyplot: it keeps state and may look for a display.
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  confusion = np.asarray(confusion, np.float64)
  truth = confusion.sum(1, keepdims=True)
  share = np.where(truth > 0, confusion / np.maximum(truth, 1), np.nan)
  columns = [*names, *['void'] * (confusion.shape[1] - len(names))]
  side = 2.5 + 0.36 * len(columns)
  figure = Figure(figsize=(side + 0.6, side), dpi=80, layout='constrained')
  canvas = FigureCanvasAgg(figure)
  axes = figure.add_subplot()
  picture = axes.imshow(share, cmap='magma', vmin=0, vmax=1)
  axes.set_xticks(range(len(columns)), columns, rotation=90)
  axes.set_yticks(range(len(names)), names)
  axes.set_xlabel('prediction')
  axes.set_ylabel('truth')
  if len(columns) <= 40:
    for (i, j), x in np.ndenumerate(share):
      if x >= 0.005:
        axes.text(
          *(j, i, f'{100 * x:.0f}'),
          ha='center',
          va='center',
          fontsize=7,
          color='black' if x > 0.6 else 'white',
        )
  figure.colorbar(picture, label='share of the truth', shrink=0.8)
  canvas.draw()
  return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def evaluation_pictures(
  evaluation: Any, info: Any, *, prefix: str = 'val', width: int = 480
) -> Mapping[str, np.ndarray]:
  """What TensorBoard shows of an `evaluate.Evaluation`.

  Args:
    evaluation: Its `pictures` and `confusion` are drawn.
    info: `DatasetInfo` of the classes.
    prefix: Of the names.
    width: Of each of the four parts of a panel.

  Returns:
    uint8[h, w, 3] by name: `val/picture_0`, ..., `val/confusion`.
  """
  result = {}
  for i, picture in enumerate(evaluation.pictures):
    parts = panel(
      *(picture[k] for k in ('image', 'label', 'pred')),
      info.palette,
      width=width,
    )
    names = legend(info.class_names, info.palette, width=parts.shape[1])
    names = names[:, : parts.shape[1]]
    result[f'{prefix}/picture_{i}'] = np.concatenate([parts, names])
  result[f'{prefix}/confusion'] = confusion_picture(
    evaluation.confusion, info.class_names
  )
  return result


def _same_size(a, b):
  if a.shape[:2] != b.shape[:2]:
    raise ValueError(
      f'pictures of {a.shape[:2]} and {b.shape[:2]} pixels (height, width) '
      "can't be laid over each other; expected equal sizes."
    )


def _canvas(height, width):
  canvas = np.empty((height, width, 3), np.uint8)
  canvas[:] = _PAPER
  return canvas


def _titled(part, title):
  head = _canvas(_TEXT_HEIGHT + 2 * _GAP, part.shape[1])
  _write(head, title, _GAP, _TEXT_HEIGHT + _GAP // 2)
  return np.concatenate([head, part])


def _text_width(text):
  return cv2.getTextSize(text, _FONT, 0.42, 1)[0][0]


def _write(canvas, text, x, y):
  cv2.putText(canvas, text, (x, y), _FONT, 0.42, _INK, 1, cv2.LINE_AA)
