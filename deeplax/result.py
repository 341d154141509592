"""What a run says about one picture: to look at, to count, to save."""

import base64
import functools
import html
import io
import os
import pathlib
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image

from deeplax import picture_files, visualize
from deeplax.data.info import IGNORE_LABEL, DatasetInfo
from deeplax.errors import UserError
from deeplax.picture_inputs import Stored
from deeplax.predict import FORMATS, render

# Longest side of what a notebook shows, in pixels.
_SHOWN = 960


class Result:
  """The prediction for one picture, on the pixels of the picture as stored.

  >>> import deeplax
  >>> result = deeplax.load('runs/r101')('street.jpg')
  >>> result.labels.shape, result.labels.dtype.name
  ((64, 96), 'uint8')
  >>> result.probs.shape  # one for each class
  (64, 96, 19)
  >>> bool((result.probs.argmax(-1) == result.labels).all())
  True
  >>> result.class_names[:3]
  ('road', 'sidewalk', 'building')
  >>> round(sum(result.shares.values()), 6)  # of the pixels, by class
  1.0
  >>> result.overlay().size  # of Pillow: width, height
  (96, 64)
  >>> result.save('out/street.png', format='label_id').name
  'street.png'

  A photograph whose EXIF says that it lies on its side is turned upright for
  the network, and what comes out is turned back: `labels[y, x]` is the class of
  `image[y, x]`, and of that pixel of `numpy.asarray(PIL.Image.open(path))`.
  Pictures and files that are made here have the same EXIF orientation; a
  notebook shows them upright.

  Attributes:
    image: uint8[H, W, 3], RGB: the picture.
    labels: uint8[H, W]: train ids, and 255 where void is predicted.
    path: Of the file, or None for a picture that was in memory.
  """

  def __init__(
    self,
    stored: Stored,
    labels: np.ndarray,
    info: DatasetInfo,
    probs: Callable[[], np.ndarray],
  ):
    """Of `Segmenter`.

    Args:
      stored: The picture.
      labels: uint8[H, W], on its pixels.
      info: The classes.
      probs: Gives float32[H, W, K] when it is asked for.
    """
    self.image, self._orientation, self.path = stored
    self.labels, self._info, self._probs = labels, info, probs

  @property
  def class_names(self) -> tuple[str, ...]:
    """By train id."""
    return self._info.class_names

  @property
  def palette(self) -> np.ndarray:
    """uint8[256, 3], RGB by train id; void is black."""
    return self._info.palette

  @functools.cached_property
  def probs(self) -> np.ndarray:
    """float32[H, W, C], C classes, and void as one more where it is trained.

    They sum to 1, and the largest is that of `labels`. The first access runs
    the network again, as scores of full size are large (19 classes at 1024 x
    2048: 160 MB); then they are kept as long as this object is.
    """
    return _agreeing(self._probs(), self.labels)

  @functools.cached_property
  def shares(self) -> dict[str, float]:
    """Share of the pixels by class, largest first; `'void'` for 255."""
    counts = np.bincount(self.labels.ravel(), minlength=256)
    found = sorted(np.flatnonzero(counts), key=lambda i: -counts[i])
    shares: dict[str, float] = {}
    for i in found:  # two classes may have one name
      name = 'void' if i == IGNORE_LABEL else self.class_names[i]
      shares[name] = shares.get(name, 0.0) + float(counts[i] / self.labels.size)
    return shares

  def overlay(self) -> Image.Image:
    """0.35 picture + 0.65 class colours, RGB."""
    return self._picture('overlay')

  def color(self) -> Image.Image:
    """The class colours alone, RGB."""
    return self._picture('color')

  def save(
    self, path: str | os.PathLike, format: str = 'overlay'
  ) -> pathlib.Path:
    """Writes the PNG that launch/predict.py writes as `format`.

    Args:
      path: Ends in `.png`; its folder is made.
      format: `'overlay'`, `'color'`, or ids of one channel: `'train_id'` (void
        255) or `'label_id'`, those of the data set (void 0).

    Returns:
      The path.

    Raises:
      UserError: Another format, or a path that can't be written or is that of
        the picture.
    """
    if format not in FORMATS:
      raise UserError(
        f'format {format!r} is not known; expected one of {", ".join(FORMATS)}.'
      )
    path = pathlib.Path(path).expanduser()
    if path.suffix.lower() != '.png':
      raise UserError(
        f'{path} does not end in .png; ids and colours are kept by PNG alone.'
      )
    if self.path and os.path.realpath(path) == os.path.realpath(self.path):
      raise UserError(f'{path} is the picture itself; give another name.')
    try:
      path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
      raise UserError(
        f'{path.parent} can not be made ({error.strerror}). Choose another '
        'folder.'
      ) from error
    picture_files.write_png(path, self._render(format), self._orientation)
    return path

  def _render(self, kind: str) -> np.ndarray:
    return render(kind, self.image, self.labels, self._info)

  def _picture(self, kind: str) -> Image.Image:
    picture = Image.fromarray(self._render(kind))
    if self._orientation != 1:
      exif = picture.getexif()
      exif[picture_files.ORIENTATION] = self._orientation
      picture.info['exif'] = exif.tobytes()  # which copies keep
    return picture

  def __repr__(self) -> str:
    height, width = self.labels.shape
    shares = [f'{k} {100 * v:.0f} %' for k, v in self.shares.items()]
    more = [f'{len(shares) - 4} more'] if len(shares) > 4 else []
    return (
      f'Result({self.path or "array"}, {height}x{width}: '
      f'{", ".join(shares[:4] + more)})'
    )

  def _shown(self) -> np.ndarray:
    """The overlay upright, at a size for the screen."""
    image = picture_files.turn(self._render('overlay'), self._orientation)
    scale = _SHOWN / max(image.shape[:2])
    if scale >= 1:
      return image
    size = [max(round(n * scale), 1) for n in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)

  def _repr_png_(self) -> bytes:
    """The overlay above a legend of the classes that are there."""
    image = self._shown()
    ids = np.unique(self.labels)
    names = [(*self.class_names, *['void'] * 256)[i] for i in ids]
    legend = visualize.legend(names, self.palette[ids], width=image.shape[1])
    rows, columns = image.shape[0], max(image.shape[1], legend.shape[1])
    sheet = np.empty((rows + legend.shape[0], columns, 3), np.uint8)
    sheet[:] = legend[0, 0]
    sheet[:rows, : image.shape[1]] = image
    sheet[rows:, : legend.shape[1]] = legend
    return _png(sheet)

  def _repr_html_(self) -> str:
    """The same with the shares, for notebooks."""
    colours = dict(zip(self.class_names, self.palette.tolist()))
    rows = ''.join(
      f'<span style="white-space:nowrap;margin-right:1em"><span style="display:'
      f'inline-block;width:1em;height:1em;margin-right:.3em;background:'
      f'rgb{tuple(colours.get(name, (0, 0, 0)))}"></span>'
      f'{html.escape(name)} {100 * share:.1f} %</span> '
      for name, share in self.shares.items()
    )
    height, width = self.labels.shape
    title = html.escape(f'{self.path or "array"}, {height}x{width}')
    data = base64.b64encode(_png(self._shown())).decode()
    return (
      f'<figure style="margin:0"><img alt="{title}" style="max-width:100%" '
      f'src="data:image/png;base64,{data}"><figcaption>{title}<br>{rows}'
      '</figcaption></figure>'
    )


def _agreeing(probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """`probs` whose largest is that of the label, at every pixel.

  Labels and probabilities are of two programs, which round otherwise: where two
  classes are nearly equal the wrong one may lead. Then these two change places.
  """
  void = probs.shape[-1] - 1
  wanted = np.where(labels == IGNORE_LABEL, void, labels).astype(np.intp)
  y, x = np.nonzero(probs.argmax(-1) != wanted)
  if not y.size:
    return probs
  probs = probs.copy()
  wanted = wanted[y, x]
  leading = probs[y, x].argmax(-1)
  high, low = probs[y, x, leading], probs[y, x, wanted]
  probs[y, x, leading] = low
  # Of two equal ones the first would lead.
  probs[y, x, wanted] = np.where(high > low, high, np.nextafter(high, 2))
  return probs


def _png(image: np.ndarray) -> bytes:
  file = io.BytesIO()
  Image.fromarray(image).save(file, 'PNG')
  return file.getvalue()
