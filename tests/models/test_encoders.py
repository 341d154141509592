"""What every encoder in the folder has to be; rates and strides of the new."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deeplax import models
from deeplax.models.encoders import mobilenet_v2, xception
from deeplax.models.options import Options
from tests.models.random_weights import random_variables
from tests.models.test_consistency import thin

# Strides of stage1 to stage5 where they are not 2, 4, 8, 16, 32.
STRIDES = {'unet': (1, 2, 4, 8, 16)}
ONE_OF_EACH = {
  'mobilenet_v2': '1.0',
  'resnet': '18',
  'unet': 'bn',
  'vgg': '16_bn',
  'xception': '41',
}


def build(encoder, variant, **keys):
  options = Options(19, encoder=encoder, variant=variant, **keys)
  return models.find(encoder, 'encoders').build(options)


def shapes(model, size, dtype=np.float32):
  x = np.zeros((2, *size, 3), dtype)
  return jax.eval_shape(
    lambda x: model.init_with_output(jax.random.key(0), x, train=False)[0], x
  )


def test_every_encoder_is_tested_here():
  assert sorted(ONE_OF_EACH) == models.available('encoders')


@pytest.mark.parametrize(
  'encoder, variant',
  [
    (encoder, variant)
    for encoder in ONE_OF_EACH
    for variant in models.find(encoder, 'encoders').VARIANTS
    if encoder != 'resnet' or variant.startswith('18')
  ],
)
def test_endpoints(encoder, variant):
  strides = STRIDES.get(encoder, (2, 4, 8, 16, 32))
  for output_stride in (8, 16, 32):
    if output_stride > strides[-1]:
      continue
    model = build(encoder, variant, output_stride=output_stride)
    endpoints = shapes(model, (96, 64))
    assert sorted(endpoints) == ['low_level'] + [
      f'stage{n}' for n in range(1, 6)
    ]
    if variant.endswith(('slim', 'beta')):  # strides come a stage earlier
      continue
    for n, stride in enumerate(strides, 1):
      stride = min(stride, output_stride)
      expected = (96 // stride, 64 // stride)
      found = endpoints[f'stage{n}'].shape[1:3]
      if encoder == 'vgg' and output_stride < 32:
        # Its pools leave out what does not fill a window, atrous or not.
        assert np.abs(np.subtract(found, expected)).max() <= 8
      elif encoder == 'unet' and output_stride < 16:
        assert np.abs(np.subtract(found, expected)).max() <= 4
      else:
        assert found == expected, (output_stride, n)
    assert endpoints['low_level'].shape[1:3] == (24, 16)


@pytest.mark.parametrize('encoder, variant', ONE_OF_EACH.items())
def test_remat_keeps_paths_and_values(encoder, variant):
  x = np.random.default_rng(0).standard_normal((1, 17, 17, 3), np.float32)
  results = []
  for remat in (False, True):
    model = thin(build(encoder, variant, remat=remat))
    variables = random_variables(model, x)

    def loss(params, model=model, variables=variables):
      endpoints = model.apply({**variables, 'params': params}, x, train=False)
      return (endpoints['stage5'] ** 2).mean()

    text = str(jax.make_jaxpr(jax.grad(loss))(variables['params']))
    assert ('remat' in text or 'checkpoint' in text) == remat
    # Not jitted: this is about values, not speed.
    results.append((variables, loss(variables['params'])))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
    *results,
  )


@pytest.mark.parametrize('encoder, variant', ONE_OF_EACH.items())
def test_bfloat16_stays(encoder, variant):
  model = build(encoder, variant, dtype='bfloat16')
  for name, x in shapes(model, (48, 48), jnp.bfloat16).items():
    assert x.dtype == jnp.bfloat16, name


def test_an_epsilon_of_its_own():
  model = models.build(
    5, encoder='xception', encoder_bn_epsilon=1e-3, variant='41'
  )
  assert model.encoder.style.bn_epsilon == 1e-3
  assert model.head.style.bn_epsilon == model.style.bn_epsilon == 1e-5
  assert models.build(5).encoder.style.bn_epsilon == 1e-5


def xception_plans(output_stride, multi_grid=()):
  """Stride and rates of all units in order, from the parameters' modules."""
  found = []

  def record(next_function, args, kwargs, context):
    if isinstance(context.module, xception.XceptionUnit):
      found.append((context.module.plan.stride, context.module.plan.rates))
    return next_function(*args, **kwargs)

  model = build(
    'xception', '65', output_stride=output_stride, multi_grid=multi_grid
  )
  with nn.intercept_methods(record):
    shapes(thin(model), (33, 33))
  return found


def test_rates_of_xception_are_the_authors():
  ones, twos = (1, 1, 1), (2, 2, 2)
  plans = xception_plans(16, (1, 2, 4))
  assert plans[:3] == [(2, ones)] * 3
  assert plans[3:19] == [(1, ones)] * 16
  # The exit flow's first unit loses its stride and keeps its rate.
  assert plans[19:] == [(1, ones), (1, (2, 4, 8))]
  plans = xception_plans(8)
  assert plans[:3] == [(2, ones), (2, ones), (1, ones)]
  assert plans[3:20] == [(1, twos)] * 17
  assert plans[20] == (1, (4, 4, 4))
  assert xception_plans(32)[19:] == [(2, ones), (1, ones)]


@pytest.mark.parametrize(
  'variant, channels',
  [
    # As the DeepLab of width 0.5 in TensorFlow's model zoo.
    ('0.5', (8, 12, 16, 32, 48, 80, 160)),
    # As the classifiers of Keras; 1.4: 24 -> 33.6 -> 32, 0.35: 5.6 -> 8.
    ('0.35_1280', (8, 8, 16, 24, 32, 56, 112)),
    ('0.35_320', (8, 8, 16, 24, 32, 56, 112)),
    (
      '1.4_1280',
      (24, 32, 48, 88, 136, 224, 448),
    ),
  ],
)
def test_channels_of_mobilenet(variant, channels):
  nominal = (16, 24, 32, 64, 96, 160, 320)
  row = mobilenet_v2.VARIANTS[variant]
  assert tuple(map(row.channels, nominal)) == channels


def test_last_layer_of_mobilenet():
  last = {k: v.last for k, v in mobilenet_v2.VARIANTS.items()}
  assert last['1.0'] is last['1.4_320'] is None
  assert last['0.35_1280'] == last['1.0_1280'] == last['1.0_smp'] == 1280
  assert last['1.4_1280'] == 1792


def test_batch_norm_can_be_frozen_in_the_encoder_alone():
  model = models.build(5, freeze_encoder_bn=True)
  assert model.encoder.style.freeze_bn
  assert not model.head.style.freeze_bn and not model.style.freeze_bn
  model = models.build(5, freeze_bn=True)
  assert model.encoder.style.freeze_bn and model.head.style.freeze_bn
