"""Puts the report together: one file, with nothing to be fetched."""

import pathlib
import string
from collections.abc import Sequence

from deeplax.report import (
  confusions,
  curves,
  gallery,
  markup,
  provenance,
  scores,
)
from deeplax.report.saved import Run

_FOLDER = pathlib.Path(__file__).parent


def render(runs: Sequence[Run]) -> bytes:
  """The page of one run, or of several beside each other."""
  single = len(runs) == 1
  sections = (
    scores.headline(runs),
    scores.classes(runs),
    '<div class="columns">'
    + curves.contours(runs)
    + curves.calibration(runs)
    + '</div>',
    curves.distance(runs),
    confusions.section(runs),
    gallery.section(runs),
    provenance.section(runs),
  )
  names = ' · '.join(run.name for run in runs)
  content = string.Template(_part('page.html')).substitute(
    title=markup.text(names),
    subtitle=_subtitle(runs[0]) if single else f'{len(runs)} runs compared',
    style=_part('page.css'),
    script=_part('page.js'),
    content=''.join(sections),
  )
  # Names of files need not be text: half of a surrogate pair is written out.
  return content.encode('utf-8', 'backslashreplace')


def _subtitle(run):
  words = [
    scores.network(run),
    f'{run.config.get("dataset.name")}, {run.result["split"]}',
    f'step {run.result["step"]}',
    run.views,
  ]
  if run.result['refined']:
    before = run.result['scalars'][f'{run.result["split"]}/miou']
    words.append(
      'scores are those after the CRF'
      + ('' if before is None else f' (mIoU before it {100 * before:.1f} %)')
    )
  return markup.text(' · '.join(words))


def _part(name):
  return (_FOLDER / name).read_text(encoding='utf-8')
