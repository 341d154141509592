"""The section that says of what the report is: device, versions, config."""

import json
from collections.abc import Sequence

from deeplax.report import markup
from deeplax.report.markup import Column
from deeplax.report.saved import Run


def section(runs: Sequence[Run]) -> str:
  """Where the figures come from, and the configs."""
  content = ''.join(_origin(run, named=len(runs) > 1) for run in runs)
  if len(runs) == 1:
    rows = [_row(k, [v]) for k, v in runs[0].config.items()]
    columns = [Column('key', 'Key', number=False)]
    columns += [Column('value', 'Value', number=False)]
    title = 'Config'
  else:
    keys = list(dict.fromkeys(k for run in runs for k in run.config))
    rows = []
    for key in keys:
      values = [run.config.get(key) for run in runs]
      if any(v != values[0] for v in values):
        rows.append(_row(key, values))
    columns = [Column('key', 'Key', number=False)]
    columns += [
      Column(f'run{r}', run.name, number=False) for r, run in enumerate(runs)
    ]
    title = 'Where the configs differ'
  if rows:
    content += markup.details(title, markup.table('config', columns, rows))
  else:
    content += '<p class="note">The configs are the same.</p>'
  return markup.section('origin', 'Where it comes from', content)


def _origin(run, *, named):
  result = run.result
  versions = result['versions']
  cost = result['cost']
  items = [
    ('workdir', str(run.workdir)),
    ('evaluation', run.file),
    ('written', str(result['written'])[:19].replace('T', ' ') + ' UTC'),
    ('data', f'{run.config.get("dataset.name")}, {result["split"]}'),
    ('checkpoint', f'step {result["step"]}'),
    ('seen at', run.views),
    (
      'device',
      f'{result["device"]}; devices: {result["devices"]}, processes: '
      f'{result["processes"]}',
    ),
    ('versions', ', '.join(f'{k} {v}' for k, v in versions.items())),
  ]
  if cost:
    memory = f', {cost["memory"] / 2**20:.0f} MiB' if cost['memory'] else ''
    items.append(
      (
        'one picture',
        f'{cost["milliseconds"]:.1f} ms ({cost["fastest"]:.1f} to '
        f'{cost["slowest"]:.1f}){memory}',
      )
    )
  title = f'<h3>{markup.text(run.name)}</h3>' if named else ''
  return title + markup.pairs(items)


def _row(key, values):
  cells = [
    f'<th scope="row" data-value="{markup.text(key)}">'
    f'<code>{markup.text(key)}</code></th>'
  ]
  for value in values:
    words = markup.text(json.dumps(value, ensure_ascii=False))
    cells.append(f'<td data-value="{words}"><code>{words}</code></td>')
  return ''.join(cells)
