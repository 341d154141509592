"""A bad config dies early, with the key, the value found and what to do."""

import json
import pathlib

import pytest

from configs import common
from deeplax import config as config_lib
from deeplax import saved_config
from deeplax.data import ops
from deeplax.errors import ConfigError, RunError

ROOT = pathlib.Path(__file__).resolve().parents[1]


def make(**changes):
  result = common.base()
  result.total_steps = 10
  with result.unlocked():
    result.update_from_flattened_dict(changes)
  return result.lock()


BAD = {
  'crop not larger than the stride': (
    {'input.train': 'random_crop(16, 16)'},
    r'16x16.*larger than.*output_stride \(=16\)',
  ),
  'no crop': ({'input.train': 'random_flip()'}, 'one size'),
  'unknown op': ({'input.train': 'random_crup(64, 64)'}, 'random_crup'),
  'bad eval op': ({'input.eval': 'pad_to_multiple(0)'}, 'pad_to_multiple'),
  'multi-grid': ({'model.multi_grid': (1, 2)}, 'multi_grid'),
  'output stride': ({'model.output_stride': 7}, '7'),
  'rates': ({'model.atrous_rates': (6, 12)}, 'atrous_rates'),
  'encoder': ({'model.encoder': 'resnest'}, 'resnest'),
  'variant': ({'model.variant': '17'}, '17'),
  'devices': ({'batch_size': 12}, r'batch_size \(=12\).*8 devices.*8 and 16'),
  'accumulate': ({'optimizer.accumulate': 2}, 'so by 16'),
  'mesh': ({'mesh.spatial': 3}, r'mesh.spatial \(=3\)'),
  'no steps': ({'total_steps': 0}, 'total_steps'),
  'negative epochs': ({'total_epochs': -1.0}, 'total_epochs'),
  'warm-up': (
    {'schedule.warmup_steps': 10},
    r'warmup_steps \(=10\)',
  ),
  'schedule': ({'schedule.name': 'polly'}, 'polly'),
  'optimizer': ({'optimizer.name': 'lion'}, 'lion'),
  'decay mask': ({'optimizer.decay_mask': 'none'}, 'decay_mask'),
  'ema': ({'optimizer.ema_decay': 1.5}, 'ema_decay'),
  'hard pixels': ({'loss.hard_pixels': 0.0}, 'hard_pixels'),
  'smoothing': ({'loss.label_smoothing': 1.0}, 'label_smoothing'),
  'two weights': (
    {'loss.class_weights': (1.0,), 'loss.class_weights_from_data': True},
    'choose one',
  ),
  'loss': ({'loss.name': 'hinge'}, 'hinge'),
  'region weight': ({'loss.region_weight': -1.0}, r'region_weight \(=-1.0\)'),
  'no region': ({'loss.region_weight': 0.5}, 'has no region_weight'),
  'policy': ({'dataset.on_error': 'ignore'}, 'on_error'),
  'batch': ({'batch_size': 0}, 'batch_size'),
  'workers': ({'input.workers': -1}, 'workers'),
  'dtype': ({'model.dtype': 'float16'}, 'float16'),
  'nearest size': ({'batch_size': 2}, r'nearest size is 8\.'),
  'no spatial share': ({'mesh.spatial': 0}, r'mesh.spatial \(=0\)'),
  'no device': ({'mesh.data': 0}, r'mesh.data \(=0\)'),
  'words for numbers': ({'model.multi_grid': ('a', 'b')}, 'whole numbers'),
  'weights of words': ({'loss.class_weights': ('a',)}, 'must hold numbers'),
  'weights of zeros': ({'loss.class_weights': (0, 0)}, 'zeros'),
  'boundaries': ({'schedule.boundaries': (10, 20)}, 'fractions of the whole'),
  'not a number': ({'schedule.peak': float('nan')}, 'finite'),
  'endless': ({'schedule.peak': float('inf')}, 'finite'),
  'seed': ({'seed': -1}, r'seed \(=-1\)'),
  'big seed': ({'seed': 10**30}, 'seed'),
  'momentum': ({'optimizer.momentum': -2.0}, 'momentum'),
  'decay': ({'optimizer.weight_decay': -1.0}, 'weight_decay'),
  'eval batch': ({'input.eval_batch_size': 0}, 'eval_batch_size'),
  'mixed before the crop': (
    {'input.train': 'cutmix(0.5)|random_crop(64, 64)'},
    'input: .*cutmix puts .* after random_crop',
  ),
  'mixed evaluation': (
    {'input.eval': 'resize(64, 64)|cutmix(1)'},
    'cutmix is random',
  ),
  'random evaluation': ({'input.eval': 'random_crop(64, 64)'}, 'is random'),
  'label left behind': (
    {'input.train': 'random_flip()|resize_image(64, 64)'},
    'resize_image leaves the label',
  ),
  'float64': ({'model.dtype': 'float64'}, 'JAX_ENABLE_X64'),
}


@pytest.mark.parametrize('changes, message', BAD.values(), ids=BAD.keys())
def test_bad_configs(changes, message):
  with pytest.raises(ConfigError, match=message) as error:
    config_lib.validate(make(**changes))
    config_lib.resolve(make(**changes), 100)
  assert '\n\n' not in str(error.value)


@pytest.mark.parametrize(
  'path', sorted((ROOT / 'configs').glob('*.py')), ids=lambda p: p.stem
)
def test_every_config_is_valid_and_locked(path):
  if path.stem in ('camvid', 'common', 'course', '__init__'):
    pytest.skip('a piece of recipes, not a config')
  namespace = {}
  exec(compile(path.read_text(), path, 'exec'), namespace)
  for argument in ('', 'smoke'):
    config = namespace['get_config'](argument)
    assert config.is_locked
    if not argument:
      with config.unlocked():
        # For the suite's devices.
        config.batch_size = 8 * (config.batch_size or 1)
    config_lib.validate(config)
  with pytest.raises(ValueError, match='no variant'):
    namespace['get_config']('smok')
  assert 'configs/' in namespace['__doc__']


@pytest.mark.parametrize('key', ['freeze_bn', 'freeze_encoder_bn'])
def test_frozen_statistics_need_weights_to_start_from(key):
  frozen = make(**{f'model.{key}': True, 'input.train': 'random_crop(64, 64)'})
  config_lib.validate(frozen)  # it may be described, converted to, gone on with
  message = rf'model\.{key} \(=True\).*init_from=.*model\.{key}=False'
  with pytest.raises(ConfigError, match=message):
    config_lib.validate_start(frozen)
  with frozen.unlocked():
    frozen.init_from = 'runs/imagenet'
  config_lib.validate_start(frozen)
  config_lib.validate_start(make())


def test_epochs_become_steps():
  config = config_lib.resolve(make(total_steps=None, total_epochs=2.0), 100)
  assert config.total_steps == 25
  assert config_lib.resolve(config, 999).total_steps == 25


def test_total_steps_override_epochs():
  config = make(total_epochs=2.0)
  assert config_lib.resolve(config, 100).total_steps == 10


def test_saved_and_loaded_it_is_the_same(tmp_path):
  config = make(**{'model.multi_grid': (1, 2, 4)})
  saved_config.save(config, tmp_path / 'config.json')
  loaded = saved_config.load(tmp_path / 'config.json')
  assert loaded.to_dict() == config.to_dict()
  assert saved_config.differences(loaded, config) == []


def test_a_run_from_before_a_key_can_be_gone_on_with(tmp_path):
  config = make()
  older = make()
  with older.unlocked():
    del older.loss.region_weight
    del older.optimizer.bn_lr_mult
  saved_config.save(older, tmp_path / 'config.json')
  loaded = saved_config.load(tmp_path / 'config.json')
  assert saved_config.differences(loaded, config) == []
  assert config_lib.loss_options(loaded) == config_lib.loss_options(config)


@pytest.mark.parametrize('section', ['loss', 'optimizer'])
def test_a_section_that_is_none(tmp_path, section):
  tree = {**make().to_dict(), section: 0}
  (tmp_path / 'config.json').write_text(json.dumps(tree))
  with pytest.raises(RunError, match=f"{section} is '0', expected a dict"):
    saved_config.load(tmp_path / 'config.json')


def test_differences_leave_out_what_may_change():
  changed = make(**{'input.workers': 7, 'batch_size': 16, 'log_every': 3})
  assert saved_config.differences(make(), changed) == ['batch_size: 8 -> 16']


def test_not_a_workdir(tmp_path):
  with pytest.raises(RunError, match='not the workdir of a run'):
    saved_config.load(tmp_path / 'config.json')
  (tmp_path / 'config.json').write_text('{"a":')
  with pytest.raises(RunError, match='not JSON'):
    saved_config.load(tmp_path / 'config.json')


def test_a_config_without_a_key():
  config = make()
  with config.unlocked():
    del config.optimizer.momentum
  with pytest.raises(ConfigError, match=r'no key optimizer\.momentum'):
    config_lib.validate(config)


def test_random_operations_are_all_listed():
  names = {usage.partition('(')[0] for usage in ops.known()}
  sure = {'resize', 'resize_image', 'pad_to_multiple', 'pad_aligned'}
  own = {n for n in names if n.endswith('_for_test')}  # of other tests
  assert names - sure - own == set(config_lib.RANDOM_OPS)
