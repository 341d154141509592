"""Every config: its smoke run, its other data sets, what it claims to be."""

import importlib
import math
import pathlib
import re

import jax
import numpy as np
import pytest

from configs import camvid
from deeplax import config as config_lib
from deeplax import (
  data,
  models,
  optimizers,
  recipe,
  sharding,
  state,
  summaries,
  train,
  workdir,
)
from deeplax.data import ops

ROOT = pathlib.Path(__file__).resolve().parents[1]
PIECES = ('camvid', 'common', 'course')  # recipes that configs share
NAMES = sorted(
  p.stem for p in (ROOT / 'configs').glob('[!_]*.py') if p.stem not in PIECES
)
# Those that offer other data sets by argument.
FAMILY = (
  'v1_vgg16',
  'v2_r101',
  'v3_r50',
  'v3_r101',
  'r101',
  'x65',
  'x71',
  'mobilenet_v2',
  'unet',
)
# Others in all but depth: their steps are traced, and not compiled for minutes.
DEEPER = (
  'camvid_mobilenet_v2',
  'camvid_r101',
  'camvid_r50',
  'camvid_unet',
  'camvid_v1_vgg16',
  'course_r101',
  'course_r50',
  'v3_r101',
  'x71',
)
# Trained at less depth; the whole is traced, too.
SHALLOWER = {'r101': '50', 'v2_r101': '50_caffe', 'x65': '41'}
# Trainable parameters, as published, or as in the golden counts.
COUNTS = {
  'v1_vgg16:voc': 20_505_429,
  'v2_r101:voc': 44_048_532,
  'x65:voc': 41_055_413,
  'x65': 41_054_899,
  'x71': 42_886_987,
  'v3_r50:voc,torchvision': 42_004_074,
  'v3_r101:voc,torchvision': 60_996_202,
  # 31,031,810 with 2 classes; the last 1x1 has 64 weights and a bias a class.
  'unet': 31_031_810 + 17 * 65,
  # 32,521,250 with 2 classes; the last 3x3 has 16 channels.
  'unet:resnet': 32_521_250 + 17 * 145,
}


def get(name):
  """The config of `--config=configs/<name>.py:<argument>`."""
  module, _, argument = name.partition(':')
  return importlib.import_module(f'configs.{module}').get_config(argument)


def count(config, classes):
  model = models.build(classes, **config_lib.model_options(config))
  params = models.abstract_variables(model)['params']
  return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


@pytest.fixture
def in_a_hurry():
  """Compiles without most optimisations: two steps need none."""
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)


@pytest.mark.parametrize('name', sorted({*NAMES} - {*DEEPER}))
def test_smoke(name, tmp_path, in_a_hurry):
  config = shallower(name, get(f'{name}:smoke'))
  scalars = train.train_and_evaluate(config, tmp_path)
  assert 0 <= scalars['val/miou'] <= 1
  rows = [row for row in summaries.read(tmp_path) if 'train/loss' in row]
  assert [row['step'] for row in rows] == [1, 2]
  assert all(row['train/gradient_norm'] > 0 for row in rows)
  # The network that was trained, saved and is read back is the config's own.
  _, info, variables, step = workdir.load_run(tmp_path)
  assert step == 2
  leaves = jax.tree.leaves(variables['params'])
  expected = count(
    shallower(name, get(name)), config_lib.num_outputs(config, info)
  )
  assert sum(leaf.size for leaf in leaves) == expected
  if name == 'v1_vgg16':  # no batch norm, so no statistics, at all
    assert not jax.tree.leaves(variables['batch_stats'])
    again = train.train_and_evaluate(config, tmp_path)  # it is complete
    assert again['val/miou'] == scalars['val/miou']


def shallower(name, config):
  variant = SHALLOWER.get(name, config.model.variant)
  config.update_from_flattened_dict({'model.variant': variant})
  return config


def abstract_step(config):
  """The train step of a resolved config; shapes of a state and of a batch."""
  info = data.info(config.dataset.name)
  model = models.build(
    config_lib.num_outputs(config, info), **config_lib.model_options(config)
  )
  mesh = sharding.make_mesh(**config.mesh)
  step, tx = recipe.make_step(config, info, model, mesh, None)
  variables = models.abstract_variables(model)
  ema = config.optimizer.ema_decay is not None
  before = jax.eval_shape(
    lambda v: state.create_state(v, tx, config.seed, ema=ema), variables
  )
  size = ops.crop_size(ops.parse(config.input.train))
  shape = (config.batch_size, *size)
  batch = {
    'image': jax.ShapeDtypeStruct((*shape, 3), 'uint8'),
    'label': jax.ShapeDtypeStruct(shape, 'uint8'),
    'valid': jax.ShapeDtypeStruct(shape[:1], 'bool'),
  }
  return step, before, batch


@pytest.mark.parametrize('name', [*DEEPER, *SHALLOWER])
def test_smoke_of_a_deeper_one(name):
  config = config_lib.resolve(get(f'{name}:smoke'), 4)
  config_lib.validate(config)
  step, before, batch = abstract_step(config)
  after, metrics = jax.eval_shape(step, before, batch)
  assert jax.tree.map(np.shape, after) == jax.tree.map(np.shape, before)
  assert metrics['loss'].shape == ()


def test_all_seeds_run_one_program():
  def program(seed):
    config = get('demo')
    config.model.dropout = 0.5
    config.seed = seed
    step, state, batch = abstract_step(config_lib.resolve(config, 4))
    return step.lower(state, batch).as_text()

  assert program(0) == program(1)


@pytest.mark.parametrize('name', FAMILY)
@pytest.mark.parametrize(
  'dataset, classes, split', [('voc', 21, 'trainaug'), ('camvid', 11, 'train')]
)
def test_other_data_sets(name, dataset, classes, split):
  config = get(f'{name}:{dataset}')
  validate(config)
  assert data.info(config.dataset.name).num_classes == classes
  assert config.dataset.train_split == split
  height, width = ops.crop_size(ops.parse(config.input.train))
  assert max(height, width) <= 513
  if config.model.align_corners:
    step = config.model.output_stride
    assert height % step == width % step == 1
  if dataset == 'voc':  # one shape for all pictures, and none is cut
    (op,) = ops.parse(config.input.eval)
    assert op.name == 'pad_to_multiple' and dict(op.arguments)['k'] > 500


def validate(config):
  """On one device, whatever the suite pretends to have."""
  config = config.copy_and_resolve_references()
  with config.unlocked():
    config.mesh.data = 1
  config_lib.validate(config)


@pytest.mark.parametrize('name', NAMES)
def test_default_is_valid(name):
  validate(get(name))


@pytest.mark.parametrize('name', FAMILY)
@pytest.mark.parametrize('argument', ['voc,smoke', 'smoke,camvid'])
def test_smoke_comes_last(name, argument):
  config = get(f'{name}:{argument}')
  assert config.dataset.name.startswith('synthetic')
  assert (config.dataset.train_split, config.dataset.eval_split) == (
    'train',
    'val',
  )
  assert config.total_steps == 2 and not config.init_from
  validate(config)


@pytest.mark.parametrize('name, total', COUNTS.items())
def test_counts(name, total):
  config = get(name)
  classes = data.info(config.dataset.name).num_classes
  assert count(config, classes) == total


@pytest.mark.parametrize('name', FAMILY)
def test_aligned_corners_need_sizes_of_the_grid(name):
  for argument, full in (('', (1024, 2048)), ('camvid', (360, 480))):
    config = get(f'{name}:{argument}')
    if not config.model.align_corners:
      assert config.input.eval == ''
      continue
    (op,) = ops.parse(config.input.eval)
    size = op.size(full)
    # 16k + 1, and at most one output pixel more than the picture has.
    assert all(0 < n - m <= 16 and n % 16 == 1 for n, m in zip(size, full))


@pytest.mark.parametrize('name', ['x65', 'mobilenet_v2'])
def test_what_decays_is_every_kernel_that_is_not_depthwise(name):
  config = get(name)
  assert config.optimizer.decay_mask == 'dense_kernels'
  model = models.build(19, **config_lib.model_options(config))
  params = models.abstract_variables(model)['params']
  decayed = optimizers.DECAY_MASKS['dense_kernels'](params)
  jax.tree.map(
    # The input of a depthwise kernel is one channel.
    lambda p, d: np.testing.assert_equal(d, p.ndim == 4 and p.shape[2] > 1),
    params,
    decayed,
  )


def test_every_variant_is_valid_and_documented():
  for name in FAMILY:
    module = importlib.import_module(f'configs.{name}')
    assert 'ot yet run' in re.sub(r'\s+', ' ', module.__doc__), name
    with pytest.raises(ValueError, match='it has: ') as error:
      module.get_config('nonsense')
    offered = str(error.value).partition('it has: ')[2].rstrip('.').split(', ')
    assert {'smoke', 'voc', 'camvid'} <= {*offered}
    for variant in offered:
      validate(module.get_config(variant))


def test_mobilenet_on_camvid_starts_from_weights_with_folded_statistics():
  config = get('mobilenet_v2:camvid')
  assert config.init_from and config.model.freeze_encoder_bn
  module = importlib.import_module('configs.mobilenet_v2')
  assert f'--output={config.init_from}\n' in module.__doc__


@pytest.mark.parametrize('name', [n for n in NAMES if n.startswith('camvid_')])
def test_each_word_of_camvid_changes_something_and_is_valid(name):
  plain = get(f'{name}:plain')
  assert plain.dataset.name == 'camvid' and not plain.loss.class_weights
  words = set(camvid.WORDS) - {'plain'}
  found = {word: get(f'{name}:plain,{word}') for word in words}
  for word, config in found.items():
    validate(config)
    assert config.to_json() != plain.to_json(), word
  assert len({config.to_json() for config in found.values()}) == len(words)
  half = ops.crop_size(ops.parse(found['half'].input.train))
  assert half == (176, 176)
  # Photometric changes can be left to the device only as the last of all.
  both = get(f'{name}:cutmix').input.train
  assert both.endswith('random_flip()|cutmix(0.5)|photometric()')


def test_voc_recipes_of_the_first_papers_keep_their_crops():
  for name in ('v1_vgg16', 'v2_r101'):
    config = get(f'{name}:voc')
    assert ops.crop_size(ops.parse(config.input.train)) == (321, 321)
