"""An evaluation in words and columns."""

import math
from typing import Any

import ml_collections
import numpy as np

from deeplax.data.info import DatasetInfo
from deeplax.evaluation import Evaluation


def crf_words(options: dict[str, Any]) -> str:
  """The flags that give a CRF these parameters."""
  flags = [f'--crf_iterations={options["num_iterations"]}']
  for key in ('spatial', 'bilateral'):
    if options[key]:
      numbers = ','.join(f'{v:g}' for v in np.ravel(options[key]))
      flags.append(f'--crf_{key}={numbers}')
  if options.get('method', 'lattice') != 'lattice':
    flags.append(f'--crf_method={options["method"]}')
  return ' '.join(flags)


def describe(options: dict[str, Any]) -> str:
  """The options of an evaluation in words."""
  words = [f'output stride {options["output_stride"]}']
  words += ['scales ' + ', '.join(f'{s:g}' for s in options['scales'])]
  words += ['and mirrored'] * options['flip']
  if options['window']:
    words += ['windows of {} x {}'.format(*options['window'])]
  if options['crf']:
    words += ['CRF ' + crf_words(options['crf'])]
  if options['max_pictures']:
    words += [f'the first {options["max_pictures"]} pictures']
  return ', '.join(words)


def miou(evaluation: Evaluation, prefix: str) -> str:
  """The mIoU, with a CRF that before and after it."""
  found = 100 * evaluation.scalars[f'{prefix}/miou']
  if not evaluation.refined:
    return f'mIoU {found:6.2f} %'
  after = 100 * evaluation.refined.scalars[f'{prefix}/miou']
  return f'mIoU {found:6.2f} % before, {after:6.2f} % after'


def table(
  evaluation: Evaluation,
  info: DatasetInfo,
  prefix: str,
  config: ml_collections.ConfigDict,
) -> str:
  """The figures, for people; percentages, `-` where there is none.

  With a CRF they are those after it, and the last line compares both.
  """
  before, evaluation = evaluation, evaluation.refined or evaluation

  def figure(name):
    value = evaluation.scalars.get(f'{prefix}/{name}', math.nan)
    return f'{"-":>8}' if math.isnan(value) else f'{100 * value:8.2f}'

  width = max(map(len, (*info.class_names, *info.categories, 'category'))) + 2
  objects = f'{prefix}/miiou' in evaluation.scalars
  lines = []
  for kind, names in (('', info.class_names), ('category_', info.categories)):
    if kind and names == info.class_names:
      continue  # no categories
    title = 'category' if kind else 'class'
    lines.append(f'{title:{width}}{"IoU %":>8}' + f'{"iIoU %":>9}' * objects)
    for name in names:
      row = f'{name:{width}}' + figure(f'{kind}iou/{name}')
      lines.append(row + f' {figure(f"{kind}iiou/{name}")}' * objects)
    row = f'{"mean":{width}}' + figure(f'{kind}miou')
    lines += [row + f' {figure(f"{kind}miiou")}' * objects, '']
  for name in ('pixel_accuracy', 'mean_accuracy'):
    title = name.replace('_', ' ')
    lines.append(f'{title:<22}{figure(name)} %')
  scalars = evaluation.scalars
  lines.append(f'{"mIoU":<22}{figure("miou")} %')
  if before.measures:
    lines += _measured(before.measures.figures())
  lines.append(f'{"loss":<22}{scalars[f"{prefix}/loss"]:8.4f}')
  soft = scalars[f'{prefix}/one_minus_soft_iou']
  if config.loss.void_class:
    lines.append(
      f'{"1 - mean soft IoU":<22}{soft:8.4f}  (what the course project printed '
      'as "mIOU": void counts, lower is better)'
    )
  lines.append(f'{"pictures":<22}{evaluation.examples:8d}')
  if evaluation.skipped:
    lines.append(f'{"skipped":<22}{evaluation.skipped:8d}')
  if before.refined:
    lines.append(f'{"CRF":<22}{miou(before, prefix)}')
  return '\n'.join(lines)


def _measured(found: dict[str, Any]) -> list[str]:
  """The figures of the measures that are one number each."""
  return [
    f'{title:<22}' + (f'{"-":>8}' if math.isnan(x) else f'{100 * x:8.2f} %')
    for title, x in (
      ('boundary IoU', found['boundary']['miou']),
      ('calibration error', found['calibration']['ece']),
    )
  ]
