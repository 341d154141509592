"""Reads what evaluations have left in a workdir, for the report."""

import dataclasses
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from deeplax import evaluation_table, metrics
from deeplax import workdir as workdir_lib
from deeplax.data import json_text
from deeplax.data.info import DatasetInfo
from deeplax.errors import RunError
from deeplax.evaluation_files import PICTURES
from deeplax.measures.worst import Picture
from deeplax.report import checks
from deeplax.spread import Spread

# What JSON of another form than ours raises.
_DAMAGE = (
  ArithmeticError,
  AttributeError,
  IndexError,
  KeyError,
  TypeError,
  ValueError,
)


@dataclasses.dataclass(frozen=True)
class Run:
  """An evaluation, as the report shows it.

  Attributes:
    name: What it is called on the page.
    workdir: Of the run.
    file: Name of the evaluation.
    info: The classes.
    config: The run's config, flat: `'model.output_stride'` and so on.
    result: The JSON of the evaluation.
    scalars: Figures without the split's name, after the CRF if there is one;
      NaN where there is none.
    confusion: int64[G, K].
    measures: As of `Measures.figures`, NaN where there is no figure.
    pictures: The worst ones; empty if those there are of another evaluation.
    views: Output stride, scales and so on, in words.
    spreads: By name, where this is the mean over several seeds, see `seeds`.
  """

  name: str
  workdir: pathlib.Path
  file: str
  info: DatasetInfo
  config: Mapping[str, Any]
  result: Mapping[str, Any]
  scalars: Mapping[str, float]
  confusion: np.ndarray
  measures: Mapping[str, Any]
  pictures: list[Picture]
  views: str
  spreads: Mapping[str, Spread] = dataclasses.field(default_factory=dict)

  def figure(self, name: str) -> float:
    """A scalar; NaN if there is none."""
    return self.scalars.get(name, math.nan)


def load(workdir: pathlib.Path, path: pathlib.Path | None = None) -> Run:
  """The last evaluation of a run, or the one in the file `path`.

  Raises:
    RunError: No run, none that a report can be made of, or a damaged file.
  """
  config, info = workdir_lib.load_config(workdir)
  if path is None:
    path = _latest(workdir)
  result = _read(path)
  try:
    return _run(workdir, path, info, config.to_dict(), result)
  except RunError:
    raise
  except _DAMAGE as error:
    raise RunError(
      f'{path} is no evaluation of this run ({error!r}). Evaluate again: '
      f'launch/evaluate.py --workdir={workdir}'
    ) from error


def _latest(workdir: pathlib.Path) -> pathlib.Path:
  found = sorted((workdir / 'evaluation').glob('*.json'))
  written = {}
  for path in found:
    result = _read(path)
    if isinstance(result, dict) and result.get('measures'):
      written[path] = str(result.get('written'))
  if not written:
    older = (
      f' that a report can be made of ({len(found)} of an older version)'
      if found
      else ''
    )
    raise RunError(
      f'{workdir} has no evaluation{older}. Make one first: '
      f'launch/evaluate.py --workdir={workdir}'
    )
  return max(written, key=written.get)


def _read(path: pathlib.Path) -> Any:
  try:
    return json_text.parse(path.read_bytes())
  except (OSError, ValueError) as error:
    raise RunError(
      f'{path} can not be read ({error}). Evaluate again, or remove the file.'
    ) from error


def _run(workdir, path, info, config, result) -> Run:
  names = list(info.class_names)
  if result['classes'] != names:
    raise ValueError(f'its classes are {", ".join(result["classes"])}')
  checks.check_result(result)
  found = result['refined'] or result
  prefix = f'{result["split"]}/'
  scalars = {
    k.removeprefix(prefix): math.nan if v is None else float(v)
    for k, v in found['scalars'].items()
  }
  for key, value in scalars.items():
    if key not in ('loss', 'one_minus_soft_iou', 'skipped_examples'):
      checks.share(value)
  confusion = metrics.as_counts(found['confusion'])
  if len(confusion) != len(names) or confusion.min() < 0:
    raise ValueError(f'its confusion matrix is of shape {confusion.shape}')
  measures = _numbers(result['measures'])
  checks.check_measures(measures, len(names))
  return Run(
    name=workdir.resolve().name,
    workdir=workdir,
    file=path.stem,
    info=info,
    config=dict(_flat(config)),
    result=result,
    scalars=scalars,
    confusion=confusion,
    measures=measures,
    pictures=read_pictures(
      path.with_suffix('') / PICTURES, result['written'], len(names)
    ),
    views=evaluation_table.describe(result),
  )


def read_pictures(
  path: pathlib.Path, written: str, num_classes: int
) -> list[Picture]:
  """The worst pictures of the evaluation `written` then."""
  if not path.exists():
    return []
  tree = _read(path)
  if tree['written'] != written:  # of an evaluation that did not end
    return []
  pictures = [Picture.from_json(picture) for picture in tree['pictures']]
  for picture in pictures:
    for value in (picture.miou, *picture.iou.values()):
      checks.share(value)
    if not {*picture.iou} <= {*range(num_classes)}:
      raise ValueError('a picture has other classes')
  return pictures


def _numbers(tree: Any) -> Any:
  """null is NaN again, save for a measure as a whole and the last band."""
  if isinstance(tree, dict):
    return {
      k: v if v is None or k == 'to' else _numbers(v) for k, v in tree.items()
    } | {k: math.nan for k in ('miou', 'ece') if k in tree and tree[k] is None}
  if isinstance(tree, list):
    return [_numbers(v) for v in tree]
  return math.nan if tree is None else tree


def _flat(tree: Mapping[str, Any], prefix: str = ''):
  for key, value in sorted(tree.items()):
    if isinstance(value, Mapping):
      yield from _flat(value, f'{prefix}{key}.')
    else:
      yield prefix + key, value
