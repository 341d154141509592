"""The page in a headless Chromium: sorting, views, widths, dark mode."""

import functools
import html
import json
import re
import shutil
import subprocess

import pytest
import workdirs

from deeplax.report import page, saved

CHROMIUM = next(
  filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'chrome'))),
  None,
)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason='no Chromium here')
# Appended to the page; what it finds is left in the page for --dump-dom.
PROBE = """
<script>
const found = {};
const rows = (name) => [...document.querySelectorAll(
  `table[data-sort=${name}] tbody tr`)].map((r) => r.cells[0].dataset.value);
const shown = () => [...document.querySelector('.stack').children]
  .filter((i) => getComputedStyle(i).display !== 'none')
  .map((i) => i.className);
const head = (key) => document.querySelector(
  `table[data-sort=classes] th[data-key=${key}]`);
const state = () => ({
  classes: rows('classes'), shown: shown(), hash: location.hash,
  sorted: head('KEY').getAttribute('aria-sort'),
  pressed: document.querySelector('[aria-pressed=true]').dataset.view,
});
found.first = state();
found.background = getComputedStyle(document.body).backgroundColor;
found.ink = getComputedStyle(document.body).color;
found.width = innerWidth;
found.wide = [...document.querySelectorAll('body *')]
  .filter((e) => !e.closest('.scroll, nav, svg')
    && e.getBoundingClientRect().right > innerWidth + 1)
  .map((e) => e.outerHTML.slice(0, 80));
found.page = document.documentElement.scrollWidth;
found.small = Math.min(...[...document.querySelectorAll('p, td, th, button')]
  .map((e) => parseFloat(getComputedStyle(e).fontSize)));
found.broken = [...document.images].filter((i) => !i.complete).length;
head('KEY').querySelector('button').click();
found.once = state();
head('KEY').querySelector('button').click();
found.twice = state();
document.querySelector('.switch [data-view=error]').click();
found.error = state();
head('KEY').querySelector('button').click();
document.dispatchEvent(new KeyboardEvent('keydown', { key: '1' }));
found.last = state();
const result = document.createElement('pre');
result.id = 'found';
result.textContent = JSON.stringify(found);
document.body.append(result);
</script>
"""


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
  folder = tmp_path_factory.mktemp('browser')
  with pytest.MonkeyPatch.context() as patch:
    folders = [
      workdirs.make(folder / name, patch, seed=i, pictures=6)
      for i, name in enumerate(('one', 'two', 'three'))
    ]
  return [saved.load(f) for f in folders]


@pytest.fixture(scope='module')
def browse(runs, tmp_path_factory):
  """A function that shows a page, and gives what the probe found."""
  folder = tmp_path_factory.mktemp('pages')

  @functools.cache
  def show(count, hash_text='', width=1600, dark=False, key='iou'):
    content = page.render(runs[:count]).decode()
    content = content.replace('</body>', PROBE.replace('KEY', key) + '</body>')
    path = folder / 'page.html'
    path.write_text(content)
    done = subprocess.run(
      [
        *(CHROMIUM, '--headless', '--no-sandbox', '--disable-gpu'),
        *('--enable-logging=stderr', f'--user-data-dir={folder / "profile"}'),
        f'--blink-settings=preferredColorScheme={0 if dark else 1}',
        *(
          f'--window-size={width},900',
          '--dump-dom',
          f'file://{path}{hash_text}',
        ),
      ],
      capture_output=True,
      text=True,
      timeout=60,
      check=True,
    )
    assert 'CONSOLE' not in done.stderr, done.stderr
    text = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.S)
    return json.loads(html.unescape(text[1]))

  return show


def by_iou(run, *, down):
  """Class names by IoU, the one without any last."""
  known = [n for n in workdirs.NAMES if n != 'bus']
  known.sort(key=lambda n: run.figure(f'iou/{n}'), reverse=down)
  return [*known, 'bus']


def test_sorting_and_views_by_hand(browse, runs):
  found = browse(1)
  first = found['first']
  assert first['classes'] == [*workdirs.NAMES]
  assert first['shown'] == ['prediction'] and first['pressed'] == 'prediction'
  assert found['once']['classes'] == by_iou(runs[0], down=True)
  assert found['once']['sorted'] == 'descending'
  assert found['once']['hash'] == '#sort=classes.iou.down'
  assert found['twice']['classes'] == by_iou(runs[0], down=False)
  assert found['twice']['sorted'] == 'ascending'
  assert found['error']['shown'] == ['image', 'error']
  assert found['error']['hash'] == '#sort=classes.iou.up&view=error'
  # A third click: as it was. A key: the first view.
  assert found['last']['classes'] == [*workdirs.NAMES]
  assert found['last']['shown'] == ['image']
  assert found['last']['hash'] == '#view=image'
  assert found['broken'] == 0


def test_the_address_brings_back_what_was_chosen(browse, runs):
  first = browse(1, '#view=truth&sort=classes.iou.up')['first']
  assert first['classes'] == by_iou(runs[0], down=False)
  assert first['sorted'] == 'ascending'
  assert first['shown'] == ['truth'] and first['pressed'] == 'truth'


@pytest.mark.parametrize('hash_text', ['#classes', '#sort=x.y.z&view=%3Cb%3E'])
def test_an_address_of_something_else_changes_nothing(browse, hash_text):
  first = browse(1, hash_text)['first']
  assert first['classes'] == [*workdirs.NAMES]
  assert first['shown'] == ['prediction']


@pytest.mark.parametrize('count', [1, 3])
@pytest.mark.parametrize('width', [400, 1600])
def test_nothing_is_wider_than_the_page(browse, count, width):
  found = browse(count, width=width, key='iou' if count == 1 else 'run1')
  # Newer versions of Chromium have windows of at least 500.
  assert found['width'] in (width, 500)
  assert found['page'] <= found['width'] and found['wide'] == []
  assert found['small'] >= 11


def test_runs_are_sorted(browse, runs):
  found = browse(3, key='run1')
  assert found['once']['classes'] == by_iou(runs[1], down=True)


def test_dark_mode(browse):
  def light(colour):
    return sum(map(int, re.findall(r'\d+', colour)[:3])) / 3

  day, night = browse(1), browse(1, dark=True)
  assert light(day['background']) > 220 > 60 > light(day['ink'])
  assert light(night['ink']) > 200 > 40 > light(night['background'])
