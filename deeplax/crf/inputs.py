"""Checks of what `dense_crf` is given, before anything is computed.

Values under `jit` are not known yet: only shapes are checked there.
"""

from typing import Any, NamedTuple

import jax
import numpy as np

from deeplax.crf.kernel import NORMALIZATIONS
from deeplax.errors import UserError

METHODS = ('lattice', 'grid')


class Terms(NamedTuple):
  """The pairwise terms that there are.

  Attributes:
    spatial: Widths (x, y) of the spatial kernel, or None.
    bilateral: Widths (x, y) and (r, g, b) of the bilateral one, or None.
    weights: Of those that are not None, in this order.
  """

  spatial: tuple[float, float] | None
  bilateral: tuple[tuple[float, float], tuple[float, float, float]] | None
  weights: tuple[Any, ...]


def is_traced(*values: Any) -> bool:
  """Whether JAX is tracing any of them."""
  return any(isinstance(v, jax.core.Tracer) for v in jax.tree.leaves(values))


def check_terms(spatial: Any, bilateral: Any) -> Terms:
  """`spatial=(sxy, weight)`, `bilateral=(sxy, srgb, weight)`, taken apart."""
  if spatial is None and bilateral is None:
    raise UserError(
      'Both spatial and bilateral are None; expected at least one kernel, such '
      'as **deeplax.crf.DEEPLAB_V2.'
    )
  weights = []
  if spatial is not None:
    sxy, weight = _entries(spatial, 'spatial', '(sxy, weight)', 2)
    spatial = _widths(sxy, 2, 'spatial sxy')
    weights.append(_weight(weight, 'spatial'))
  if bilateral is not None:
    names = '(sxy, srgb, weight)'
    sxy, srgb, weight = _entries(bilateral, 'bilateral', names, 3)
    bilateral = (
      _widths(sxy, 2, 'bilateral sxy'),
      _widths(srgb, 3, 'bilateral srgb'),
    )
    weights.append(_weight(weight, 'bilateral'))
  return Terms(spatial, bilateral, tuple(weights))


def check_options(
  num_iterations: int, normalization: str, method: str, capacity: int | None
) -> None:
  """Raises a UserError for a value that there is not."""
  for name, value, least in (
    ('num_iterations', num_iterations, 0),
    ('capacity', capacity, 1),
  ):
    if value is None and name == 'capacity':
      continue
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < least:
      raise UserError(
        f'{name} is {value!r}; expected a whole number, at least {least}.'
      )
  for name, value, known in (
    ('normalization', normalization, NORMALIZATIONS),
    ('method', method, METHODS),
  ):
    if value not in known:
      raise UserError(f'{name} is {value!r}; expected one of {known}.')


def check_image(image: Any) -> None:
  """Raises a UserError unless it is `[H, W, 3]` or a batch, in 0..255."""
  shape = np.shape(image)
  if len(shape) not in (3, 4) or shape[-1] != 3 or 0 in shape:
    raise UserError(
      f'image has shape {shape}; expected [H, W, 3] or [B, H, W, 3], RGB, with '
      'at least one pixel.'
    )
  if image.dtype == np.uint8 or is_traced(image):
    return
  low, high = np.min(image), np.max(image)
  # So written that NaN is refused too.
  if not (low >= 0 and high <= 255):
    raise UserError(
      f'image has values {low}..{high}; expected 0..255, uint8 or float.'
    )


def check_scores(
  image: Any, probs: Any, unary: Any, compatibility: Any
) -> None:
  """Raises a UserError for shapes that disagree and impossible values."""
  if (probs is None) == (unary is None):
    found = 'Neither probs nor' if probs is None else 'Both probs and'
    raise UserError(f'{found} unary were given; expected one of them.')
  name, scores = ('unary', unary) if probs is None else ('probs', probs)
  shape, pixels = np.shape(scores), np.shape(image)[:-1]
  if shape[:-1] != pixels or shape[-1] < 1:
    raise UserError(
      f'{name} has shape {shape}, the image {np.shape(image)}; expected '
      f'{(*pixels, "C")}, with C classes.'
    )
  if compatibility is not None:
    found, wanted = np.shape(compatibility), (shape[-1], shape[-1])
    if found != wanted:
      raise UserError(
        f'compatibility has shape {found}; expected {wanted}, a row for each '
        f'class of {name}.'
      )
    if not is_traced(compatibility) and not np.isfinite(compatibility).all():
      raise UserError('compatibility has values that are not finite.')
  if not is_traced(scores):
    _check_values(np.asarray(scores), name)


def _check_values(scores: np.ndarray, name: str) -> None:
  """NaN passes through minimum and maximum, and fails every comparison."""
  low, high = scores.min(), scores.max()
  if name == 'unary' and not (low > -np.inf and high < np.inf):
    bad = int((~np.isfinite(scores)).sum())
    raise UserError(
      f'unary has {bad} values that are not finite; expected energies, -log of '
      'probabilities. Give probabilities of 0 as probs=.'
    )
  # Sums of half-precision probabilities may exceed 1 by a little.
  if name == 'probs' and not (low >= 0 and high <= 1.01):
    bad = int((~((scores >= 0) & (scores <= 1.01))).sum())
    raise UserError(
      f'probs has {bad} values that are NaN or outside 0..1 ({low}..{high}); '
      'expected probabilities: take the softmax of logits first, or give '
      'energies as unary=.'
    )


def _entries(value: Any, name: str, expected: str, count: int):
  if not isinstance(value, (tuple, list)) or len(value) != count:
    raise UserError(f'{name} is {value!r}; expected {expected}.')
  return value


def _widths(value: Any, count: int, name: str) -> tuple[float, ...]:
  """One width for all axes, or one for each."""
  if is_traced(value):
    raise UserError(
      f'{name} is traced; expected numbers: the lattice is built from them.'
    )
  if np.ndim(value) == 0:
    value = (value,) * count
  try:
    widths = tuple(float(v) for v in value)
  except (TypeError, ValueError, OverflowError):
    widths = ()
  good = len(widths) == count and all(0 < w < np.inf for w in widths)
  if not good:
    axes = '(sx, sy)' if count == 2 else '(sr, sg, sb)'
    raise UserError(
      f'{name} is {value!r}; expected a standard deviation above 0, or '
      f'{axes}. Set {name.split()[0]}=None to leave the kernel out.'
    )
  return widths


def _weight(value: Any, name: str) -> Any:
  if is_traced(value):
    return value
  try:
    good = np.ndim(value) == 0 and np.isfinite(np.asarray(value, np.float64))
  except (TypeError, ValueError, OverflowError):
    good = False
  if not good:
    raise UserError(f'{name} weight is {value!r}; expected one finite number.')
  return value
