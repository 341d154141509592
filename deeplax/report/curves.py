"""The sections of the measures: contours, distance, calibration."""

import math
from collections.abc import Sequence

from deeplax.report import charts, markup
from deeplax.report.charts import Series
from deeplax.report.markup import Column
from deeplax.report.saved import Run

_KEY = (
  '<p class="legend"><span><i class="swatch is"></i>is right</span><span><i '
  'class="swatch gap"></i>differs from what it says</span><span><i '
  'class="swatch pixels"></i>pixels with this probability</span></p>'
)


def contours(runs: Sequence[Run]) -> str:
  """mIoU in bands of growing width around the contours of the truth."""
  lines = []
  for r, run in enumerate(runs):
    curve = run.measures['trimap']
    points = list(zip(curve['radius'], curve['miou']))
    lines.append(Series(run.name, points, r, run.figure('miou')))
  values = [y for line in lines for _, y in line.points]
  values += [line.level for line in lines]
  x = charts.Axis(
    *(1, 32, [(r, str(r)) for r in (1, 2, 4, 8, 16, 32)]),
    'pixels from a contour',
    math.log2,
  )
  y = charts.percent_axis(values, 'mIoU, %')
  ratio = runs[0].measures['boundary']['ratio']
  note = (
    'mIoU of the pixels within so many pixels of a change of label in the '
    'truth (trimap); dashed: of all pixels. Boundary IoU: '
    + _each(runs, lambda run: run.measures['boundary']['miou'], 1)
    + f', within {100 * ratio:g} % of the diagonal.'
  )
  chart = charts.lines('mIoU by distance from a contour', lines, x, y)
  return _section('contours', 'Along the contours', chart, lines, note)


def distance(runs: Sequence[Run]) -> str:
  """IoU by distance in metres; '' where no run has it."""
  runs = [(r, run) for r, run in enumerate(runs) if run.measures['distance']]
  if not runs:
    return ''
  found = runs[0][1].measures['distance']
  bands = [
    f'over {low:g} m' if high is None else f'{low:g} to {high:g} m'
    for low, high in zip(found['from'], found['to'])
  ]
  columns = [
    Column('band', 'Distance'),
    *(
      Column(f'run{r}', run.name if len(runs) > 1 else 'mIoU %')
      for r, run in runs
    ),
    Column('share', 'Pixels %', hint='Share of the pixels with a disparity'),
  ]
  total = sum(found['pixels'])
  rows = []
  for b, band in enumerate(bands):
    low = found['from'][b]
    cells = [f'<th scope="row" data-value="{low}">{markup.text(band)}</th>']
    for _, run in runs:
      cells.append(markup.meter(run.measures['distance']['miou'][b]))
    share = found['pixels'][b] / total
    cells.append(markup.meter(share, kind='third'))
    rows.append(''.join(cells))
  content = markup.table('distance', columns, rows)
  for _, run in runs:
    title = 'By class' + (f': {run.name}' if len(runs) > 1 else '')
    content += markup.details(title, _by_class(run, bands))
  return markup.section(
    'distance',
    'By distance',
    content,
    note='mIoU of the pixels at a distance: baseline × focal length / '
    'disparity, with the camera of each picture or else that of Cityscapes.',
  )


def calibration(runs: Sequence[Run]) -> str:
  """How often it is right, by what it says."""
  note = (
    'How often a prediction is right, by the probability that the network '
    'gives it. Expected calibration error: '
    + _each(runs, lambda run: run.measures['calibration']['ece'], 2)
    + '.'
  )
  title = 'Calibration'
  if len(runs) == 1:
    found = runs[0].measures['calibration']
    chart = charts.reliability(title, found['accuracy'], found['confidence'])
    total = sum(found['pixels']) or 1
    most = max(found['pixels']) or 1
    columns = ''.join(
      f'<i style="--v:{100 * n / most:.1f}%" '
      f'title="{100 * n / total:.2f} % of the pixels"></i>'
      for n in found['pixels']
    )
    chart += f'<div class="histogram" aria-hidden="true">{columns}</div>'
    chart += _KEY
    return _section('calibration', title, chart, [], note)
  lines = []
  for r, run in enumerate(runs):
    found = run.measures['calibration']
    points = zip(found['confidence'], found['accuracy'])
    points = [(a, b) for a, b in points if not math.isnan(a)]
    lines.append(Series(run.name, points, r))
  quarters = [(i / 4, f'{25 * i}') for i in range(5)]
  x = charts.Axis(0, 1, quarters, 'confidence, %')
  y = charts.Axis(0, 1, quarters, 'accuracy, %')
  chart = charts.lines(title, lines, x, y)
  chart = chart.replace('</svg>', charts.diagonal() + '</svg>')
  return _section('calibration', title, chart, lines, note)


def _each(runs, value, digits):
  """A share of every run, in percent; with names where there are several."""
  return ', '.join(
    (f'{markup.text(run.name)} ' if len(runs) > 1 else '')
    + f'<b>{markup.percent(value(run), digits)} %</b>'
    for run in runs
  )


def _section(key, title, chart, lines, note):
  legend = charts.legend(lines) if len(lines) > 1 else ''
  figure = f'<figure>{chart}{legend}</figure>'
  return markup.section(key, title, figure, note=note)


def _by_class(run, bands):
  columns = [Column('class', 'Class', number=False)]
  columns += [Column(f'band{b}', band) for b, band in enumerate(bands)]
  by_band = run.measures['distance']['iou']
  rows = [
    markup.head(name, run.info.palette[i])
    + ''.join(markup.meter(iou[i]) for iou in by_band)
    for i, name in enumerate(run.info.class_names)
  ]
  key = f'distance-{run.file}'
  return markup.table(key, columns, rows)
