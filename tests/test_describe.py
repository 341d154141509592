"""The description of a config, against what is known of the network."""

import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from configs import course_r18, demo
from deeplax import compare, config_files, data, describe, models, step_memory
from deeplax.errors import ConfigError
from deeplax.models.encoders import resnet
from deeplax.models.flops import forward_flops
from deeplax.models.table import layer_table

ROOT = pathlib.Path(__file__).resolve().parents[1]


def one_device(config):
  config.mesh.data = 1
  return config


def test_command_prints_the_course_total():
  result = subprocess.run(
    [
      sys.executable,
      'launch/describe.py',
      '--config=configs/course_r18.py',
      '--size=512x1024',
    ],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
    env={'PATH': '', 'JAX_PLATFORMS': 'cpu', 'HOME': '/nonexistent'},
  )
  lines = result.stdout.splitlines()
  assert 'Total params: 15,315,028' in lines
  assert 'Trainable: 15,315,028' in lines
  assert 'Statistics: 12,672' in lines
  logits = next(line for line in lines if line.startswith('logits'))
  assert logits.split() == ['logits', '32x64x20', '5,140', '0']
  assert any('512x1024' in line and 'GFLOPs' in line for line in lines)


def test_bad_size_is_one_line():
  result = subprocess.run(
    [
      sys.executable,
      'launch/describe.py',
      '--config=configs/demo.py',
      '--size=512',
    ],
    cwd=ROOT,
    capture_output=True,
    text=True,
  )
  assert result.returncode != 0
  assert '--size=512: must be like 512x1024' in result.stderr
  assert 'Traceback' not in result.stderr


@pytest.mark.parametrize(
  'keys',
  [
    dict(remat=True),
    # Three scales: each layer is called three times.
    dict(head='aspp_sum', decoder='none', input_scales=(1.0, 0.75, 0.5)),
  ],
)
def test_rows_are_the_variables(keys):
  model = models.build(19, variant='18', **keys)
  variables = models.abstract_variables(model)
  expected = {}
  for collection, tree in variables.items():
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
      key = '/'.join(k.key for k in path[:-1])
      counts = expected.setdefault(key, dict(params=0, batch_stats=0))
      counts[collection] += int(np.prod(leaf.shape))
  rows = layer_table(model, (1, 64, 96, 3))
  assert {
    row.path: dict(params=row.params, batch_stats=row.statistics)
    for row in rows
  } == expected
  shapes = {row.path: row.shape for row in rows}
  assert shapes['encoder/stage1/conv1'] == (1, 32, 48, 64)
  assert shapes['encoder/stage5/unit2/bn2'] == (1, 4, 6, 512)
  assert rows[0].path == 'encoder/stage1/conv1'
  assert rows[-1].path.split('/')[-1].startswith('logits')


def test_flops_of_resnet_101():
  # 2 x 7.6e9 multiply-adds at 224x224 in the paper's table, less 2 MFLOP of
  # the classifier; its count includes taps on padding.
  model = models.build(19, variant='101', output_stride=32, decoder='none')
  with_head = forward_flops(model, (1, 224, 224, 3), on_padding=False)
  assert 0.95 < with_head / (2 * 7.6e9 + head_flops(7 * 7)) < 1.05


def head_flops(pixels):
  """ASPP at 2048 channels, all taps counted where they fall on the map."""
  taps = sum(
    sum(max(7 - abs(d) * rate, 0) for d in (-1, 0, 1)) ** 2 / pixels
    for rate in (3, 6, 9)
  )
  return 2 * pixels * (2048 * 256 * (1 + taps) + 5 * 256 * 256 + 256 * 19)


def test_memory_counts_the_state_exactly():
  config = one_device(demo.get_config())
  info = data.info(config.dataset.name, config.dataset.dir)
  config.batch_size = 2
  config.optimizer.name = 'adamw'
  config.model.decoder = 'none'
  model = models.build(19, **config.model.to_dict())
  found = step_memory.train_step_memory(config, info, model, (32, 64))
  variables = models.abstract_variables(model)
  count = {
    name: sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(tree))
    for name, tree in variables.items()
  }
  # float32: parameters, two moments of Adam, statistics; a few counters.
  state = 4 * (3 * count['params'] + count['batch_stats'])
  assert state < found['state'] < state + 100
  assert found['batch'] == pytest.approx(2 * (4 * 32 * 64 + 1), abs=64)
  assert found['temporary'] > 4 * count['params']  # the gradients
  assert found['total'] >= sum(
    found[name] for name in ('state', 'batch', 'temporary')
  )


def test_memory_falls_with_the_devices_that_share_a_picture(monkeypatch):
  variant = resnet.Variant(False, (1, 1, 1, 1), '')
  monkeypatch.setitem(resnet.VARIANTS, 'short', variant)
  config = one_device(demo.get_config())
  info = data.info(config.dataset.name, config.dataset.dir)
  config.batch_size = 1
  config.model.variant = 'short'
  model = models.build(19, **config.model.to_dict())
  found = []
  jax.config.update('jax_disable_most_optimizations', True)
  for spatial in (1, 4):
    config.mesh.update(data=1, spatial=spatial)
    memory = step_memory.train_step_memory(config, info, model, (513, 512))
    found.append(memory['temporary'])
  jax.config.update('jax_disable_most_optimizations', False)
  # Some is not of the picture: parameters, their gradients, what lowerings make
  # of kernels.
  assert found[0] / 4 < found[1] < found[0] / 2.5


def test_bad_config_is_refused_before_anything():
  config = one_device(course_r18.get_config())
  config.model.output_stride = 7
  with pytest.raises(ConfigError, match='output_stride'):
    list(describe.describe(config))


def test_compare_reads_off_the_family():
  configs = {'a': one_device(demo.get_config()), 'b': course_r18.get_config()}
  head, a, b, foot = compare.compare(configs, size=(32, 64), repeats=1)
  assert head.split()[:4] == ['config', 'encoder', 'stride', 'params']
  # Parameters and operations as `describe` has them.
  for line, config, name in ((a, configs['a'], 'a'), (b, configs['b'], 'b')):
    model = models.build(19 + config.loss.void_class, **config.model.to_dict())
    cells = line.split()
    assert cells[0] == name
    assert cells[3] == str(config.model.output_stride)
    params = sum(r.params for r in layer_table(model, (1, 32, 64, 3)))
    assert cells[4] == f'{params:,}'
    flops = forward_flops(model, (1, 32, 64, 3), on_padding=False) / 1e9
    assert cells[5] == f'{flops:,.1f}'
    assert float(cells[6]) > 0
    # At least the weights, in float32.
    assert float(cells[7]) * 2**20 > 4 * params
  assert '32x64, float32' in foot


def test_compare_wants_configs_that_exist():
  with pytest.raises(ConfigError, match='no configs/nothing'):
    config_files.load_all(['demo', 'nothing'])
  with pytest.raises(ConfigError, match=r"demo:nothing.*no variant 'nothing'"):
    config_files.load_all(['demo:nothing'])
  assert config_files.load_all(['demo:smoke'])['demo:smoke'].total_steps == 2
