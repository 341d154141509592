"""Networks, found by module name: a new file is a new choice."""

import importlib
import pkgutil
import types

import flax.linen as nn

from deeplax.models.initialize import abstract_variables, initialize

__all__ = [
  'abstract_variables',
  'available',
  'build',
  'find',
  'initialize',
]


def build(num_classes: int, *, name: str = 'deeplab', **keys) -> nn.Module:
  """Builds a network.

  `apply(variables, image, train=...)` of the result gives `(logits,
  endpoints)`: see `deeplab.DeepLab`. Other values of `output_stride`,
  `dtype`, `remat` and `freeze_bn` take the same variables.

  Args:
    num_classes: Channels of the logits, the trained void class included.
    name: Kind of network, a module of `deeplax/models` with a `build`.
    **keys: The rest of `config.model`; see `options.Options`.

  Returns:
    A Flax module.

  Raises:
    ValueError: For a name, key, variant or combination that does not exist.
  """
  kinds = [m for m in available() if hasattr(find(m), 'build')]
  if name not in kinds:
    raise ValueError(
      f'There is no model {name!r}; there are: {", ".join(kinds)}.'
    )
  return find(name).build(num_classes, **keys)


def available(kind: str = '') -> list[str]:
  """Names of the modules in `deeplax/models/<kind>`."""
  package = importlib.import_module('.'.join(filter(None, (__name__, kind))))
  return sorted(
    m.name for m in pkgutil.iter_modules(package.__path__) if not m.ispkg
  )


def find(name: str, kind: str = '') -> types.ModuleType:
  """Imports a module of `deeplax/models/<kind>` by name.

  Raises:
    ValueError: If there is none; lists those there are.
  """
  names = available(kind)
  if name not in names:
    what = kind.removesuffix('s') or 'model'
    raise ValueError(
      f'There is no {what} {name!r}; there are: {", ".join(names)}.'
    )
  return importlib.import_module('.'.join(filter(None, (__name__, kind, name))))
