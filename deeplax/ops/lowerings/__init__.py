"""Ways to compute one convolution; all give the same answer.

A module here is a lowering, called by its name: `lower(x, kernel, window)` is
the convolution of `ops.conv.conv` with the padding of `window`; `applies`
tells for which windows it can be, and `APPLIES` says so in words. `choice`
picks one.
"""

import importlib
import types

from deeplax.ops.lowerings.window import Window

TABLE = {
  name: importlib.import_module(f'{__name__}.{name}')
  for name in (
    'dense_cpu',
    'depthwise_cpu',
    'depthwise_shifted',
    'depthwise_space_to_batch',
    'im2col',
    'pallas_depthwise',
    'point',
    'shifted',
    'space_to_batch',
    'winograd',
    'xla',
  )
}


def applicable(window: Window) -> list[str]:
  """Names of the lowerings that can compute `window`."""
  return [name for name, module in TABLE.items() if module.applies(window)]


def find(name: str, window: Window) -> types.ModuleType:
  """The lowering of that name.

  Raises:
    ValueError: There is none, or it can't compute `window`.
  """
  if name not in TABLE:
    raise ValueError(
      f'There is no lowering {name!r}; there are: auto, {", ".join(TABLE)}.'
    )
  if not TABLE[name].applies(window):
    raise ValueError(
      f'The lowering {name!r} applies {TABLE[name].APPLIES}; this is {window}, '
      f'for which there are: {", ".join(applicable(window))}.'
    )
  return TABLE[name]
