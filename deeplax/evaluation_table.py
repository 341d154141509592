"""An evaluation in words and columns."""

import math
from typing import Any

import ml_collections

from deeplax.data.info import DatasetInfo
from deeplax.evaluate import Evaluation


def describe(options: dict[str, Any]) -> str:
  """The options of an evaluation in words."""
  words = [f'output stride {options["output_stride"]}']
  words += ['scales ' + ', '.join(f'{s:g}' for s in options['scales'])]
  words += ['and mirrored'] * options['flip']
  if options['window']:
    words += ['windows of {} x {}'.format(*options['window'])]
  if options['max_pictures']:
    words += [f'the first {options["max_pictures"]} pictures']
  return ', '.join(words)


def table(
  evaluation: Evaluation,
  info: DatasetInfo,
  prefix: str,
  config: ml_collections.ConfigDict,
) -> str:
  """The figures, for people; percentages, `-` where there is none."""

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
  return '\n'.join(lines)
