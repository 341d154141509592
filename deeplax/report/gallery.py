"""The section of the worst pictures."""

import base64
from collections.abc import Sequence

from deeplax.measures.worst import PARTS
from deeplax.report import markup
from deeplax.report.saved import Run

# Of a page, in bytes of base64; the rest of it is small.
ROOM = 4_000_000
_MOST = 20  # on a page, however many runs there are
_VIEWS = {
  'image': 'Image',
  'truth': 'Truth',
  'prediction': 'Prediction',
  'error': 'Error',
}


def section(runs: Sequence[Run]) -> str:
  """The worst pictures of every run, as many as there is room for."""
  share = ROOM / len(runs)
  blocks = []
  left_out = 0
  for run in runs:
    cards, used = [], 0
    for picture in run.pictures[: max(_MOST // len(runs), 1)]:
      sources = {k: _source(k, picture.parts[k]) for k in PARTS}
      used += sum(map(len, sources.values()))
      if used > share:
        left_out += 1
        continue
      cards.append(_card(run, len(cards) + 1, picture, sources))
    if cards:
      title = f'<h3>{markup.text(run.name)}</h3>' if len(runs) > 1 else ''
      blocks.append(f'{title}<div class="cards">{"".join(cards)}</div>')
  if not blocks:
    return ''
  note = (
    'The lowest mIoU over the classes that a picture has. Keys 1 to 4 switch, '
    'too.'
  )
  if left_out:
    note += f' {left_out} more have no room on this page.'
  return markup.section(
    'pictures',
    'The worst pictures',
    _switch(),
    _legend(runs[0]),
    *blocks,
    note=note,
  )


def _source(kind, content):
  media = 'jpeg' if kind == 'image' else 'png'
  return f'data:image/{media};base64,{base64.b64encode(content).decode()}'


def _card(run, rank, picture, sources):
  names = run.info.class_names
  lowest = sorted(picture.iou.items(), key=lambda item: item[1])[:3]
  words = ', '.join(f'{names[c]} {100 * v:.0f}' for c, v in lowest)
  images = ''.join(
    f'<img class="{kind}" alt="{markup.text(f"{kind} of {picture.id}")}" '
    f'src="{source}">'
    for kind, source in sources.items()
  )
  return (
    f'<figure class="card"><div class="stack">{images}</div><figcaption>'
    f'<b>{rank}. {100 * picture.miou:.1f} %</b> '
    f'<span>{markup.text(picture.id)}</span>'
    f'<small>{markup.text(words)}</small></figcaption></figure>'
  )


def _switch():
  buttons = ''.join(
    f'<button type="button" data-view="{key}" aria-pressed="false">{title}'
    '</button>'
    for key, title in _VIEWS.items()
  )
  return f'<div class="switch" role="group" aria-label="Shown">{buttons}</div>'


def _legend(run):
  names = ''.join(
    f'<span><i class="swatch" style="background:rgb{tuple(map(int, c))}"></i>'
    f'{markup.text(n)}</span>'
    for n, c in zip(run.info.class_names, run.info.palette)
  )
  return f'<p class="legend classes">{names}</p>'
