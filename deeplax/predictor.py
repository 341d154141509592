"""Predicts pictures of any size, as evaluation sees them."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from deeplax import inference, refinement, sharding
from deeplax.data import ops as operations
from deeplax.data.info import IGNORE_LABEL, DatasetInfo


class Prepared(NamedTuple):
  """What the network gets of a picture.

  Attributes:
    image: uint8[h, w, 3], resized or padded.
    size: (height, width) of what it gives; that of the picture, or padded.
  """

  image: np.ndarray
  size: tuple[int, int]


class Predictor:
  """`predictor(image)` -> train ids; compiled once for each shape.

  The call is `prepare`, `start` and `finish` of one picture; `batching` does
  them for many, so that the device is never waited for.

  Attributes:
    shapes: What was compiled: shapes of the images, and sizes.
  """

  def __init__(
    self,
    model: Any,
    variables: dict[str, Any],
    info: DatasetInfo,
    *,
    resize_to: tuple[int, int] | None = None,
    padding: str = '',
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    align_corners: bool = False,
    half_pixel_centers: bool = True,
    window: tuple[int, int] | None = None,
    crf: Mapping[str, Any] | None = None,
    mesh: Mesh | None = None,
  ):
    """Puts the variables on the device.

    Args:
      model: A module of `deeplax.models.build`.
      variables: `{'params', 'batch_stats'}`.
      info: The classes; an output beyond them is void.
      resize_to: (height, width) that the network sees of every picture.
      padding: Or the operation by which pictures are padded for it.
      scales, flip, align_corners, half_pixel_centers, window: See
        `inference.predict_logits`.
      crf: Of `refinement.options`; what the network says goes through the CRF.
      mesh: Devices that share the rows of a picture; default: the first one.
    """
    self._crf, self.num_classes = crf, info.num_classes
    self.largest_scale = max(scales)
    self.shapes: set[tuple] = set()
    if mesh is None:
      mesh = sharding.make_mesh(devices=jax.local_devices()[:1])
    self._mesh = mesh
    self._variables = jax.device_put(variables, sharding.replicated(mesh))
    # The same operations, and rounding, as in evaluation.
    self._ops = padding
    if resize_to:
      self._ops = 'resize_image({}, {})'.format(*resize_to)

    @functools.partial(jax.jit, static_argnames=('size', 'probs'))
    def predict(variables, image, size, probs):
      image = sharding.cut(image)
      wanted = inference.predict_probs if probs else inference.predict_labels
      found = wanted(
        lambda x: model.apply(variables, x, train=False)[0],
        image,
        out_size=size,
        scales=scales,
        flip=flip,
        align_corners=align_corners,
        half_pixel_centers=half_pixel_centers,
        window=window,
      )
      if probs:
        return found
      return jnp.where(found < info.num_classes, found, IGNORE_LABEL)

    self._predict = predict

  def __call__(self, image: np.ndarray) -> np.ndarray:
    """uint8[H, W, 3], RGB -> uint8[H, W], 255 where void is predicted."""
    ready = self.prepare(image)
    out = self.start(ready.image[None], ready.size)
    return self.finish(image, np.asarray(out)[0])

  def prepare(self, image: np.ndarray) -> Prepared:
    """What is to be done to a picture, uint8[H, W, 3], before the network."""
    example = {'image': image, 'label': np.zeros(image.shape[:2], np.uint8)}
    example = operations.apply(
      operations.parse(self._ops), example, np.random.default_rng(0)
    )
    return Prepared(example['image'], example['label'].shape)

  def start(self, images: np.ndarray, size: tuple[int, int]) -> jax.Array:
    """Sends a batch to the device, and does not wait for it.

    Args:
      images: uint8[B, h, w, 3], of `prepare`.
      size: Of `prepare`, the same for all of them.

    Returns:
      For `finish`: uint8[B, *size], or with a CRF float32[B, *size, K].
    """
    self.shapes.add((images.shape, size))
    return self._run(images, size, probs=self._crf is not None)

  def _run(self, images, size, *, probs):
    batch = sharding.put_batch({'image': images}, self._mesh)
    return self._predict(
      self._variables, batch['image'], size=size, probs=probs
    )

  def finish(self, image: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Train ids of a picture, uint8[H, W].

    Args:
      image: uint8[H, W, 3], the picture itself.
      out: What `start` gave for it.
    """
    height, width = image.shape[:2]
    out = out[:height, :width]
    if self._crf is None:
      return out
    pred = np.argmax(refinement.refine(image, out, self._crf), axis=-1)
    pred[pred >= self.num_classes] = IGNORE_LABEL
    return pred.astype(np.uint8)

  def probs(self, image: np.ndarray) -> np.ndarray:
    """uint8[H, W, 3] -> float32[H, W, K]; compiled by itself for each shape.

    K is the number of outputs: one more than classes, the last, if void is
    trained. With a CRF it has been through that.
    """
    ready = self.prepare(image)
    out = self._run(ready.image[None], ready.size, probs=True)
    height, width = image.shape[:2]
    out = np.asarray(out)[0, :height, :width]
    if self._crf is not None:
      out = refinement.refine(image, out, self._crf)
    return np.asarray(out, np.float32)


def evaluation_size(ops: str) -> tuple[int, int] | None:
  """(height, width) to which `config.input.eval` resizes, or None."""
  parsed = [op for op in operations.parse(ops) if op.name.startswith('resize')]
  return operations.crop_size(parsed)


def evaluation_padding(ops: str) -> str:
  """The operation by which `config.input.eval` pads pictures, or ''."""
  padding = [op for op in operations.parse(ops) if op.name.startswith('pad_')]
  return f'{padding[-1]}' if padding else ''
