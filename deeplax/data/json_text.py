"""JSON of others, where whatever is wrong with it is one `ValueError`."""

import json
from typing import Any

_DEEPEST = 64  # none of ours goes beyond 5


def parse(text: str | bytes) -> Any:
  """What a JSON text stands for.

  Raises:
    ValueError: It is broken, no UTF-8, or nested more than 64 times, which
      whoever walks through it could not follow.
  """
  try:
    tree = json.loads(text)
  except RecursionError as error:
    raise ValueError('it is nested too deeply') from error
  level = [tree]
  for _ in range(_DEEPEST):
    level = [child for node in level for child in _children(node)]
    if not level:
      return tree
  raise ValueError(f'it is nested more than {_DEEPEST} times')


def _children(node: Any):
  if isinstance(node, dict):
    return node.values()
  return node if isinstance(node, list) else ()
