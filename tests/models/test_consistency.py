"""The same features at every output stride, from the same weights.

Every encoder, head and decoder found in the folders is tested; those that
cannot be consistent stand in a table with the reason.
"""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from deeplax import models
from deeplax.models.options import Options
from tests.models.random_weights import random_variables

EXCEPTIONS = {
  'encoders/resnet/*_course': (
    'as in the course project, the first unit of an atrous stage has the rate '
    'of the others, though its first convolution stands before the stride'
  ),
  'encoders/mobilenet_v2/*_smp': (
    'as in segmentation_models_pytorch, every convolution of an atrous stage '
    'has the new rate, the one that had the stride too'
  ),
  'encoders/vgg/16_large_fov': (
    'as in DeepLab V1, its 3x3 pools have rate 1 among convolutions of rate 2'
  ),
  'heads/global_pool': 'the mean of all features is not that of every second',
  'decoders/v3plus': (
    'its result has stride 4 always, upsampled from more or fewer features'
  ),
  'decoders/unet': (
    'its result has the size of the picture, upsampled from more or fewer '
    'features'
  ),
}
# The largest output stride, where that is not 32.
LARGEST = {'unet': 16}
# What a head needs to have branches that scale to every output stride.
RATES = {'large_fov': (6,), 'aspp_sum': (2, 4, 6, 8)}
SIZES = ((64, 47), (49, 94))  # even and odd, in both directions


def encoders():
  return [
    (encoder, variant)
    for encoder in models.available('encoders')
    for variant in models.find(encoder, 'encoders').VARIANTS
  ]


def exception(*names):
  path = '/'.join(names)
  style = '*_' + path.rpartition('_')[2]
  return EXCEPTIONS.get(path) or EXCEPTIONS.get('/'.join([*names[:-1], style]))


def part(kind, name, **keys):
  return models.find(name, kind).build(Options(19, image_pooling=False, **keys))


def assert_subsampled(fine, coarse, step, message):
  scale = np.abs(coarse).max()
  assert scale > 0
  np.testing.assert_allclose(
    fine[:, ::step, ::step] / scale,
    coarse / scale,
    atol=1e-5,
    err_msg=message,
  )


def encoded(encoder, variant, size, **keys):
  """Features by output stride, in float64: rounding can't hide anything."""
  with jax.enable_x64(True):
    return {
      stride: features(
        thin(
          part(
            'encoders',
            encoder,
            variant=variant,
            output_stride=stride,
            dtype='float64',
            **keys,
          )
        ),
        size,
      )
      for stride in (8, 16, 32)
      if stride <= LARGEST.get(encoder, 32)
    }


@functools.cache  # thin, variants of different widths are the same
def features(model, size):
  x = np.random.default_rng(0).standard_normal((1, *size, 3))
  variables = random_variables(model, x)
  # Not jitted as a whole: equal layers then share what was compiled.
  return np.asarray(model.apply(variables, x, train=False)['stage5'])


def thin(model):
  """The same structure with few channels."""
  if hasattr(model, 'width'):
    return model.clone(width=4)
  return model.clone(variant=dataclasses.replace(model.variant, width=0.125))


def assert_consistent(features):
  assert_subsampled(features[8], features[16], 2, '8 against 16')
  if 32 in features:
    assert_subsampled(features[8], features[32], 4, '8 against 32')


@pytest.mark.parametrize('encoder, variant', encoders())
def test_encoder(encoder, variant):
  reason = exception('encoders', encoder, variant)
  if reason:
    pytest.skip(reason)
  assert_consistent(encoded(encoder, variant, SIZES[0]))


@pytest.mark.parametrize(
  'encoder, variant',
  [
    ('resnet', '18'),
    ('resnet', '50_beta'),
    ('vgg', '16'),
    ('xception', '41'),
    ('mobilenet_v2', '1.0'),
    ('unet', 'paper'),
  ],
)
def test_encoder_at_another_size(encoder, variant):
  assert_consistent(encoded(encoder, variant, SIZES[1]))


@pytest.mark.parametrize(
  'encoder, variant', [('resnet', '50_beta'), ('xception', '65')]
)
def test_encoder_with_multi_grid(encoder, variant):
  assert_consistent(encoded(encoder, variant, SIZES[0], multi_grid=(1, 2, 4)))


@pytest.mark.parametrize(
  'encoder, variant',
  [('resnet', '18_course'), ('mobilenet_v2', '1.0_smp')]
  + [('vgg', '16_large_fov')],
)
def test_exceptions_are_such(encoder, variant):
  features = encoded(encoder, variant, SIZES[0])
  with pytest.raises(AssertionError):
    assert_subsampled(features[8], features[16], 2, '8 against 16')


@pytest.mark.parametrize('separable', [False, True])
@pytest.mark.parametrize('head', models.available('heads'))
def test_head(head, separable):
  if exception('heads', head):
    pytest.skip(exception('heads', head))
  x = np.random.default_rng(0).standard_normal((1, 16, 23, 6))
  x = x.astype(np.float32)
  result = {}
  for output_stride in (8, 16, 32):
    step = output_stride // 8
    model = part(
      'heads',
      head,
      output_stride=output_stride,
      head_channels=4,
      head_separable=separable,
      atrous_rates=RATES.get(head, (6, 12, 18)),
    )
    inputs = x[:, ::step, ::step]
    variables = random_variables(model, inputs)
    result[output_stride] = jax.jit(
      lambda v, x, m=model: m.apply(v, x, train=False)
    )(variables, inputs)
  assert_subsampled(result[8], result[16], 2, '8 against 16')
  assert_subsampled(result[8], result[32], 4, '8 against 32')


@pytest.mark.parametrize('decoder', models.available('decoders'))
def test_decoder(decoder):
  if exception('decoders', decoder):
    pytest.skip(exception('decoders', decoder))
  x = np.random.default_rng(0).standard_normal((1, 17, 12, 6))
  result = {}
  for output_stride in (8, 16):
    model = part('decoders', decoder, output_stride=output_stride)
    inputs = x[:, :: output_stride // 8, :: output_stride // 8]
    variables = random_variables(model, inputs, {})
    result[output_stride] = model.apply(variables, inputs, {}, train=False)
  assert_subsampled(result[8], result[16], 2, '8 against 16')
