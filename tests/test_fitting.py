"""Crop, batch and padding that fit the pictures and the memory."""

import types

import numpy as np
import pytest

from configs import folder
from deeplax import config as config_lib
from deeplax import (
  data,
  device_memory,
  fitting,
  open_keys,
  sharding,
  step_memory,
  train,
  workdir,
)
from deeplax.data import ops
from deeplax.errors import ConfigError
from tests.data import trees

MIB = 2**20


@pytest.fixture
def said(monkeypatch):
  lines = []
  for name in ('info', 'warning'):
    monkeypatch.setattr(
      fitting.log, name, lambda text, *words: lines.append(text % words)
    )
  return lines


@pytest.fixture
def plan(monkeypatch):
  """A device of `memory` MiB, and a step of 10 + 1 a picture of 64x64."""
  device = {'memory': 1000, 'compiled': []}

  def train_step_memory(config, info, model, size):
    device['compiled'].append((config.batch_size, size))
    pictures = config.batch_size * size[0] * size[1] / 64**2
    return {'state': 10 * MIB, 'total': int((10 + pictures) * MIB)}

  monkeypatch.setattr(step_memory, 'train_step_memory', train_step_memory)
  monkeypatch.setattr(
    device_memory,
    'for_a_step',
    lambda mesh: device['memory'] and device['memory'] * MIB,
  )
  return device


def mine(root, sizes, split='train'):
  """A folder with pictures of these sizes, without a class table."""
  for i, (height, width) in enumerate(sizes):
    name = f'{i:02}'
    trees.write_picture(root / split / 'images' / f'{name}.jpg', height, width)
    mask = trees.ids([0, 1, 2, 255], height, width, seed=i)
    trees.write_mask(root / split / 'labels' / f'{name}.png', mask)


def own_config(root, **changes):
  config = folder.get_config()
  config.dataset.dir = str(root)
  config.input.workers = 0
  config.model.variant = '18'
  config.model.head_channels = config.model.decoder_channels = 8
  config.mesh.data = 1
  with config.unlocked():
    config.update_from_flattened_dict(changes)
  return config


def chosen(config):
  crop = ops.crop_size(ops.parse(config.input.train))
  return crop, config.batch_size, config.input.eval


@pytest.mark.parametrize(
  'sizes, stride, crop',
  [
    ([(360, 480)], 16, (352, 480)),
    ([(3000, 4000)] * 3, 16, (512, 512)),
    ([(24, 40)], 8, (32, 32)),
    ([(24, 40)], 32, (64, 64)),
    ([(100, 200), (130, 1000), (140, 90)], 16, (128, 192)),
  ],
)
def test_crops_are_as_large_as_pictures(sizes, stride, crop):
  assert fitting.crop_size(sizes, stride) == crop


def test_few_shapes_are_evaluated():
  assert fitting.padding([(300, 400)] * 9) == ''
  sizes = [(300 + i, 400) for i in range(9)]
  assert fitting.padding(sizes) == 'pad_to_multiple(128)'
  assert fitting.padding([(30 + i, 40) for i in range(9)]).endswith('(32)')


def test_nothing_is_said_where_nothing_is_open(tmp_path, said):
  config = own_config(
    tmp_path,
    **{'input.train': 'random_crop(64, 64)', 'input.eval': '', 'batch_size': 3},
  )
  assert fitting.complete(config, tmp_path / 'run') is config
  assert not said


def test_a_folder_of_three_pictures(tmp_path, said, plan):
  mine(tmp_path, [(70, 100)] * 3)
  mine(tmp_path, [(70, 100)], 'val')
  config = fitting.complete(own_config(tmp_path), tmp_path / 'run')
  assert chosen(config) == ((64, 96), 2, '')
  config_lib.validate(config)
  assert config_lib.resolve(config, 3).total_steps == 150
  line = said[-1]
  assert 'for 3 pictures of 70x100' in line
  assert '--config.batch_size=2' in line and 'random_crop(64, 96)' in line


def test_what_is_given_stays(tmp_path, said, plan):
  mine(tmp_path, [(70, 100)] * 9)
  mine(tmp_path, [(70 + i, 100) for i in range(9)], 'val')
  config = own_config(tmp_path, batch_size=5)
  assert chosen(fitting.complete(config, tmp_path)) == (
    (64, 96),
    5,
    'pad_to_multiple(32)',
  )
  config = own_config(tmp_path, **{'input.train': 'random_crop(40, 50)'})
  assert chosen(fitting.complete(config, tmp_path))[:2] == ((40, 50), 8)
  assert plan['compiled'][-1] == (8, (40, 50))
  assert 'input.train' not in said[-1]


@pytest.mark.parametrize(
  'memory, crop, batch',
  [
    (10 + 8 * 64 + 1, (512, 512), 8),
    (10 + 8 * 64 - 1, (512, 512), 4),
    (10 + 2 * 64 + 10, (512, 512), 2),
    (10 + 2 * 16 + 10, (256, 256), 2),
    (10 + 2 * 4 + 10, (128, 128), 2),
    (12, (128, 128), 2),  # does not fit, and is said
    (None, (512, 512), 8),
  ],
)
def test_a_step_fits_into_the_memory(tmp_path, said, plan, memory, crop, batch):
  mine(tmp_path, [(520, 600)] * 8)
  mine(tmp_path, [(520, 600)], 'val')
  plan['memory'] = memory
  config = fitting.complete(own_config(tmp_path), tmp_path / 'run')
  assert chosen(config)[:2] == (crop, batch)
  assert ('may need more memory' in ''.join(said)) == (memory == 12)
  assert len(plan['compiled']) == 1


def test_batches_are_shared_out_over_devices(tmp_path, said, plan):
  mine(tmp_path, [(70, 100)] * 3)
  mine(tmp_path, [(700, 1000)], 'val')
  config = own_config(tmp_path, **{'mesh.data': 4})
  config = fitting.complete(config, tmp_path / 'run')
  assert config.batch_size == 4
  # One picture there is more than four batches here.
  assert config.input.eval_batch_size == 4


def test_a_wrong_config_is_told_before_data_is_read(tmp_path, plan):
  config = own_config(tmp_path / 'absent', **{'model.encoder': 'vgx'})
  with pytest.raises(ConfigError, match='vgx'):
    fitting.complete(config, tmp_path / 'run')


def test_memory_of_this_machine(tmp_path, monkeypatch):
  two, four = (
    device_memory.for_a_step(sharding.make_mesh(data=n)) for n in (2, 4)
  )
  assert two // 2 == pytest.approx(four, abs=2)
  assert 0.59 < 2 * two / device_memory.of_host() < 0.61
  limit = tmp_path / 'memory.max'
  limit.write_text('123456789\n')
  monkeypatch.setattr(device_memory, '_CGROUPS', (str(limit),))
  assert device_memory.of_host() == 123456789
  limit.write_text('max\n')
  assert device_memory.of_host() > 123456789


def test_commands_without_data_take_the_most():
  config = own_config('absent')
  filled = open_keys.filled(config)
  assert chosen(filled) == ((512, 512), 8, '')
  assert open_keys.of(config) == open_keys.KEYS and not open_keys.of(filled)


def test_a_run_keeps_its_choice_on_another_machine(tmp_path, said, plan):
  mine(tmp_path / 'mine', [(70, 100)] * 3)
  mine(tmp_path / 'mine', [(700, 1000)], 'val')
  config = own_config(tmp_path / 'mine')
  run = tmp_path / 'run'
  first = fitting.complete(config, run)
  info = data.info('folder', config.dataset.dir)
  run.mkdir()
  workdir.prepare(run, config_lib.resolve(first, 3), info)
  (run / 'checkpoints' / '1').mkdir(parents=True)
  # Less memory and more pictures would give another crop and batch.
  plan['memory'] = 11
  mine(tmp_path / 'mine', [(700, 1000)] * 9)
  said.clear()
  again = fitting.complete(config, run)
  assert again.to_dict() == first.to_dict() and not said
  assert first.input.eval_batch_size == 1
  workdir.prepare(run, config_lib.resolve(again, 3), info)  # the same run
  other = fitting.complete(config, tmp_path / 'other')
  assert chosen(other) != chosen(first)
  assert config.batch_size is None and config.total_steps is None


def test_rare_classes_lead_to_advice(tmp_path, plan, monkeypatch):
  mine(tmp_path, [(40, 70)] * 2)
  mine(tmp_path, [(40, 70)], 'val')
  for path in (tmp_path / 'train/labels').iterdir():
    mask = np.zeros((40, 70), np.uint8)
    mask[:2, :5], mask[2:10] = 1, 2
    trees.write_mask(path, mask)
  told = []
  monkeypatch.setattr(
    train.log, 'info', lambda text, *words: told.append(text % words)
  )
  config = open_keys.filled(own_config(tmp_path))
  train.examine_labels(config)
  assert 'class_weights' not in ''.join(told)
  told.clear()
  train.examine_labels(config, advise=True)
  line = told[-1]
  assert 'class_1' in line and "--config.loss.class_weights='(" in line
  config.loss.class_weights = (1.0, 2.0, 3.0)
  train.examine_labels(config, advise=True)
  assert len(told) == 1


def test_aligned_corners_have_one_more_pixel(tmp_path, said, plan):
  mine(tmp_path, [(70, 100)] * 3)
  mine(tmp_path, [(70, 100)], 'val')
  config = own_config(tmp_path, **{'model.align_corners': True})
  assert chosen(fitting.complete(config, tmp_path))[0] == (65, 97)
  assert plan['compiled'] == [(2, (65, 97))]


def test_memory_of_accelerators_is_that_of_the_smallest():
  def of(*limits):
    devices = [
      types.SimpleNamespace(platform='gpu', memory_stats=lambda n=n: n)
      for n in limits
    ]
    mesh = types.SimpleNamespace(local_devices=devices)
    return device_memory.for_a_step(mesh)

  assert of({'bytes_limit': 1000}, {'bytes_limit': 500}) == 450
  assert of({'bytes_limit': 1000}, None) is None  # one that does not tell
