"""Weights of other projects: one module a source, found by name.

A module has `read(path) -> File` and `find(path, file) -> Found | None`, what
of the file becomes the array `path` of ours; see `filling`. One that needs to
know what the network is built with has `adapt(file, options) -> File`, too.
"""

import importlib
import os
import pathlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from deeplax.errors import WeightsError
from deeplax.models.options import Options
from deeplax.pretrained import filling
from deeplax.pretrained.filling import File, Report

__all__ = ['File', 'Report', 'fill', 'read', 'sources']

# Modules here that are no source.
_TOOLS = (
  'differences',
  'filling',
  'hdf5',
  'pytorch',
  'tf_names',
  'torch_encoders',
)


def sources() -> list[str]:
  """Names of the sources there are."""
  return sorted(
    m.name for m in pkgutil.iter_modules(__path__) if m.name not in _TOOLS
  )


def read(source: str, path: str | os.PathLike) -> File:
  """Reads a file of weights; nothing in it is executed.

  Args:
    source: See `sources`.
    path: The file.

  Raises:
    WeightsError: The source does not exist, or the file can't be read.
  """
  path = pathlib.Path(path)
  module = _find(source)
  return module.read(path)


def fill(
  source: str,
  file: File,
  variables: dict[str, Any],
  *,
  options: Mapping[str, Any] | None = None,
  reinit_logits: bool = False,
) -> tuple[dict[str, Any], Report]:
  """Puts the weights of a file into the variables of a network.

  Args:
    source: See `sources`.
    file: Of `read`.
    variables: Freshly drawn, `{'params', 'batch_stats'}`, numpy arrays.
    options: `config.model`, which most sources compare with the file.
    reinit_logits: Whether layers that give class scores may keep their fresh
      values where the file has another number of classes.

  Returns:
    Variables of the same structure and dtypes, and the report.

  Raises:
    WeightsError: The file is of another architecture or class count, or has a
      tensor that nothing here explains.
  """
  module = _find(source)
  if hasattr(module, 'adapt'):
    if options is None:
      raise ValueError(f'The source {source} needs `options`.')
    keys = {k: v for k, v in options.items() if k != 'name'}
    file = module.adapt(file, Options.parse(1, **keys))
  return filling.fill(file, variables, module.find, reinit_logits=reinit_logits)


def _find(source: str):
  if source not in sources():
    raise WeightsError(
      f'there is no source {source!r}; there are: {", ".join(sources())}.'
    )
  return importlib.import_module(f'{__name__}.{source}')
