"""Files of configs/: found by name, and what is wrong with them in words.

A config file is code: `--config` runs it, with all that you may do. Read those
that others made before you use them. What a run keeps of it, config.json, is
data.
"""

import importlib
import pathlib
import re
import traceback
from collections.abc import Sequence

from deeplax.errors import ConfigError


def load_all(names: Sequence[str]) -> dict[str, object]:
  """Configs by name, such as `r101` or `r101:os16+camvid`, of configs/.

  Raises:
    ConfigError: A name is that of no config, or of a piece that configs share,
      or a variant does not exist.
  """
  result = {}
  for name in names:
    file, _, argument = name.partition(':')
    try:
      module = importlib.import_module(f'configs.{file}')
      if not hasattr(module, 'get_config'):
        raise ValueError(
          'a piece that configs share, and none by itself: it has no '
          'get_config(). Give names such as r101, unet:smoke.'
        )
      result[name] = module.get_config(argument.replace('+', ','))
    except ModuleNotFoundError as error:
      raise ConfigError(
        f'there is no configs/{file}.py. Give names such as r101, unet:smoke.'
      ) from error
    except ValueError as error:
      raise ConfigError(f'{name}: {error}') from error
  return result


def run_name(path_and_argument: str) -> str:
  """'configs/r101.py:smoke,camvid' -> 'r101_smoke_camvid'."""
  path, _, argument = path_and_argument.partition(':')
  words = [pathlib.Path(path).stem, *argument.replace('=', '-').split(',')]
  return '_'.join(w for w in words if w)


def check(config: object) -> None:
  """What is wrong with the config file itself shows only on first use."""
  if not hasattr(config, 'to_dict'):
    raise TypeError(
      f'get_config() returned a {type(config).__name__}, expected a '
      'ml_collections.ConfigDict, e.g. common.base() of configs/common.py.'
    )
  config.to_dict()


def explain(error: Exception) -> str:
  """Why a config can't be had, and where in it."""
  message = ' '.join(str(error).split())
  if 'get_config' in message and isinstance(error, AttributeError):
    return (
      'the file has no function get_config(). Expected one as in '
      'configs/demo.py.'
    )
  # ConfigDict raises both for a key; str() of a KeyError is a repr.
  if isinstance(error, (KeyError, AttributeError)):
    key, _, hint = str(error.args[0]).partition('\n')
    hint = f'{hint.strip().rstrip(".")}. ' if hint else ''
    key = key.strip('"\'')
    return (
      f'there is no key {key!r}. {hint}Every key stands in configs/common.py.'
    )
  if isinstance(error, OSError):
    missing = re.findall(r"'([^']*)'", message)
    return (
      f'{missing[-1] if missing else message} can not be read. Expected a '
      'file such as configs/demo.py.'
    )
  if isinstance(error, SyntaxError):
    return f'not Python: {error}.'
  places = traceback.extract_tb(error.__traceback__)
  libraries = ('ml_collections', 'absl', 'importlib')
  ours = [
    p
    for p in places
    if not any(name in p.filename for name in libraries)
    and pathlib.Path(p.filename).name not in ('cli.py', 'config_files.py')
  ]
  where = ''
  if ours and pathlib.Path(ours[-1].filename).parent.name != 'launch':
    where = f' ({ours[-1].filename}, line {ours[-1].lineno})'
  return f'{type(error).__name__}: {message}{where}'
