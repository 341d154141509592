"""Losses by name, a module each: a new file is a new choice of `loss.name`.

A module has `build(...) -> loss` with the keys of `config.loss` that it knows
as keyword arguments, of `class_weights` (float[K] or None), `label_smoothing`,
`hard_pixels`, `hard_pixels_ramp`, `normalize_by` and `region_weight`; with
`**options` it gets them all. A name that begins with `_` is no loss: those of
regions share `_region`. What `build` gives is

  loss(logits: float[B, H, W, K], labels: int[B, H, W], step) -> (sum, weight),

labels 255 where a pixel does not count. The caller divides, once, over the
global batch: a batch that is split over devices or micro-batches gives the same
loss and gradient as one that is not. The least there can be:

  # deeplax/losses/focal.py: --config.loss.name=focal
  import jax.numpy as jnp
  from deeplax.losses.cross_entropy import CrossEntropy

  def build():
    def loss(logits, labels, step):
      nll = CrossEntropy().pixels(logits, labels)  # 0 where none counts
      total = jnp.sum((1 - jnp.exp(-nll)) ** 2 * nll)
      return total, jnp.sum(labels != 255).astype(nll.dtype)
    return loss
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any

from deeplax.losses.cross_entropy import (
  IGNORE_LABEL,
  CrossEntropy,
  class_weights,
  cross_entropy,
  hard_pixel_fraction,
  ignore_easy,
)

__all__ = [
  'IGNORE_LABEL',
  'CrossEntropy',
  'available',
  'build',
  'class_weights',
  'cross_entropy',
  'hard_pixel_fraction',
  'ignore_easy',
]

# Keys of `config.loss` as they are when nobody changes them.
_PLAIN = {
  **{
    k: p.default for k, p in inspect.signature(CrossEntropy).parameters.items()
  },
  'region_weight': 1.0,
}


def available() -> list[str]:
  """The names that `build` knows."""
  names = (module.name for module in pkgutil.iter_modules(__path__))
  return sorted(name for name in names if not name.startswith('_'))


def build(name: str, **options: Any) -> Callable:
  """The loss of a module of this package.

  Args:
    name: Of the module.
    **options: Keys of `config.loss`; one that the loss does not know must have
      the value that it has when nobody changes it.

  Raises:
    ValueError: No such loss, or a key that it does not know.
  """
  if name not in available():
    raise ValueError(
      f'There is no loss {name!r}; there are: {", ".join(available())}.'
    )
  make = importlib.import_module(f'{__name__}.{name}').build
  known = inspect.signature(make).parameters
  if any(p.kind is p.VAR_KEYWORD for p in known.values()):
    known = options
  for key, value in options.items():
    plain = _PLAIN.get(key)
    if key not in known and value is not None and value != plain:
      raise ValueError(
        f'The loss {name!r} has no {key}, which is {value!r}; it has: '
        f'{", ".join(known) or "none of these keys"}. Leave {key} at '
        f'{plain!r}, or choose another loss.'
      )
  return make(**{key: options[key] for key in known if key in options})
