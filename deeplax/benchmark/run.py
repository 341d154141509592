"""One measurement: chosen by name, shown as a table and as a line of JSON."""

import importlib
import inspect
import json
import pathlib
import shlex
import sys
from typing import Any

import ml_collections

from deeplax import benchmark
from deeplax.benchmark.table import table
from deeplax.errors import ConfigError, RunError


def run(
  what: str,
  config: ml_collections.ConfigDict | None,
  *,
  output: str | None = None,
  **flags: Any,
) -> None:
  """Measures, and prints a table for people and then one line of JSON.

  Args:
    what: Key of `benchmark.PARTS`.
    config: Of configs/, or None.
    output: File that the line is appended to.
    **flags: Keywords of the function that measures; None leaves its default.

  Raises:
    ConfigError: A flag is given that this measurement has no use for.
    RunError: The output can't be written, which shows before anything runs.
  """
  module, _, name = benchmark.PARTS[what].partition(':')
  measure = getattr(importlib.import_module(module), name)
  flags = {'config': config, **flags}
  keys = {key: value for key, value in flags.items() if value is not None}
  known = inspect.signature(measure).parameters
  for key in keys:
    if key not in known:
      takes = ', '.join(f'--{name}' for name in flags if name in known)
      raise ConfigError(
        f'--{key} says nothing to --what={what}, which takes: {takes}.'
      )
  if output:
    _append(output, '')
  result = {**measure(**keys), 'command': shlex.join(sys.argv)}
  line = json.dumps(result)
  print(table(result))
  print(line, flush=True)
  if output:
    _append(output, f'{line}\n')


def _append(path: str, text: str) -> None:
  try:
    with pathlib.Path(path).open('a') as file:
      file.write(text)
  except OSError as error:
    raise RunError(
      f'--output={path} can not be written ({error.strerror}). Give a file in '
      'a folder that exists.'
    ) from error
