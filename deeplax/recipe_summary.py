"""The recipe of a config in words, setting by setting.

The words are those of configs/papers, so that a recipe and the one it follows
can be laid side by side.
"""

import inspect

import ml_collections

from deeplax import config as config_lib
from deeplax import evaluate, network_summary
from deeplax.data import ops
from deeplax.network_summary import numbers

_DECAYED = {
  'all': 'everything',
  'kernels': 'kernels',
  'dense_kernels': 'kernels but depthwise',
}


def summarise(
  config: ml_collections.ConfigDict, pictures: int
) -> dict[str, str]:
  """Each setting in words, from what the config and the code say.

  Args:
    config: One of configs/ that leaves no key open.
    pictures: How many there are in its split for training.
  """
  config = config_lib.resolve(config, pictures)
  return {
    **_optimisation(config),
    **_data(config, pictures),
    **network_summary.summarise(config.model),
    'batch_norm': _batch_norm(config),
    **_loss(config),
    **_evaluation(config),
  }


def _optimisation(config):
  keys = config.optimizer
  return dict(
    optimizer=_optimizer(keys),
    learning_rate=f'{config.schedule.peak:g}',
    schedule=_schedule(config),
    warm_up=f'{config.schedule.warmup_steps:,} steps',
    rate_factors=_factors(keys),
    weight_decay=f'{keys.weight_decay:g}',
    decayed=_DECAYED[keys.decay_mask],
    initial_weights=config.init_from or 'fresh',
  )


def _optimizer(keys):
  if keys.name == 'sgd':
    return f'SGD, momentum {keys.momentum:g}' + ', Nesterov' * keys.nesterov
  return f'{keys.name.capitalize()}, {keys.b1:g}, {keys.b2:g}'


def _batch_norm(config):
  words = network_summary.batch_norm(config.model)
  factor = config.optimizer.bn_lr_mult
  trained = network_summary.has_batch_norm(config.model) and factor != 1
  return words + f', scales and biases x {factor:g}' * trained


def _schedule(config):
  keys = config.schedule
  if keys.name == 'poly':
    return f'poly {keys.power:g} to {keys.end:g}'
  if keys.name == 'step':
    edges = (round(b * config.total_steps) for b in keys.boundaries)
    return f'x {keys.factor:g} at steps {numbers(edges, "{:,}")}'
  return keys.name


def _factors(keys):
  factors = {
    'encoder': keys.encoder_lr_mult,
    'class scores': keys.logits_lr_mult,
    'biases': keys.bias_lr_mult,
  }
  return numbers(
    (f'{name} x {factor:g}' for name, factor in factors.items() if factor != 1),
    '{}',
  )


def _data(config, pictures):
  parsed = ops.parse(config.input.train)
  height, width = ops.crop_size(parsed)
  dataset = config.dataset
  epochs = config.total_steps * config.batch_size / pictures
  return dict(
    pictures=f'{dataset.name} {dataset.train_split}, {pictures:,}',
    batch=f'{config.batch_size}',
    steps=f'{config.total_steps:,}',
    epochs=f'{round(epochs, 1):g}',
    crop=f'{height}x{width}',
    scale=next((_scale(op) for op in parsed if op.name == 'random_scale'), '1'),
    augmentation=_augmentation(parsed),
  )


def _scale(op):
  # Whatever else the operation is told must be seen in the table, too.
  (_, lo), (_, hi), *rest = op.arguments
  return f'{lo:g} to {hi:g}' + ''.join(f', {k} {v:g}' for k, v in rest)


def _augmentation(parsed):
  """What else is done to a picture, in the order in which it is."""
  words = []
  for op in parsed:
    arguments = dict(op.arguments)
    if op.name == 'random_crop':
      share = arguments['max_class_fraction']
      words += [f'at most {share:.0%} of one class'] * (share < 1)
    elif op.name == 'resize':
      words.append('resized to {h}x{w}'.format(**arguments))
    elif op.name == 'random_flip':
      words.append('flip')
    elif op.name != 'random_scale':
      words.append(f'{op}'.removesuffix('()'))
  return ', '.join(words) or 'none'


def _loss(config):
  keys = config.loss
  over = {'pixels': 'labelled pixels', 'weights': 'the sum of weights'}
  ramp = f', within {keys.hard_pixels_ramp:,} steps' * bool(
    keys.hard_pixels_ramp
  )
  return dict(
    loss=keys.name.replace('_', ' ') + ', void a class' * keys.void_class,
    loss_over=f'{over[keys.normalize_by]} at full size',
    class_weights='1 / ln(1.02 + p)'
    if keys.class_weights_from_data
    else numbers(keys.class_weights),
    hard_pixels='all count'
    if keys.hard_pixels == 1
    else f'hardest {keys.hard_pixels:.0%}{ramp}',
    auxiliary_loss=f'FCN head x {keys.auxiliary_weight:g}'
    if config.model.auxiliary
    else 'none',
  )


def _evaluation(config):
  words = {
    'resize': 'resized to {h}x{w}',
    'resize_image': 'resized to {h}x{w}',
    'pad_to_multiple': 'padded to multiples of {k}',
    'pad_aligned': 'padded to multiples of {k}, and 1',
  }
  parsed = ops.parse(config.input.eval)
  # No key of a config says these.
  defaults = inspect.signature(evaluate.Evaluator).parameters
  mirrored = 'mirrored' if defaults['flip'].default else 'not mirrored'
  return dict(
    eval_input=', '.join(
      words[op.name].format(**dict(op.arguments)) for op in parsed
    )
    or 'whole picture',
    eval_output_stride=f'{config.model.output_stride}',
    eval_scales=f'{numbers(defaults["scales"].default)}, {mirrored}',
    crf=_crf(config),
  )


def _crf(config):
  if config.model.crf_rnn:
    return f'trained, {config.model.crf_rnn} iterations'
  if not config.crf.use:
    return 'none'
  (width, weight), (xy, rgb, bilateral) = (
    config.crf.spatial,
    config.crf.bilateral,
  )
  return (
    f'{config.crf.num_iterations} iterations; {weight:g} within {width:g} '
    f'pixels; {bilateral:g} within {xy:g} pixels and {rgb:g} levels'
  )
