"""The page holds the figures, escapes what is foreign and fetches nothing."""

import dataclasses
import html.parser
import re

import numpy as np
import pytest
import workdirs

from deeplax.report import charts, page, saved

VOID_TAGS = {'meta', 'link', 'img'}


class Reader(html.parser.HTMLParser):
  """Text, tags and attributes of a page; every tag must be closed."""

  def __init__(self, content):
    super().__init__()
    self.open, self.tags, self.words = [], [], []
    self.feed(content)
    self.close()
    assert not self.open

  def handle_starttag(self, tag, attrs):
    self.tags.append((tag, dict(attrs)))
    if tag not in VOID_TAGS:
      self.open.append(tag)

  def handle_startendtag(self, tag, attrs):
    self.tags.append((tag, dict(attrs)))

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    if not self.open or self.open[-1] not in ('script', 'style'):
      self.words.append(data)


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
  folder = tmp_path_factory.mktemp('runs')
  with pytest.MonkeyPatch.context() as patch:
    first = workdirs.make(folder / '<b>one</b>', patch)
    second = workdirs.make(folder / 'two', patch, share=0.4, seed=1)
  return [saved.load(first), saved.load(second)]


@pytest.fixture(scope='module')
def pages(runs):
  return page.render(runs[:1]).decode(), page.render(runs).decode()


def test_the_figures_are_there(runs, pages):
  run = runs[0]
  for content in pages:
    words = ' '.join(Reader(content).words)
    for value in (
      run.figure('miou'),
      run.figure('iou/car'),
      run.measures['boundary']['miou'],
      run.measures['calibration']['ece'],
      run.measures['distance']['miou'][0],
    ):
      assert f'{100 * value:.1f}' in words
    assert run.result['device'] in words
    assert f'jax {run.result["versions"]["jax"]}' in words
  words = ' '.join(Reader(pages[0]).words)
  for value in run.measures['boundary']['iou'][:4]:
    assert f'{100 * value:.1f}' in words
  assert 'model.output_stride' in words and 'nan' not in words.lower()
  assert f'{run.confusion[0, 1]:,}' in words


def test_foreign_text_is_no_markup(pages):
  for content in pages:
    reader = Reader(content)
    # Once the page's own.
    assert sum(tag == 'script' for tag, _ in reader.tags) == 1
    assert not any('onerror' in attributes for _, attributes in reader.tags)
    words = ''.join(reader.words)
    for name in workdirs.NAMES:
      assert name in words
    assert workdirs.ID in words and '<b>one</b>' in words


def test_nothing_is_fetched(pages):
  for content in pages:
    for tag, attributes in Reader(content).tags:
      for key in ('src', 'href', 'action', 'data', 'srcset', 'poster'):
        value = attributes.get(key, 'data:')
        assert value.startswith(('data:', '#')), (tag, value[:50])
    assert not re.search(r'url\(|@import|https?://', content)
    assert "default-src 'none'" in content


def test_twenty_pictures_with_four_parts(pages):
  for content in pages:
    tags = Reader(content).tags
    images = [a for tag, a in tags if tag == 'img']
    assert len(images) == 4 * 20
    assert all(a['alt'] for a in images)


def test_the_best_run_is_marked(runs, pages):
  best = re.findall(r'<td class="num best" data-value="([\d.]+)"', pages[1])
  assert repr(runs[0].figure('miou')) in best
  assert repr(runs[1].figure('miou')) not in best
  assert 'num best' not in pages[0]


def test_a_page_is_never_large(runs):
  noise = np.random.default_rng(0).bytes(80_000)
  parts = dict.fromkeys(runs[0].pictures[0].parts, noise)
  pictures = [dataclasses.replace(p, parts=parts) for p in runs[0].pictures]
  large = [dataclasses.replace(run, pictures=pictures) for run in runs]
  for some in (large[:1], large):
    content = page.render(some)
    assert len(content) < 5_000_000
    assert b'have no room on this page' in content
    assert content.count(b'<img') > 20


def test_runs_that_are_not_alike_are_said(runs):
  other = dict(runs[1].result, split='train', pictures=3, device='elsewhere')
  other = dataclasses.replace(runs[1], result=other)
  words = ' '.join(Reader(page.render([runs[0], other]).decode()).words)
  assert 'evaluated on different splits' in words
  assert 'different numbers of pictures' in words
  assert 'Times are of different devices' in words
  assert 'different' not in ' '.join(Reader(page.render(runs).decode()).words)


def test_keys_that_differ_are_listed(runs):
  config = {**runs[1].config, 'batch_size': 77, 'own.key': '<i>'}
  other = dataclasses.replace(runs[1], config=config)
  words = Reader(page.render([runs[0], other]).decode()).words
  assert {'Where the configs differ', 'batch_size', '77', '"<i>"'} <= {*words}
  assert 'model.output_stride' not in words


def test_without_distance_and_pictures(runs):
  measures = dict(runs[0].measures, distance=None)
  bare = dataclasses.replace(runs[0], measures=measures, pictures=[])
  content = page.render([bare]).decode()
  assert 'id="distance"' not in content and 'id="pictures"' not in content
  both = page.render([bare, runs[1]]).decode()
  assert 'id="distance"' in both


def test_lone_surrogates_do_not_end_it(runs):
  odd = dataclasses.replace(runs[0], name='a\udcffb')
  assert b'a\\udcffb' in page.render([odd])


def test_axes_hold_their_values():
  axis = charts.percent_axis([0.312, float('nan'), 0.668], '')
  assert axis.low <= 0.312 and axis.high >= 0.668
  assert 3 <= len(axis.ticks) <= 8
  assert axis.part(axis.low) == 0 and axis.part(axis.high) == 1
  for values in ([], [0.5], [0.0, 1.0]):
    axis = charts.percent_axis(values, '')
    assert axis.low < axis.high
