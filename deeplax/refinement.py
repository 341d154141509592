"""The fully connected CRF behind a network: its options, and its use."""

from collections.abc import Mapping
from typing import Any

import cv2
import ml_collections
import numpy as np

from deeplax import crf
from deeplax.crf import inputs
from deeplax.data import geometry
from deeplax.errors import ConfigError

# Of runs whose config has no `crf`: that of DeepLab V2.
_DEFAULT = dict(crf.DEEPLAB_V2, use=False)


def options(
  config: ml_collections.ConfigDict, use: bool | None = None, **overrides: Any
) -> dict[str, Any] | None:
  """Keyword arguments of `crf.dense_crf`, or None where it is not wanted.

  Args:
    config: Of a run.
    use: Whether it is wanted; None for `config.crf.use`.
    **overrides: `num_iterations`, `spatial`, `bilateral`, ... as of
      `dense_crf`; None and () leave what the config says.

  Raises:
    UserError: Parameters that can't be.
  """
  own = config.get('crf')
  merged = {**_DEFAULT, **(own.to_dict() if own else {})}
  merged |= {k: v for k, v in overrides.items() if v not in (None, ())}
  wanted = merged.pop('use') if use is None else use
  merged.pop('use', None)
  for key in ('spatial', 'bilateral'):  # lists come out of JSON
    if not isinstance(merged[key], (tuple, list, type(None))):
      raise ConfigError(
        f'crf.{key} (={merged[key]!r}) must hold numbers, or be ().'
      )
    merged[key] = tuple(merged[key] or ()) or None
  if not wanted:
    return None
  check(merged)
  return merged


def check(given: Mapping[str, Any]) -> None:
  """Raises a UserError for parameters of `crf.dense_crf` that can't be."""
  inputs.check_terms(given['spatial'], given['bilateral'])
  inputs.check_options(
    given['num_iterations'],
    given.get('normalization', 'symmetric'),
    given.get('method', 'lattice'),
    None,
  )


def refine(
  image: np.ndarray, probs: np.ndarray, given: Mapping[str, Any]
) -> np.ndarray:
  """Probabilities after the CRF, float32[H, W, K].

  Args:
    image: uint8[h, w, 3], scaled to H x W if it has another size.
    probs: float[H, W, K].
    given: Of `options`.
  """
  height, width = probs.shape[:2]
  if image.shape[:2] != (height, width):
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
  return np.asarray(crf.dense_crf(image, probs, **given))


def refine_labelled(
  image: np.ndarray,
  label: np.ndarray,
  probs: np.ndarray,
  given: Mapping[str, Any],
) -> np.ndarray:
  """As `refine`; rows and columns that were padded keep what they had."""
  height, width = geometry.unpadded(image, label)
  result = probs.copy()
  result[:height, :width] = refine(
    image[:height, :width] if image.shape[:2] == label.shape else image,
    probs[:height, :width],
    given,
  )
  return result
