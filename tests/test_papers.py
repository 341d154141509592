"""Recipes against those they follow: the table, the schedules, the epochs."""

import importlib
import pathlib
import re
import subprocess
import sys

import jax
import numpy as np
import pytest

from configs import papers
from configs.papers import reasons
from deeplax import config as config_lib
from deeplax import config_files, optimizers, papers_table
from deeplax.data import ops
from deeplax.errors import ConfigError
from deeplax.models import layers

ROOT = pathlib.Path(__file__).resolve().parents[1]
COMMITTED = ROOT / 'configs/PAPERS.md'
NAMES = tuple(papers.PAPERS)
# total_steps x batch / pictures, by hand.
EPOCHS = {
  'r101': 80_000 * 8 / 2_975,
  'r101:os16': 80_000 * 8 / 2_975,
  'x65': 90_000 * 16 / 2_975,
  'x71': 90_000 * 16 / 2_975,
  'v3_r101': 90_000 * 16 / 2_975,
  'v3_r50': 90_000 * 16 / 2_975,
  'mobilenet_v2': 90_000 * 16 / 2_975,
  'v1_vgg16:voc': 6_000 * 30 / 10_582,
  'v2_r101': 20_000 * 10 / 2_975,
  'v2_r101:voc': 20_000 * 10 / 10_582,
  'unet': 80_000 * 8 / 2_975,
  'course_r18': 92,
  'course_r50': 128,
  'course_r101': 148,
  'course_r101:second_leg': 22,
}


@pytest.fixture(scope='module')
def configs():
  return config_files.load_all(NAMES)


@pytest.fixture(scope='module')
def ours(configs):
  """{name: its settings in words}."""
  return {
    name: papers_table.ours(configs[name], papers.PICTURES) for name in NAMES
  }


def printed(configs):
  lines = papers_table.table(
    papers.PAPERS, configs, papers.PICTURES, papers.SOURCES
  )
  return '\n'.join(lines) + '\n'


def test_what_is_committed_is_what_is_printed(configs):
  assert COMMITTED.read_text() == printed(configs), (
    'run: python launch/describe.py --papers > configs/PAPERS.md'
  )


def test_command_prints_it():
  result = subprocess.run(
    [sys.executable, 'launch/describe.py', '--papers'],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
    env={'PATH': '', 'JAX_PLATFORMS': 'cpu', 'HOME': '/nonexistent'},
  )
  assert result.stdout == COMMITTED.read_text()


def test_a_changed_config_is_seen(configs):
  changed = {**configs, 'x71': configs['x71'].copy_and_resolve_references()}
  with changed['x71'].unlocked():
    changed['x71'].model.output_stride = 8
  table = printed(changed)
  assert table != COMMITTED.read_text()
  assert '| != | output stride | 8 | 16 |' in table
  assert f'- output stride: {papers_table.NO_REASON}' in table


@pytest.mark.parametrize('name', NAMES)
def test_reasons_are_those_of_differences(name, ours):
  paper = papers.PAPERS[name]
  assert not {*paper['theirs']} - {*ours[name]}, 'no such setting'
  differ = papers_table.different(ours[name], paper['theirs'])
  assert {*paper['reasons']} == {*differ}
  assert all(len(reason) > 20 for reason in paper['reasons'].values())


def test_differences_are_of_what_is_stated():
  theirs = {'crop': ('769x769', 'V3 C'), 'batch': ('16', 'V3 4.1')}
  mine = {'crop': '513x513', 'batch': '16', 'steps': '10'}
  assert papers_table.different(mine, theirs) == ['crop']


def source_of(citation):
  """The key of SOURCES that a citation begins with, or None."""
  found = [
    key
    for key in papers.SOURCES
    if re.match(rf'{re.escape(key)}(\W|$)', citation)
  ]
  return max(found, key=len, default=None)


def test_sources_are_known_and_used():
  cited = []
  for paper in papers.PAPERS.values():
    cited += [source for _, source in paper['theirs'].values()]
    for figure in paper['published']:
      cited += re.findall(r'\(([^)]*)\)$', figure)
  # Behind the first there may be others, and remarks.
  assert all(source_of(citation) for citation in cited)
  parts = [part for citation in cited for part in citation.split('; ')]
  assert {*map(source_of, parts)} - {None} == {*papers.SOURCES}
  assert source_of('V3+ 4.5') == 'V3+' and source_of('V4 1') is None


@pytest.mark.parametrize('name', NAMES)
def test_weights_that_are_promised_have_a_command(name):
  if papers.PAPERS[name]['reasons'].get('initial_weights') == reasons.WEIGHTS:
    config = name.partition(':')[0]
    document = importlib.import_module(f'configs.{config}').__doc__
    # It may leave that to another, "with 50 for 101".
    for other in re.findall(r'configs/(\w+)\.py', document):
      document += importlib.import_module(f'configs.{other}').__doc__
    assert '--config.init_from=' in document


@pytest.mark.parametrize('name', NAMES)
def test_published_figures_are_those_of_the_config(name):
  file = ROOT / f'configs/{name.partition(":")[0]}.py'
  for figure in papers.PAPERS[name]['published']:
    for number in re.findall(r'\d+\.\d+', figure.partition('(')[0]):
      assert number in file.read_text()


def prescribed(words, step, total):
  """The learning rate that the words of the table mean."""
  peak = float(words['learning_rate'])
  if words['schedule'] == 'constant':
    return peak
  if match := re.fullmatch(r'poly (\S+) to (\S+)', words['schedule']):
    power, end = map(float, match.groups())
    return (peak - end) * (1 - step / total) ** power + end
  factor, edges = re.fullmatch(
    r'x (\S+) at steps (.*)', words['schedule']
  ).groups()
  passed = [e for e in edges.split(', ') if step >= int(e.replace(',', ''))]
  return peak * float(factor) ** len(passed)


@pytest.mark.parametrize('name', NAMES)
def test_schedule_is_the_prescribed_one(name, configs, ours):
  """Theirs, and ours where nobody states one or ours has a reason."""
  words = dict(ours[name])
  for key, (value, _) in papers.PAPERS[name]['theirs'].items():
    if key not in papers.PAPERS[name]['reasons']:
      words[key] = value
  split = configs[name].dataset.name, configs[name].dataset.train_split
  config = config_lib.resolve(configs[name], papers.PICTURES[split])
  total = int(words['steps'].replace(',', ''))
  assert config.total_steps == total
  rate = optimizers.make_schedule(
    **config.schedule.to_dict(), total_steps=total
  )
  for step in (0, total // 3 - 1, total // 3, total // 2, total - 1):
    # A step is divided in float32.
    assert float(rate(step)) == pytest.approx(
      prescribed(words, step, total), rel=1e-5, abs=2e-7 * config.schedule.peak
    )
  assert float(rate(0)) == pytest.approx(float(words['learning_rate']))


@pytest.mark.parametrize('name', NAMES)
def test_epochs_on_the_official_number_of_pictures(name, ours):
  assert {*EPOCHS} == {*NAMES}
  assert float(ours[name]['epochs']) == pytest.approx(EPOCHS[name], abs=0.051)


@pytest.mark.parametrize('name', ['v3_r101', 'v3_r50', 'x65', 'x71'])
def test_their_recipe_on_voc(name):
  """V3 4.1: 30K steps of 16 crops of 513 out of trainaug, at 0.007."""
  config = config_files.load_all([f'{name}:voc'])[f'{name}:voc']
  assert ops.crop_size(ops.parse(config.input.train)) == (513, 513)
  assert (config.total_steps, config.batch_size) == (30_000, 16)
  assert config.schedule.peak == 0.007
  words = papers_table.ours(config, papers.PICTURES)
  assert words['pictures'] == 'voc trainaug, 10,582'
  assert words['epochs'] == '45.4'


def test_bn_decay_is_what_is_kept():
  """TensorFlow's decay, so that PyTorch's momentum is 1 - 0.9997."""
  style = layers.Style(
    dtype=np.float32,
    param_dtype=np.float32,
    bn_decay=0.9997,
    bn_epsilon=1e-3,
    bn_unbiased=True,
    freeze_bn=False,
  )
  x = np.random.default_rng(0).normal(5, 3, (2, 3, 4, 1)).astype(np.float32)
  layer = layers.BatchNorm(style)
  variables = layer.init(jax.random.key(0), x, train=False)
  _, changes = layer.apply(variables, x, train=True, mutable=['batch_stats'])
  momentum = 1 - 0.9997
  found = changes['batch_stats']
  assert found['mean'] == pytest.approx(momentum * x.mean(), rel=1e-3)
  assert found['var'] == pytest.approx(
    (1 - momentum) * 1 + momentum * x.var(ddof=1), rel=1e-6
  )


@pytest.mark.parametrize('name', ['papers', 'papers.course', 'common'])
def test_pieces_are_no_configs(name):
  with pytest.raises(ConfigError, match='a piece that configs share'):
    config_files.load_all([name])
