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
from deeplax.models.table import layer_table

ROOT = pathlib.Path(__file__).resolve().parents[1]


def one_device(config):
 Some is not of the picture, such as the gradients of the parameters.config.mesh.data = 1
 Some is not of the picture, such as the gradients of the parameters.return config


def test_command_prints_the_course_total():
 Some is not of the picture, such as the gradients of the parameters.result = subprocess.run(
 Some is not of the picture, such as the gradients of the parameters.  [
 Some is not of the picture, such as the gradients of the parameters.    sys.executable,
 Some is not of the picture, such as the gradients of the parameters.    'launch/describe.py',
 Some is not of the picture, such as the gradients of the parameters.    '--config=configs/course_r18.py',
 Some is not of the picture, such as the gradients of the parameters.    '--size=512x1024',
 Some is not of the picture, such as the gradients of the parameters.  ],
 Some is not of the picture, such as the gradients of the parameters.  cwd=ROOT,
 Some is not of the picture, such as the gradients of the parameters.  capture_output=True,
 Some is not of the picture, such as the gradients of the parameters.  text=True,
 Some is not of the picture, such as the gradients of the parameters.  check=True,
 Some is not of the picture, such as the gradients of the parameters.  env={'PATH': '', 'JAX_PLATFORMS': 'cpu', 'HOME': '/nonexistent'},
 Some is not of the picture, such as the gradients of the parameters.)
 Some is not of the picture, such as the gradients of the parameters.lines = result.stdout.splitlines()
 Some is not of the picture, such as the gradients of the parameters.assert 'Total params: 15,315,028' in lines
 Some is not of the picture, such as the gradients of the parameters.assert 'Trainable: 15,315,028' in lines
 Some is not of the picture, such as the gradients of the parameters.assert 'Statistics: 12,672' in lines
 Some is not of the picture, such as the gradients of the parameters.logits = next(line for line in lines if line.startswith('logits'))
 Some is not of the picture, such as the gradients of the parameters.assert logits.split() == ['logits', '32x64x20', '5,140', '0']
 Some is not of the picture, such as the gradients of the parameters.assert any('512x1024' in line and 'GFLOPs' in line for line in lines)


def test_bad_size_is_one_line():
 Some is not of the picture, such as the gradients of the parameters.result = subprocess.run(
 Some is not of the picture, such as the gradients of the parameters.  [
 Some is not of the picture, such as the gradients of the parameters.    sys.executable,
 Some is not of the picture, such as the gradients of the parameters.    'launch/describe.py',
 Some is not of the picture, such as the gradients of the parameters.    '--config=configs/demo.py',
 Some is not of the picture, such as the gradients of the parameters.    '--size=512',
 Some is not of the picture, such as the gradients of the parameters.  ],
 Some is not of the picture, such as the gradients of the parameters.  cwd=ROOT,
 Some is not of the picture, such as the gradients of the parameters.  capture_output=True,
 Some is not of the picture, such as the gradients of the parameters.  text=True,
 Some is not of the picture, such as the gradients of the parameters.)
 Some is not of the picture, such as the gradients of the parameters.assert result.returncode != 0
 Some is not of the picture, such as the gradients of the parameters.assert '--size=512: must be like 512x1024' in result.stderr
 Some is not of the picture, such as the gradients of the parameters.assert 'Traceback' not in result.stderr


@pytest.mark.parametrize(
 Some is not of the picture, such as the gradients of the parameters.'keys',
 Some is not of the picture, such as the gradients of the parameters.[
 Some is not of the picture, such as the gradients of the parameters.  dict(remat=True),
 Some is not of the picture, such as the gradients of the parameters.  # Three scales: each layer is called three times.
 Some is not of the picture, such as the gradients of the parameters.  dict(head='aspp_sum', decoder='none', input_scales=(1.0, 0.75, 0.5)),
 Some is not of the picture, such as the gradients of the parameters.],
)
def test_rows_are_the_variables(keys):
 Some is not of the picture, such as the gradients of the parameters.model = models.build(19, variant='18', **keys)
 Some is not of the picture, such as the gradients of the parameters.variables = models.abstract_variables(model)
 Some is not of the picture, such as the gradients of the parameters.expected = {}
 Some is not of the picture, such as the gradients of the parameters.for collection, tree in variables.items():
 Some is not of the picture, such as the gradients of the parameters.  for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
 Some is not of the picture, such as the gradients of the parameters.    key = '/'.join(k.key for k in path[:-1])
 Some is not of the picture, such as the gradients of the parameters.    counts = expected.setdefault(key, dict(params=0, batch_stats=0))
 Some is not of the picture, such as the gradients of the parameters.    counts[collection] += int(np.prod(leaf.shape))
 Some is not of the picture, such as the gradients of the parameters.rows = layer_table(model, (1, 64, 96, 3))
 Some is not of the picture, such as the gradients of the parameters.assert {
 Some is not of the picture, such as the gradients of the parameters.  row.path: dict(params=row.params, batch_stats=row.statistics)
 Some is not of the picture, such as the gradients of the parameters.  for row in rows
 Some is not of the picture, such as the gradients of the parameters.} == expected
 Some is not of the picture, such as the gradients of the parameters.shapes = {row.path: row.shape for row in rows}
 Some is not of the picture, such as the gradients of the parameters.assert shapes['encoder/stage1/conv1'] == (1, 32, 48, 64)
 Some is not of the picture, such as the gradients of the parameters.assert shapes['encoder/stage5/unit2/bn2'] == (1, 4, 6, 512)
 Some is not of the picture, such as the gradients of the parameters.assert rows[0].path == 'encoder/stage1/conv1'
 Some is not of the picture, such as the gradients of the parameters.assert rows[-1].path.split('/')[-1].startswith('logits')


def test_flops_of_resnet_101():
 Some is not of the picture, such as the gradients of the parameters.# 2 x 7.6e9 multiply-adds at 224x224 in the paper's table, less 2 MFLOP of
 Some is not of the picture, such as the gradients of the parameters.# the classifier; its count includes taps on padding.
 Some is not of the picture, such as the gradients of the parameters.model = models.build(19, variant='101', output_stride=32, decoder='none')
 Some is not of the picture, such as the gradients of the parameters.with_head = describe.forward_flops(model, (224, 224))
 Some is not of the picture, such as the gradients of the parameters.assert 0.95 < with_head / (2 * 7.6e9 + head_flops(7 * 7)) < 1.05


def head_flops(pixels):
 Some is not of the picture, such as the gradients of the parameters."""ASPP at 2048 channels, all taps counted where they fall on the map."""
 Some is not of the picture, such as the gradients of the parameters.taps = sum(
 Some is not of the picture, such as the gradients of the parameters.  sum(max(7 - abs(d) * rate, 0) for d in (-1, 0, 1)) ** 2 / pixels
 Some is not of the picture, such as the gradients of the parameters.  for rate in (3, 6, 9)
 Some is not of the picture, such as the gradients of the parameters.)
 Some is not of the picture, such as the gradients of the parameters.return 2 * pixels * (2048 * 256 * (1 + taps) + 5 * 256 * 256 + 256 * 19)


def test_memory_counts_the_state_exactly():
 Some is not of the picture, such as the gradients of the parameters.config = one_device(demo.get_config())
 Some is not of the picture, such as the gradients of the parameters.info = data.info(config.dataset.name, config.dataset.dir)
 Some is not of the picture, such as the gradients of the parameters.config.batch_size = 2
 Some is not of the picture, such as the gradients of the parameters.config.optimizer.name = 'adamw'
 Some is not of the picture, such as the gradients of the parameters.config.model.decoder = 'none'
 Some is not of the picture, such as the gradients of the parameters.model = models.build(19, **config.model.to_dict())
 Some is not of the picture, such as the gradients of the parameters.found = step_memory.train_step_memory(config, info, model, (32, 64))
 Some is not of the picture, such as the gradients of the parameters.variables = models.abstract_variables(model)
 Some is not of the picture, such as the gradients of the parameters.count = {
 Some is not of the picture, such as the gradients of the parameters.  name: sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(tree))
 Some is not of the picture, such as the gradients of the parameters.  for name, tree in variables.items()
 Some is not of the picture, such as the gradients of the parameters.}
 Some is not of the picture, such as the gradients of the parameters.# float32: parameters, two moments of Adam, statistics; a few counters.
 Some is not of the picture, such as the gradients of the parameters.state = 4 * (3 * count['params'] + count['batch_stats'])
 Some is not of the picture, such as the gradients of the parameters.assert state < found['state'] < state + 100
 Some is not of the picture, such as the gradients of the parameters.assert found['batch'] == pytest.approx(2 * (4 * 32 * 64 + 1), abs=64)
 Some is not of the picture, such as the gradients of the parameters.assert found['temporary'] > 4 * count['params']  # the gradients
 Some is not of the picture, such as the gradients of the parameters.assert found['total'] >= sum(
 Some is not of the picture, such as the gradients of the parameters.  found[name] for name in ('state', 'batch', 'temporary')
 Some is not of the picture, such as the gradients of the parameters.)


def test_memory_falls_with_the_devices_that_share_a_picture(monkeypatch):
 Some is not of the picture, such as the gradients of the parameters.variant = resnet.Variant(False, (1, 1, 1, 1), '')
 Some is not of the picture, such as the gradients of the parameters.monkeypatch.setitem(resnet.VARIANTS, 'short', variant)
 Some is not of the picture, such as the gradients of the parameters.config = one_device(demo.get_config())
 Some is not of the picture, such as the gradients of the parameters.info = data.info(config.dataset.name, config.dataset.dir)
 Some is not of the picture, such as the gradients of the parameters.config.batch_size = 1
 Some is not of the picture, such as the gradients of the parameters.config.model.variant = 'short'
 Some is not of the picture, such as the gradients of the parameters.model = models.build(19, **config.model.to_dict())
 Some is not of the picture, such as the gradients of the parameters.found = []
 Some is not of the picture, such as the gradients of the parameters.jax.config.update('jax_disable_most_optimizations', True)
 Some is not of the picture, such as the gradients of the parameters.for spatial in (1, 4):
 Some is not of the picture, such as the gradients of the parameters.  config.mesh.update(data=1, spatial=spatial)
 Some is not of the picture, such as the gradients of the parameters.  memory = step_memory.train_step_memory(config, info, model, (513, 512))
 Some is not of the picture, such as the gradients of the parameters.  found.append(memory['temporary'])
 Some is not of the picture, such as the gradients of the parameters.jax.config.update('jax_disable_most_optimizations', False)
 Some is not of the picture, such as the gradients of the parameters.# Some is not of the picture, such as the gradients of the parameters.
 Some is not of the picture, such as the gradients of the parameters.assert found[0] / 4 < found[1] < found[0] / 3


def test_bad_config_is_refused_before_anything():
 Some is not of the picture, such as the gradients of the parameters.config = one_device(course_r18.get_config())
 Some is not of the picture, such as the gradients of the parameters.config.model.output_stride = 7
 Some is not of the picture, such as the gradients of the parameters.with pytest.raises(ConfigError, match='output_stride'):
 Some is not of the picture, such as the gradients of the parameters.  list(describe.describe(config))


def test_compare_reads_off_the_family():
 Some is not of the picture, such as the gradients of the parameters.configs = {'a': one_device(demo.get_config()), 'b': course_r18.get_config()}
 Some is not of the picture, such as the gradients of the parameters.head, a, b, foot = compare.compare(configs, size=(32, 64), repeats=1)
 Some is not of the picture, such as the gradients of the parameters.assert head.split()[:4] == ['config', 'encoder', 'stride', 'params']
 Some is not of the picture, such as the gradients of the parameters.# Parameters and operations as `describe` has them.
 Some is not of the picture, such as the gradients of the parameters.for line, config, name in ((a, configs['a'], 'a'), (b, configs['b'], 'b')):
 Some is not of the picture, such as the gradients of the parameters.  model = models.build(19 + config.loss.void_class, **config.model.to_dict())
 Some is not of the picture, such as the gradients of the parameters.  cells = line.split()
 Some is not of the picture, such as the gradients of the parameters.  assert cells[0] == name
 Some is not of the picture, such as the gradients of the parameters.  assert cells[3] == str(config.model.output_stride)
 Some is not of the picture, such as the gradients of the parameters.  params = sum(r.params for r in layer_table(model, (1, 32, 64, 3)))
 Some is not of the picture, such as the gradients of the parameters.  assert cells[4] == f'{params:,}'
 Some is not of the picture, such as the gradients of the parameters.  flops = describe.forward_flops(model, (32, 64)) / 1e9
 Some is not of the picture, such as the gradients of the parameters.  assert cells[5] == f'{flops:,.1f}'
 Some is not of the picture, such as the gradients of the parameters.  assert float(cells[6]) > 0
 Some is not of the picture, such as the gradients of the parameters.  # At least the weights, in float32.
 Some is not of the picture, such as the gradients of the parameters.  assert float(cells[7]) * 2**20 > 4 * params
 Some is not of the picture, such as the gradients of the parameters.assert '32x64, float32' in foot


def test_compare_wants_configs_that_exist():
 Some is not of the picture, such as the gradients of the parameters.with pytest.raises(ConfigError, match='no configs/nothing'):
 Some is not of the picture, such as the gradients of the parameters.  config_files.load_all(['demo', 'nothing'])
 Some is not of the picture, such as the gradients of the parameters.with pytest.raises(ConfigError, match=r"demo:nothing.*no variant 'nothing'"):
 Some is not of the picture, such as the gradients of the parameters.  config_files.load_all(['demo:nothing'])
 Some is not of the picture, such as the gradients of the parameters.assert config_files.load_all(['demo:smoke'])['demo:smoke'].total_steps == 2
