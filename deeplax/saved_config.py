"""The config of a run as its workdir keeps it, and what may change in it."""

import pathlib
from typing import Any

import ml_collections

from deeplax import atomic
from deeplax.data import json_text
from deeplax.errors import RunError

# Keys that may differ between two starts of the same run: none of them changes
# which examples are seen or what is computed from them.
FREE_KEYS = (
  'dataset.dir',
  'input.workers',
  'input.cache',
  'mesh.data',
  'mesh.spatial',
  'log_every',
  'eval_every',
  'checkpoint_every',
  'optimizer.skip_nonfinite',
)

# What reading a run relies on, beyond what `models.build` checks.
_KINDS = {
  **dict.fromkeys(
    ('dataset', 'input', 'model', 'loss', 'optimizer', 'crf'), dict
  ),
  'dataset.name': str,
  'dataset.dir': str,
  'input.eval': str,
  'loss.void_class': bool,
}

# What keys do that are newer than runs which are still about, when left alone.
_SINCE_THEN = {'loss.region_weight': 1.0, 'optimizer.bn_lr_mult': 1.0}


def save(config: ml_collections.ConfigDict, path: pathlib.Path) -> None:
  """Writes the config as JSON, all at once or not at all."""
  atomic.write_json(path, config.to_dict())


def load(path: pathlib.Path) -> ml_collections.ConfigDict:
  """Reads what `save` wrote; sequences come back as tuples.

  A run that is older than a key has it with the value that changes nothing, so
  that it can be gone on with.

  Raises:
    RunError: It isn't there, or is no config.
  """
  tree = load_json(path)
  if not isinstance(tree, dict):
    raise RunError(
      f'{path} is not the config of a run: it holds a {type(tree).__name__}.'
    )
  for key, kind in _KINDS.items():
    *sections, name = key.split('.')
    section = tree
    for part in sections:
      section = section.get(part, {})
    value = section.get(name, kind())  # what is missing is said elsewhere
    if not isinstance(value, kind):
      raise RunError(
        f'{path} is not the config of a run: {key} is {str(value)[:100]!r}, '
        f'expected a {kind.__name__}.'
      )
  for key, value in _SINCE_THEN.items():
    section, name = key.split('.')
    if section in tree:
      tree[section].setdefault(name, value)
  try:
    return ml_collections.ConfigDict(_tuples(tree))
  except ValueError as error:
    raise RunError(f'{path} is not the config of a run ({error}).') from error


def load_json(path: pathlib.Path) -> Any:
  """Reads a JSON file of a run.

  Raises:
    RunError: It isn't there, or is no JSON.
  """
  try:
    return json_text.parse(path.read_bytes())
  except (FileNotFoundError, NotADirectoryError) as error:
    raise RunError(
      f'{path} is missing: {path.parent} is not the workdir of a run. Expected '
      'the folder that launch/train.py wrote (its --workdir).'
    ) from error
  except OSError as error:
    raise RunError(f'{path} can not be read ({error.strerror}).') from error
  except ValueError as error:  # broken JSON, or not UTF-8
    raise RunError(f'{path} is not JSON ({error}).') from error


def _tuples(tree):
  if isinstance(tree, dict):
    return {key: _tuples(value) for key, value in tree.items()}
  return tuple(map(_tuples, tree)) if isinstance(tree, list) else tree


def differences(
  old: ml_collections.ConfigDict, new: ml_collections.ConfigDict
) -> list[str]:
  """Lines `key: old -> new` for what makes two configs different runs."""
  old, new = _flat(old.to_dict()), _flat(new.to_dict())
  return [
    f'{key}: {old.get(key)!r} -> {new.get(key)!r}'
    for key in sorted({*old, *new} - {*FREE_KEYS})
    if old.get(key) != new.get(key)
  ]


def _flat(tree, prefix=''):
  if not isinstance(tree, dict):
    return {prefix[:-1]: tree}
  flat = {}
  for key, value in tree.items():
    flat |= _flat(value, f'{prefix}{key}.')
  return flat
