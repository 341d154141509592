"""A config in words: each key that matters shows, and as what it is."""

import jax
import pytest

from configs import common
from deeplax import config as config_lib
from deeplax import config_files, models, network_summary, recipe_summary


def words(**changes):
  config = common.base()
  config.total_steps = 300
  with config.unlocked():
    config.update_from_flattened_dict(changes)
  return recipe_summary.summarise(config.lock(), 100)


# Keys that differ from configs/common.py, a setting, and its words.
CHANGES = {
  'optimizer': (
    {'optimizer.name': 'adamw', 'optimizer.b2': 0.99},
    'Adamw, 0.9, 0.99',
  ),
  'schedule': (
    {'schedule.name': 'step', 'schedule.boundaries': (0.5, 0.75)},
    'x 0.1 at steps 150, 225',
  ),
  'warm_up': ({'schedule.warmup_steps': 20}, '20 steps'),
  'rate_factors': (
    {'optimizer.encoder_lr_mult': 0.1, 'optimizer.bias_lr_mult': 2.0},
    'encoder x 0.1, biases x 2',
  ),
  'decayed': ({'optimizer.decay_mask': 'kernels'}, 'kernels'),
  'initial_weights': ({'init_from': 'runs/other'}, 'runs/other'),
  'pictures': ({'dataset.train_split': 'extra'}, 'cityscapes extra, 100'),
  'epochs': ({'total_steps': None, 'total_epochs': 7.0, 'batch_size': 7}, '7'),
  'crop': ({'input.train': 'resize(64, 96)'}, '64x96'),
  'scale': ({'input.train': 'random_crop(64, 96)'}, '1'),
  'augmentation': (
    {
      'input.train': 'resize(128, 256)|random_crop(64, 96, 0.5)'
      '|pad_to_multiple(32)|photometric()'
    },
    'resized to 128x256, at most 50% of one class, pad_to_multiple(k=32), '
    'photometric',
  ),
  'batch_norm': (
    {'model.freeze_encoder_bn': True, 'optimizer.bn_lr_mult': 0.5},
    "the encoder's statistics frozen, scales and biases x 0.5",
  ),
  'bn_decay': ({'model.freeze_bn': True}, 'no use'),
  'bn_epsilon': (
    {'model.encoder_bn_epsilon': 1e-3},
    '0.001, behind the encoder 1e-05',
  ),
  'running_variance': ({'model.bn_unbiased': True}, 'over n - 1'),
  'atrous_rates': ({'model.output_stride': 32}, '3, 6, 9'),
  'multi_grid': ({'model.multi_grid': (1, 2, 4)}, '1, 2, 4'),
  'head': (
    {'model.head_conv3x3': True, 'model.image_pooling': False},
    'ASPP of 256, a 3x3 more',
  ),
  'decoder': ({'model.decoder_separable': True}, 'V3+, 2 x 256, separable'),
  'dropout': ({'model.head': 'aspp_sum'}, '0'),
  'input_scales': ({'model.input_scales': (1.0, 0.5)}, '1, 0.5'),
  'upsampling': ({'model.half_pixel_centers': False}, "TensorFlow 1's"),
  'precision': ({'model.dtype': 'bfloat16'}, 'bfloat16'),
  'loss': ({'loss.void_class': True}, 'cross entropy, void a class'),
  'loss_over': (
    {'loss.normalize_by': 'weights'},
    'the sum of weights at full size',
  ),
  'class_weights': ({'loss.class_weights': (1.0, 0.5)}, '1, 0.5'),
  'hard_pixels': (
    {'loss.hard_pixels': 0.2, 'loss.hard_pixels_ramp': 1_000},
    'hardest 20%, within 1,000 steps',
  ),
  'auxiliary_loss': (
    {'model.auxiliary': True, 'loss.auxiliary_weight': 0.2},
    'FCN head x 0.2',
  ),
  'eval_input': (
    {'input.eval': 'resize(64, 96)|pad_to_multiple(32)'},
    'resized to 64x96, padded to multiples of 32',
  ),
  'eval_output_stride': ({'model.output_stride': 8}, '8'),
  'crf': ({'model.crf_rnn': 5}, 'trained, 5 iterations'),
}


@pytest.mark.parametrize('key', CHANGES)
def test_a_key_shows(key):
  changes, expected = CHANGES[key]
  assert words()[key] != expected
  assert words(**changes)[key] == expected


@pytest.mark.parametrize(
  'name', ['v1_vgg16:voc', 'unet', 'unet:bn', 'course_r18']
)
def test_batch_norm_is_there_or_not(name):
  config = config_files.load_all([name])[name]
  model = models.build(3, **config_lib.model_options(config))
  statistics = models.abstract_variables(model).get('batch_stats', {})
  there = bool(jax.tree.leaves(statistics))
  assert network_summary.has_batch_norm(config.model) == there
