"""What of a config is not as in a file: the words, and the flags to give."""

from collections.abc import Mapping
from typing import Any

from deeplax.models.options import Options


def differing(options: Options, theirs: Mapping[str, Any]) -> dict[str, Any]:
  """Those of `theirs`, keys of `config.model`, that are other values here."""
  return {k: v for k, v in theirs.items() if value(options, k) != v}


def value(options: Options, key: str) -> Any:
  """What a network of these options has; an epsilon of its own or not."""
  if key == 'encoder_bn_epsilon':
    return options.encoder_style.bn_epsilon
  return getattr(options, key)


def words(options: Options, theirs: Mapping[str, Any]) -> str:
  """Says what a file has and what the config, and how to make them equal.

  Args:
    options: What ours is built with.
    theirs: Keys of `config.model` and the file's values.

  Returns:
    `key is X there and Y here, .... Give --config.model.key=X ...`, without a
    full stop, which would belong to the last flag.
  """
  pairs = ', '.join(
    f'{k} is {_shown(v)} there and {_shown(value(options, k))} here'
    for k, v in theirs.items()
  )
  return f'{pairs}. Give {flags(theirs)}'


def flags(theirs: Mapping[str, Any]) -> str:
  """`--config.model.key=X ...`."""
  return ' '.join(f'--config.model.{k}={_flag(v)}' for k, v in theirs.items())


def _shown(x) -> str:
  return repr(x) if x == '' or not isinstance(x, str) else x


def _flag(x) -> str:
  return f"'{x}'" if isinstance(x, tuple) else str(x)
