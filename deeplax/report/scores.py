"""The sections with the scores: the most important ones, and by class."""

import math
from collections.abc import Sequence

import numpy as np

from deeplax import metrics
from deeplax.report import markup, seeds
from deeplax.report.markup import Column
from deeplax.report.saved import Run

_IOU_HINT = (
  'Pixels that are right / pixels of this class in truth or prediction'
)
_BOUNDARY_HINT = 'IoU of the strips along the contours (Cheng et al. 2021)'


def headline(runs: Sequence[Run]) -> str:
  """The figures that people ask for first."""
  return _tiles(runs[0]) if len(runs) == 1 else _compared(runs)


def classes(runs: Sequence[Run]) -> str:
  """A table by class."""
  if len(runs) > 1:
    return _classes_compared(runs)
  (run,) = runs
  info = run.info
  objects = any(f'iiou/{n}' in run.scalars for n in info.class_names)
  columns = [
    Column('class', 'Class', number=False),
    Column('iou', 'IoU %', hint=_IOU_HINT),
    Column('boundary', 'Boundary IoU %', hint=_BOUNDARY_HINT),
    *[Column('iiou', 'iIoU %', hint='Small objects weigh as much as large')]
    * objects,
    Column('recall', 'Recall %', hint='Of the truth, how much was found'),
    Column(
      'precision', 'Precision %', hint='Of the prediction, how much is so'
    ),
    Column('share', 'Pixels %', hint='Share of the labelled pixels'),
  ]
  share = _share(run)
  recall = metrics.class_accuracy(run.confusion)
  predicted = run.confusion.sum(0)[: info.num_classes]
  precision = metrics.ratio(np.diagonal(run.confusion), predicted)
  rows = []
  for i, name in enumerate(info.class_names):
    cells = [
      markup.head(name, info.palette[i]),
      markup.meter(run.figure(f'iou/{name}')),
      markup.meter(run.measures['boundary']['iou'][i], kind='second'),
    ]
    if objects:
      cells.append(markup.meter(run.figure(f'iiou/{name}'), kind='second'))
    cells += [
      markup.cell(recall[i]),
      markup.cell(precision[i]),
      _frequency(share, i),
    ]
    rows.append(''.join(cells))
  return markup.section(
    'classes',
    'Classes',
    markup.table('classes', columns, rows),
    _categories(runs),
  )


def _tiles(run: Run) -> str:
  measures, result = run.measures, run.result
  tiles = [
    ('mIoU', run.figure('miou'), 'mean over the classes'),
    ('Pixel accuracy', run.figure('pixel_accuracy'), 'of labelled pixels'),
    ('Mean accuracy', run.figure('mean_accuracy'), 'mean recall of classes'),
    ('Boundary IoU', measures['boundary']['miou'], 'along the contours'),
    ('iIoU', run.figure('miiou'), 'objects weigh alike'),
    ('Calibration error', measures['calibration']['ece'], 'ECE, 15 bins'),
  ]
  parts = [
    _tile(title, f'{markup.percent(value)}<small> %</small>', note)
    for title, value, note in tiles
    if title != 'iIoU' or 'miiou' in run.scalars
  ]
  if result['cost']:
    words = f'{result["cost"]["milliseconds"]:.0f}<small> ms</small>'
    parts.append(_tile('One picture', words, result['device']))
  parts.append(_tile('Pictures', f'{result["pictures"]:,}', _skipped(result)))
  return f'<div class="tiles" id="figures">{"".join(parts)}</div>'


def _tile(title, words, note):
  return (
    f'<div class="tile"><span>{markup.text(title)}</span><b>{words}</b>'
    f'<em>{markup.text(note)}</em></div>'
  )


def _skipped(result):
  return (
    f'{result["skipped"]} skipped' if result['skipped'] else 'each counted once'
  )


def _compared(runs):
  columns = [
    Column('run', 'Run', number=False),
    Column('miou', 'mIoU %', hint='Mean over the classes'),
    Column('boundary', 'Boundary IoU %', hint=_BOUNDARY_HINT),
    Column('accuracy', 'Pixel accuracy %'),
    Column('mean', 'Mean accuracy %', hint='Mean recall of the classes'),
    Column('ece', 'ECE %', hint='Expected calibration error; low is good'),
    Column('ms', 'ms', hint='One picture'),
    Column('mib', 'MiB', hint='Memory of one picture, weights among it'),
  ]
  table = [
    [run.figure('miou') for run in runs],
    [run.measures['boundary']['miou'] for run in runs],
    [run.figure('pixel_accuracy') for run in runs],
    [run.figure('mean_accuracy') for run in runs],
    [run.measures['calibration']['ece'] for run in runs],
  ]
  names = [
    *('miou', seeds.BOUNDARY, 'pixel_accuracy', 'mean_accuracy'),
    seeds.CALIBRATION,
  ]
  best = [_best(values, low=i == 4) for i, values in enumerate(table)]
  rows = []
  for r, run in enumerate(runs):
    words = f'{network(run)}; {run.views}'
    cells = [
      f'<th scope="row" data-value="{markup.text(run.name)}">'
      f'<i class="swatch" style="background:var(--c{r % 8})"></i>'
      f'{markup.text(run.name)}<small>{markup.text(words)}</small></th>'
    ]
    for i, values in enumerate(table):
      show = markup.meter if i < 2 else markup.cell
      words = _words(run, names[i])
      cells.append(show(values[r], words, best=r in best[i]))
    cost = run.result['cost'] or {}
    milliseconds = cost.get('milliseconds') or math.nan
    memory = (cost.get('memory') or math.nan) / 2**20
    for number in (milliseconds, memory):
      words = markup.NOTHING if math.isnan(number) else f'{number:,.0f}'
      cells.append(markup.cell(number, words))
    rows.append(''.join(cells))
  return markup.section(
    'figures', 'Runs', markup.table('runs', columns, rows), note=_unlike(runs)
  )


def _unlike(runs):
  """What keeps the scores of runs from being comparable, as HTML."""
  words = []
  for key, what in (('split', 'splits'), ('pictures', 'numbers of pictures')):
    found = {run.result[key] for run in runs}
    if len(found) > 1:
      listed = ', '.join(f'{r.name}: {r.result[key]}' for r in runs)
      words.append(f'The runs were evaluated on different {what} ({listed}).')
  if len({run.result['device'] for run in runs}) > 1:
    words.append('Times are of different devices.')
  return markup.text(' '.join(words))


def network(run: Run) -> str:
  """What the config says of the network, in a few words."""
  get = run.config.get
  words = [get('model.name'), get('model.encoder'), get('model.variant')]
  if get('model.head') not in (None, 'none'):
    words.append(get('model.head'))
  if get('model.decoder') not in (None, 'none'):
    words.append(f'decoder {get("model.decoder")}')
  return ' '.join(str(w) for w in words if w)


def _classes_compared(runs):
  info = runs[0].info
  share = _share(runs[0])
  columns = [
    Column('class', 'Class', number=False),
    *(Column(f'run{r}', run.name) for r, run in enumerate(runs)),
    Column('share', 'Pixels %', hint='Share of the labelled pixels'),
  ]
  rows = []
  for i, name in enumerate(info.class_names):
    values = [run.figure(f'iou/{name}') for run in runs]
    best = _best(values)
    cells = [markup.head(name, info.palette[i])]
    cells += [
      markup.meter(v, _words(runs[r], f'iou/{name}'), best=r in best)
      for r, v in enumerate(values)
    ]
    rows.append(''.join([*cells, _frequency(share, i)]))
  return markup.section(
    'classes',
    'IoU by class, %',
    markup.table('classes', columns, rows),
    _categories(runs),
  )


def _categories(runs):
  info = runs[0].info
  if info.categories == info.class_names:
    return ''
  columns = [
    Column('category', 'Category', number=False),
    *(
      Column(f'run{r}', run.name if len(runs) > 1 else 'IoU %')
      for r, run in enumerate(runs)
    ),
  ]
  rows = [
    markup.head(name)
    + ''.join(markup.meter(run.figure(f'category_iou/{name}')) for run in runs)
    for name in info.categories
  ]
  return markup.details(
    'By category', markup.table('categories', columns, rows)
  )


def _words(run, name):
  """Mean and deviation, for the mean over seeds; else None."""
  found = run.spreads.get(name)
  if found is None or math.isnan(found.std):
    return None
  return f'{markup.percent(found.mean)} ± {markup.percent(found.std)}'


def _share(run):
  pixels = run.confusion.sum(1)
  return metrics.ratio(pixels, pixels.sum())


def _frequency(share, i):
  words = markup.percent(share[i], 2)
  most = float(np.nanmax(share)) if not np.isnan(share).all() else 1.0
  return markup.meter(share[i], words, kind='third', full=most)


def _best(values, *, low=False):
  """Which of the values are the best; none where all are alike."""
  known = [v for v in values if not math.isnan(v)]
  if len(known) < 2 or min(known) == max(known):
    return set()
  best = min(known) if low else max(known)
  return {i for i, v in enumerate(values) if v == best}
