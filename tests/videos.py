"""Small videos, and a predictor that tells a frame's number from its red."""

import functools
import pathlib

import cv2
import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from deeplax.data.datasets import cityscapes
from deeplax.predictor import Predictor
from deeplax.video_writer import CODECS

INFO = cityscapes.INFO


class Net(nn.Module):
  """Each pixel's class is its red value / 13."""

  @nn.compact
  def __call__(self, image, *, train):
    red = jnp.floor(image[..., :1].astype(jnp.float32) / 13)
    return -jnp.abs(red - jnp.arange(19)), {}


@functools.cache  # compiles once a size
def predictor() -> Predictor:
  return Predictor(Net(), {}, INFO)


def frame(number: int, size=(48, 64)) -> np.ndarray:
  """uint8[H, W, 3] RGB: of class `number` everywhere, blue to the right."""
  image = np.zeros((*size, 3), np.uint8)
  image[..., 0] = 13 * number + 6
  image[:, size[1] // 2 :, 2] = 200
  return image


def write(path: pathlib.Path, count=12, fps=15.0, size=(48, 64)):
  """A video of frames 0, 1, ..."""
  writer = cv2.VideoWriter(
    str(path),
    cv2.CAP_FFMPEG,
    cv2.VideoWriter.fourcc(*CODECS[path.suffix]),
    fps,
    size[::-1],
  )
  for i in range(count):
    writer.write(frame(i, size)[..., ::-1])
  writer.release()
  return path


def read(path: pathlib.Path) -> tuple[list[np.ndarray], float]:
  """All frames, RGB, and how many a second."""
  capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
  frames = []
  while (found := capture.read())[0]:
    frames.append(found[1][..., ::-1])
  return frames, capture.get(cv2.CAP_PROP_FPS)


def classes(image: np.ndarray) -> np.ndarray:
  """The class whose colour is nearest: codecs alter colours a little."""
  palette = INFO.palette[:19].astype(int)
  return np.argmin(np.abs(image[..., None, :] - palette).sum(-1), -1)
