"""Predicts one picture of any size, as evaluation sees it."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deeplax import inference, refinement
from deeplax.data import ops as operations
from deeplax.data.info import IGNORE_LABEL, DatasetInfo


class Predictor:
  """`predictor(image)` -> train ids; compiled once for each size of picture."""

  def __init__(
    self,
    model: Any,
    variables: dict[str, Any],
    info: DatasetInfo,
    *,
    resize_to: tuple[int, int] | None = None,
    pad_to: int | None = None,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    align_corners: bool = False,
    half_pixel_centers: bool = True,
    window: tuple[int, int] | None = None,
    crf: Mapping[str, Any] | None = None,
  ):
    """Puts the variables on the device.

    Args:
      model: A module of `deeplax.models.build`.
      variables: `{'params', 'batch_stats'}`.
      info: The classes; an output beyond them is void.
      resize_to: (height, width) that the network sees of every picture.
      pad_to: Or it sees pictures padded to multiples of this.
      scales, flip, align_corners, half_pixel_centers, window: See
        `inference.predict_logits`.
      crf: Of `refinement.options`; what the network says goes through the CRF.
    """
    self._crf, self._num_classes = crf, info.num_classes
    self._variables = jax.device_put(variables)
    # The same operations, and rounding, as in evaluation.
    self._ops = ''
    if resize_to:
      self._ops = 'resize_image({}, {})'.format(*resize_to)
    elif pad_to:
      self._ops = f'pad_to_multiple({pad_to})'

    @functools.partial(jax.jit, static_argnames='size')
    def predict(variables, image, size):
      wanted = inference.predict_labels
      if crf is not None:
        wanted = inference.predict_probs
      found = wanted(
        lambda x: model.apply(variables, x, train=False)[0],
        image,
        out_size=size,
        scales=scales,
        flip=flip,
        align_corners=align_corners,
        half_pixel_centers=half_pixel_centers,
        window=window,
      )[0]
      if crf is not None:
        return found
      return jnp.where(found < info.num_classes, found, IGNORE_LABEL)

    self._predict = predict

  def __call__(self, image: np.ndarray) -> np.ndarray:
    """uint8[H, W, 3], RGB -> uint8[H, W], 255 where void is predicted."""
    height, width = image.shape[:2]
    example = {'image': image, 'label': np.zeros((height, width), np.uint8)}
    example = operations.apply(
      operations.parse(self._ops), example, np.random.default_rng(0)
    )
    pred = self._predict(
      self._variables, example['image'][None], size=example['label'].shape
    )
    pred = np.asarray(pred)[:height, :width]
    if self._crf is None:
      return pred
    probs = refinement.refine(image, pred, self._crf)
    pred = np.argmax(probs, axis=-1)
    pred[pred >= self._num_classes] = IGNORE_LABEL
    return pred.astype(np.uint8)


def evaluation_size(ops: str) -> tuple[int, int] | None:
  """(height, width) to which `config.input.eval` resizes, or None."""
  parsed = [op for op in operations.parse(ops) if op.name.startswith('resize')]
  return operations.crop_size(parsed)


def evaluation_multiple(ops: str) -> int | None:
  """That to which `config.input.eval` pads pictures, or None."""
  multiples = [
    dict(op.arguments)['k']
    for op in operations.parse(ops)
    if op.name == 'pad_to_multiple'
  ]
  return multiples[-1] if multiples else None
