"""Writes down what an evaluation found."""

import dataclasses
import json
import math
import pathlib
from typing import Any

import jax

from deeplax import atomic, cost, summaries, visualize
from deeplax.data.info import DatasetInfo
from deeplax.errors import RunError
from deeplax.evaluation import Evaluation


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
  words = [f'os{options["output_stride"]}']
  if options['scales'] != [1.0]:
    words.append('scales' + '_'.join(f'{s:g}' for s in options['scales']))
  words += ['flip'] * options['flip']
  if options['window']:
    words.append('window{}x{}'.format(*options['window']))
  if options['max_pictures']:
    words.append(f'first{options["max_pictures"]}')
  words += ['crf'] * (options['crf'] is not None)
  name = '-'.join([split.replace('/', '_'), str(step), *words])
  folder = workdir / 'evaluation' / name
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise RunError(
      f'{folder} can not be written ({error.strerror}).'
    ) from error
  path = folder.with_name(f'{name}.json')
  refined = evaluation.refined
  result = {
    'step': step,
    'split': split,
    **options,
    'pictures': evaluation.examples,
    'skipped': evaluation.skipped,
    'device': jax.local_devices()[0].device_kind,
    'cost': dataclasses.asdict(measured) if measured else None,
    **_figures(evaluation),
    'classes': list(info.class_names),
    'refined': _figures(refined) if refined else None,
  }
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


def _figures(evaluation: Evaluation) -> dict[str, Any]:
  plain = {
    k: v if math.isfinite(v) else None for k, v in evaluation.scalars.items()
  }
  return {'scalars': plain, 'confusion': evaluation.confusion.tolist()}
