"""The pure function that is exported: a picture in, its labels out."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from deeplax import config as config_lib
from deeplax import inference, models
from deeplax.data import ops
from deeplax.data.geometry import MEAN_PIXEL
from deeplax.data.info import IGNORE_LABEL, DatasetInfo
from deeplax.errors import RunError
from deeplax.ops.resize import resize
from deeplax.predictor import evaluation_padding, evaluation_size

INPUT = 'image'
# What every compiler knows; the network is the same.
LOWERING = dict(
  conv_lowering='xla',
  space_to_batch='off',
  aspp_lowering='convolutions',
  remat=False,
)


@dataclasses.dataclass(frozen=True)
class Program:
  """What a format gets to write.

  Attributes:
    function: uint8[B, H, W, 3] -> `{'labels': uint8[B, H, W]}` and, where they
      were asked for, `'probs'`, float32[B, H, W, K]. Its parameters are
      constants of it.
    size: (H, W).
    dynamic_batch: Whether B is any number, or else 1.
  """

  function: Callable[[jax.Array], dict[str, jax.Array]]
  size: tuple[int, int]
  dynamic_batch: bool = False

  @property
  def shape(self) -> tuple[int | None, int, int, int]:
    """Of the pictures; None for any number of them."""
    return (None if self.dynamic_batch else 1, *self.size, 3)


def network(
  config: ml_collections.ConfigDict,
  info: DatasetInfo,
  output_stride: int | None = None,
  **lowering: Any,
) -> tuple[Any, dict[str, Any]]:
  """The network that is exported: in float32, and without a CRF as its end.

  Args:
    config: Of the run.
    info: Its classes.
    output_stride: Default: `config.model.output_stride`.
    **lowering: How it is to be computed, as keys of `config.model`.

  Returns:
    The module, and `config.model` as it is of that.

  Raises:
    RunError: There is no such network.
  """
  options = {**config_lib.model_options(config), 'dtype': 'float32'}
  options['crf_rnn'] = 0
  if output_stride is not None:
    options['output_stride'] = output_stride
  try:
    outputs = config_lib.num_outputs(config, info)
    return models.build(outputs, **{**options, **lowering}), options
  except ValueError as error:
    raise RunError(str(error)) from error


def build(
  config: ml_collections.ConfigDict,
  info: DatasetInfo,
  variables: Mapping[str, Any],
  size: tuple[int, int],
  output_stride: int | None = None,
  *,
  probs: bool = False,
  dynamic_batch: bool = False,
) -> Program:
  """The function of a run: what `predictor.Predictor` does, in one piece.

  Args:
    config: Of the run.
    info: Its classes.
    variables: `{'params', 'batch_stats'}` as numpy arrays.
    size: (height, width) of the pictures.
    output_stride: Default: `config.model.output_stride`.
    probs: Whether probabilities are given, too.
    dynamic_batch: Whether any number of pictures is taken at once.

  Raises:
    RunError: There is no such network, or no such size.
  """
  if min(size) < 1:
    raise RunError(
      f'--size is {size[0]}x{size[1]}; expected two sizes above 0, such as '
      '512x1024.'
    )
  model, _ = network(config, info, output_stride, **LOWERING)
  resize_to = evaluation_size(config.input.eval)
  padding = ops.parse(evaluation_padding(config.input.eval))

  def segment(image):
    x, out_size = _prepared(image, resize_to, padding)
    logits = inference.predict_logits(
      lambda x: model.apply(variables, x, train=False)[0],
      x,
      out_size=out_size,
      **config_lib.resampling(config),
    )[:, : size[0], : size[1]]
    labels = jnp.argmax(logits, axis=-1)
    if logits.shape[-1] > info.num_classes:
      labels = jnp.where(labels < info.num_classes, labels, IGNORE_LABEL)
    # Last of all: TensorFlow Lite compares no bytes.
    found = {'labels': labels.astype(jnp.uint8)}
    if probs:
      found['probs'] = jax.nn.softmax(logits)
    return found

  return Program(segment, tuple(size), dynamic_batch)


def _prepared(image, resize_to, padding):
  """What the network sees, and the size of what it gives for that."""
  size = image.shape[1:3]
  image = image.astype(jnp.float32)
  if resize_to:
    # Evaluation has whole numbers here.
    return jnp.round(resize(image, resize_to)), size
  for op in padding:
    padded = op.size(size)
    mean = jnp.asarray(MEAN_PIXEL, jnp.float32)
    added = ((0, m - n) for m, n in zip(padded, size))
    image = jnp.pad(image - mean, ((0, 0), *added, (0, 0))) + mean
    size = padded
  return image, size
