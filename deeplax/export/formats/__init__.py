"""Formats, found by module name: a new file is a new choice.

A module has

    NEEDS: packages by module: what writes and runs it.
    RUNTIME: the one of these modules that runs it.
    FILE: name of what it writes, a file or a folder.
    USE: how to use that, in Python.
    DYNAMIC_BATCH: whether it can take any number of pictures.
    write(program, path): writes a `program.Program`.
    load(path): `run(images) -> {'labels', 'probs'}`, numpy arrays, computed by
      the runtime from the file alone.

and, where whole numbers of 8 bits are to be had, `write_int8(program, path,
calibration)`, with a function that gives an iterator over uint8[1, H, W, 3].
Packages are imported inside of functions: none of them comes with deeplax.
"""

import importlib
import importlib.metadata
import importlib.util
import pkgutil
import types

from deeplax.errors import RunError


def available() -> list[str]:
  """The names of the formats."""
  names = (module.name for module in pkgutil.iter_modules(__path__))
  return sorted(name for name in names if not name.startswith('_'))


def find(name: str) -> types.ModuleType:
  """The format of that name, whose packages are all installed.

  Raises:
    RunError: There is none, or one of its packages is missing.
  """
  if name not in available():
    raise RunError(
      f'--format={name} is not known; expected one of {", ".join(available())}.'
    )
  module = importlib.import_module(f'{__name__}.{name}')
  missing = [
    package
    for needed, package in module.NEEDS.items()
    if importlib.util.find_spec(needed) is None
  ]
  if missing:
    raise RunError(
      f'--format={name} needs {" and ".join(missing)}, not installed here. '
      'Install them: pip install -r requirements-export.txt'
    )
  return module


def versions(writer: types.ModuleType) -> dict[str, str]:
  """Name and version of the packages of a format, by module.

  One module can come from several: tensorflow-cpu is tensorflow, too.
  """
  names = importlib.metadata.packages_distributions()
  return {
    module: f'{name} {importlib.metadata.version(name)}'
    for module in writer.NEEDS
    for name in names[module.partition('.')[0]][:1]
  }
