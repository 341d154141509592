"""The section that says what is taken for what."""

from collections.abc import Sequence

import numpy as np

from deeplax import metrics
from deeplax.report import markup
from deeplax.report.saved import Run

_LEAST = 0.005  # share of a class below which a cell stays empty
_LISTED = 10


def section(runs: Sequence[Run]) -> str:
  """The confusion matrix of each run, and its largest mistakes."""
  note = (
    'Each row is a class of the truth, and shows as what its pixels were '
    'predicted, in percent.'
  )
  if len(runs) == 1:
    content = _both(runs[0])
  else:
    content = ''.join(markup.details(run.name, _both(run)) for run in runs)
  return markup.section('confusion', 'Confusion', content, note=note)


def _both(run):
  return (
    f'<div class="beside"><div>{_matrix(run)}</div>'
    f'<div>{_largest(run)}</div></div>'
  )


def _matrix(run):
  names = _names(run)
  share = metrics.ratio(run.confusion, run.confusion.sum(1, keepdims=True))
  heads = ''.join(
    f'<th scope="col"><span>{markup.text(n)}</span></th>' for n in names
  )
  rows = []
  for i, name in enumerate(run.info.class_names):
    cells = [f'<th scope="row">{markup.text(name)}</th>']
    for j, part in enumerate(share[i]):
      # Also where there is no such truth, and the share is NaN.
      if not part >= _LEAST:
        cells.append('<td></td>')
        continue
      kind = ' class="hit"' if i == j else ''
      title = f'{name} → {names[j]}: {run.confusion[i, j]:,} pixels'
      cells.append(
        f'<td{kind} style="--s:{100 * part:.0f}%" title="{markup.text(title)}">'
        f'{100 * part:.0f}</td>'
      )
    rows.append(f'<tr>{"".join(cells)}</tr>')
  return markup.scroll(
    '<table class="matrix"><thead><tr><td class="corner">truth ↓ prediction →'
    f'</td>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
  )


def _largest(run):
  wrong = run.confusion.copy()
  np.fill_diagonal(wrong, 0)
  names, total = _names(run), wrong.sum()
  order = np.argsort(-wrong, axis=None, kind='stable')[:_LISTED]
  rows = []
  for i, j in zip(*np.unravel_index(order, wrong.shape)):
    if not wrong[i, j]:
      break
    part = wrong[i, j] / total
    of_class = wrong[i, j] / run.confusion[i].sum()
    rows.append(
      f'<tr><th scope="row">{markup.text(run.info.class_names[i])} → '
      f'{markup.text(names[j])}</th>'
      + markup.meter(part, kind='bad', full=wrong.max() / total)
      + markup.cell(of_class)
      + f'<td class="num">{wrong[i, j]:,}</td></tr>'
    )
  if not rows:
    return ''
  return '<h3>The largest mistakes</h3>' + markup.scroll(
    '<table><thead><tr><th>Truth → prediction</th><th>of all mistakes, %</th>'
    '<th>of the class, %</th><th>pixels</th></tr></thead>'
    f'<tbody>{"".join(rows)}</tbody></table>'
  )


def _names(run):
  void = run.confusion.shape[1] - run.info.num_classes
  return [*run.info.class_names, *['void'] * void]
