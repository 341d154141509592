"""The pictures with the lowest mIoU, kept small."""

import base64
import dataclasses
import io
import json
import threading
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from PIL import Image

from deeplax.data.info import IGNORE_LABEL
from deeplax.tally import sum_over_processes

COUNT = 20
SIDE = 640  # pixels, of the longer one
PARTS = ('image', 'truth', 'prediction', 'error')
_QUALITY = (85, 70, 50, 30)  # of JPEG, until a picture is small enough
_LARGEST = 90_000  # bytes
# What is right can be seen through, what is wrong is red, void is dark.
_ERROR_COLOURS = bytes([0, 0, 0, 239, 55, 55, 0, 0, 0])
_ERROR_OPACITY = bytes([0, 230, 150])


@dataclasses.dataclass(frozen=True, order=True)
class Picture:
  """One that was kept; the order is from the worst to the best.

  Attributes:
    miou: Over the classes that its truth has.
    index: In the source.
    id: Of the example.
    parts: A JPEG of the image and PNGs of the others, by `PARTS`; `error` has
      an alpha channel, to be laid over the image.
    iou: By train id, of the classes that its truth has.
  """

  miou: float
  index: int
  id: str
  parts: dict[str, bytes] = dataclasses.field(compare=False)
  iou: dict[int, float] = dataclasses.field(compare=False)

  def to_json(self) -> dict[str, Any]:
    """Plain: the parts as base64, class ids as texts."""
    parts = {k: base64.b64encode(v).decode() for k, v in self.parts.items()}
    iou = {str(c): v for c, v in self.iou.items()}
    return {**vars(self), 'parts': parts, 'iou': iou}

  @classmethod
  def from_json(cls, tree: dict[str, Any]) -> 'Picture':
    """What `to_json` gave; KeyError, TypeError, ValueError: another thing."""
    parts = {
      k: base64.b64decode(tree['parts'][k], validate=True) for k in PARTS
    }
    iou = {int(c): float(v) for c, v in tree['iou'].items()}
    miou, index = float(tree['miou']), int(tree['index'])
    return cls(miou, index, str(tree['id']), parts, iou)


class Worst:
  """The `COUNT` worst of the pictures offered, in whatever order they come."""

  def __init__(self, count: int = COUNT):
    self._count, self._lock = count, threading.Lock()
    self.pictures: list[Picture] = []

  def offer(
    self, confusion: np.ndarray, index: int, make: Callable[[], Picture]
  ) -> None:
    """Takes a picture if it is among the worst so far.

    Args:
      confusion: int[G, K] of it; without a labelled pixel it is never taken.
      index: In the source: of two that are equal the first is kept.
      make: Makes the `Picture`; called only if it may be taken.
    """
    if not confusion.any():
      return
    rank = (score(confusion), index)
    with self._lock:
      if len(self.pictures) == self._count:
        last = self.pictures[-1]
        if rank > (last.miou, last.index):
          return
    picture = make()  # without the lock: encoding takes its time
    with self._lock:
      self.pictures = sorted([*self.pictures, picture])[: self._count]

  def add_processes(self) -> None:
    """Keeps the worst over all processes of the job; each has to call."""
    if jax.process_count() == 1:
      return
    mine = [json.dumps(p.to_json()).encode() for p in self.pictures]
    # By process and place: mIoU, index, bytes; no picture: no bytes.
    table = np.zeros((jax.process_count(), self._count, 3))
    for i, (picture, data) in enumerate(zip(self.pictures, mine)):
      row = (picture.miou, picture.index, len(data))
      table[jax.process_index(), i] = row
    table = sum_over_processes(table)
    ranks = sorted(
      (*table[p, i, :2], p, i) for p, i in zip(*np.nonzero(table[..., 2]))
    )
    self.pictures = []
    for _, _, process, i in ranks[: self._count]:
      # One at a time: of all processes no more than this is in memory.
      data = np.zeros(int(table[process, i, 2]), np.uint8)
      if process == jax.process_index():
        data[:] = np.frombuffer(mine[i], np.uint8)
      data = sum_over_processes(data).astype(np.uint8)
      self.pictures.append(Picture.from_json(json.loads(data.tobytes())))


def iou_of_present(confusion: np.ndarray) -> dict[int, float]:
  """IoU by train id, of the classes that the truth of a picture has."""
  hits = np.diagonal(confusion)
  truth = confusion.sum(1)
  union = truth + confusion.sum(0)[: len(confusion)] - hits
  return {int(c): float(hits[c] / union[c]) for c in np.flatnonzero(truth)}


def score(confusion: np.ndarray) -> float:
  """Mean of `iou_of_present`: a class that is only predicted costs those that
  it was taken for, and is not a 0 of its own."""
  values = [*iou_of_present(confusion).values()]
  return sum(values) / len(values)


def encode(
  image: np.ndarray, label: np.ndarray, pred: np.ndarray, palette: np.ndarray
) -> dict[str, bytes]:
  """The parts of a `Picture`, at most `SIDE` pixels high and wide.

  Args:
    image: uint8[h, w, 3].
    label: uint8[H, W], 255 = void.
    pred: uint8[H, W].
    palette: uint8[256, 3].
  """
  height, width = label.shape
  scale = min(SIDE / max(height, width), 1)
  size = (max(round(width * scale), 1), max(round(height * scale), 1))
  error = np.where(label == pred, np.uint8(0), np.uint8(1))
  error[label == IGNORE_LABEL] = 2
  colours = palette.tobytes()
  return {
    'image': _jpeg(Image.fromarray(image).resize(size, Image.Resampling.BOX)),
    'truth': _png(label, size, colours),
    'prediction': _png(pred, size, colours),
    'error': _png(error, size, _ERROR_COLOURS, transparency=_ERROR_OPACITY),
  }


def _jpeg(image):
  for quality in _QUALITY:
    file = io.BytesIO()
    image.save(file, 'JPEG', quality=quality, optimize=True)
    if file.tell() <= _LARGEST:
      break
  return file.getvalue()


def _png(indices, size, colours, **options):
  picture = Image.fromarray(indices)
  picture = picture.resize(size, Image.Resampling.NEAREST)
  picture.putpalette(colours)
  file = io.BytesIO()
  picture.save(file, 'PNG', optimize=True, **options)
  return file.getvalue()
