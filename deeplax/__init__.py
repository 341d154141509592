"""The DeepLab family for semantic segmentation in JAX.

`load` and `build` are imported when they are asked for, and JAX with them.
"""

import importlib
import typing

if typing.TYPE_CHECKING:  # for editors, which don't run `__getattr__`
  from deeplax.family import build
  from deeplax.result import Result
  from deeplax.segmenter import Segmenter, load

__all__ = ['Result', 'Segmenter', 'build', 'load']

_HOMES = {
  'Result': 'result',
  'Segmenter': 'segmenter',
  'build': 'family',
  'load': 'segmenter',
}


def __getattr__(name: str) -> typing.Any:
  if name not in _HOMES:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  return getattr(importlib.import_module(f'{__name__}.{_HOMES[name]}'), name)


def __dir__() -> list[str]:
  return sorted({*globals(), *_HOMES})
