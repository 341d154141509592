"""Writes down what an evaluation found."""

import dataclasses
import datetime
import importlib.metadata
import json
import math
import pathlib
import platform
from collections.abc import Mapping
from typing import Any

import jax

from deeplax import atomic, cost, summaries, visualize
from deeplax.data.info import DatasetInfo
from deeplax.errors import RunError
from deeplax.evaluation import Evaluation

# In the folder of an evaluation: its worst pictures.
PICTURES = 'worst.json'
_PACKAGES = ('jax', 'jaxlib', 'flax', 'numpy', 'opencv-python-headless')


def write(
  workdir: pathlib.Path,
  split: str,
  step: int,
  options: dict[str, Any],
  evaluation: Evaluation,
  info: DatasetInfo,
  measured: cost.Cost | None,
) -> pathlib.Path:
  """Writes JSON and TensorBoard files; returns the path of the JSON.

  `report.write` makes a page of the JSON and `PICTURES`; a `written` that both
  have says that they belong together.

  With a CRF, `scalars` and `confusion` are those before it, and `refined` has
  those after; in TensorBoard these are `<split>/crf/...`.

  Args:
    workdir: Of the run.
    split: Name of the split.
    step: Of the checkpoint.
    options: `output_stride`, `scales`, `flip`, `window`, `max_pictures`, `crf`.
    evaluation: What was found.
    info: Its classes.
    measured: What one picture costs.

  Raises:
    RunError: The folder can't be written.
  """
  name = name_of(split, step, options)
  folder = workdir / 'evaluation' / name
  make_folder(folder)
  path = folder.with_name(f'{name}.json')
  refined = evaluation.refined
  result = {
    'step': step,
    'split': split,
    **options,
    'pictures': evaluation.examples,
    'skipped': evaluation.skipped,
    'written': datetime.datetime.now(datetime.UTC).isoformat(),
    'device': jax.local_devices()[0].device_kind,
    'devices': jax.device_count(),
    'processes': jax.process_count(),
    'versions': _versions(),
    'cost': dataclasses.asdict(measured) if measured else None,
    **_figures(evaluation),
    'classes': list(info.class_names),
    'refined': _figures(refined) if refined else None,
    'measures': None,
  }
  if evaluation.measures:
    result['measures'] = _plain(evaluation.measures.figures())
    pictures = [p.to_json() for p in evaluation.measures.pictures]
    kept = {'written': result['written'], 'pictures': pictures}
    atomic.write_json(folder / PICTURES, kept)
  atomic.write_json(path, json.loads(json.dumps(result)))
  summaries.cut_back(folder, step - 1)
  writer = summaries.Summaries(folder)
  for kind, found in ((split, evaluation), (f'{split}/crf', refined)):
    if found:
      scalars = {
        kind + name.removeprefix(split): value
        for name, value in found.scalars.items()
      }
      writer.scalars(step, scalars)
      writer.images(
        step, visualize.evaluation_pictures(found, info, prefix=kind)
      )
  writer.close()
  return path


def name_of(split: str, step: int | None, options: Mapping[str, Any]) -> str:
  """Of the files of an evaluation; `step` may be left out."""
  words = [split.replace('/', '_')]
  words += [] if step is None else [str(step)]
  words.append(f'os{options["output_stride"]}')
  if options['scales'] != [1.0]:
    words.append('scales' + '_'.join(f'{s:g}' for s in options['scales']))
  words += ['flip'] * options['flip']
  if options['window']:
    words.append('window{}x{}'.format(*options['window']))
  if options['max_pictures']:
    words.append(f'first{options["max_pictures"]}')
  words += ['crf'] * (options['crf'] is not None)
  return '-'.join(words)


def make_folder(folder: pathlib.Path) -> None:
  """Makes a folder of evaluations; RunError if it can't be written."""
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise RunError(
      f'{folder} can not be written ({error.strerror}).'
    ) from error


def _figures(evaluation: Evaluation) -> dict[str, Any]:
  return {
    'scalars': _plain(evaluation.scalars),
    'confusion': evaluation.confusion.tolist(),
  }


def _plain(tree: Any) -> Any:
  """JSON knows no NaN: a figure that does not exist is null."""
  if isinstance(tree, dict):
    return {k: _plain(v) for k, v in tree.items()}
  if isinstance(tree, list):
    return [_plain(v) for v in tree]
  if isinstance(tree, float) and not math.isfinite(tree):
    return None
  return tree


def _versions() -> dict[str, str]:
  found = {'python': platform.python_version()}
  for name in _PACKAGES:
    try:
      found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
      continue  # another build of it, say
  return found
