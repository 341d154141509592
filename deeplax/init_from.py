"""Starts a run from the weights of another: what fits is taken, and said."""

import logging
import pathlib
from typing import Any

import jax
import numpy as np

from deeplax import workdir
from deeplax.errors import RunError

log = logging.getLogger('deeplax')


def load_initial(
  location: str, variables: dict[str, Any], *, strict: bool
) -> dict[str, Any]:
  """Fills fresh variables with another run's, and logs what did not match.

  Args:
    location: A workdir, optionally `workdir@latest`, `workdir@best` (the
      default) or `workdir@STEP`.
    variables: Freshly drawn.
    strict: Every array of this model must be found.

  Raises:
    RunError: If nothing matches, or not all does and `strict` is set.
  """
  path, _, which = location.partition('@')
  if which not in ('', 'best', 'latest') and not which.isdigit():
    raise RunError(
      f'init_from (={location!r}): what follows @ must be best, latest or a '
      f'step, not {which!r}.'
    )
  source, step = workdir.load_weights(
    pathlib.Path(path),
    step=int(which) if which.isdigit() else None,
    best=which != 'latest',
  )
  merged, report, complete = merge(variables, source)
  log.info('init_from %s, step %d: %s', path, step, report)
  if report.startswith('0 of') or (strict and not complete):
    raise RunError(
      f'init_from (={location!r}) does not fit this model'
      f'{" (init_strict is set)" if strict else ""}: {report}'
    )
  return merged


def merge(
  target: dict[str, Any], source: dict[str, Any]
) -> tuple[dict[str, Any], str, bool]:
  """Puts what fits of `source` into `target`, by path and shape.

  Args:
    target: Freshly drawn variables of the new model.
    source: Variables of another model.

  Returns:
    `(variables, report, complete)`: the merged variables, a listing of what
    was taken, what kept its fresh values and what was left over, and whether
    every one of the target's arrays was found.
  """
  new, old = _flat(target), _flat(source)
  taken = [k for k in new if k in old and new[k].shape == old[k].shape]
  shapes = [k for k in new if k in old and new[k].shape != old[k].shape]
  missing = [k for k in new if k not in old]
  unused = [k for k in old if k not in new]
  lines = [f'{len(taken)} of {len(new)} arrays taken']
  lines += [
    f'  other shape, kept fresh: {k}: {old[k].shape} there, {new[k].shape} here'
    for k in shapes
  ]
  lines += [f'  not there, kept fresh: {k} {new[k].shape}' for k in missing]
  lines += [f'  there, not used: {k} {old[k].shape}' for k in unused]
  merged = jax.tree_util.tree_map_with_path(
    lambda path, x: (
      np.asarray(old[_name(path)], x.dtype) if _name(path) in taken else x
    ),
    target,
  )
  return merged, '\n'.join(lines), not shapes and not missing


def _flat(tree):
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  return {_name(path): np.asarray(leaf) for path, leaf in leaves}


def _name(path):
  return jax.tree_util.keystr(path, simple=True, separator='/')
