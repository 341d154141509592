"""Whole networks: interface, choices, dtypes, shardings and errors."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from deeplax import models
from tests.models import numpy_resnet
from tests.models.random_weights import random_image, random_variables
from tests.ops import reference

SMALL = dict(
  variant='18', head_channels=8, decoder_channels=8, low_level_channels=4
)


def build(num_classes=5, **keys):
  """A network of the real structure with 4 channels in the first stage."""
  model = models.build(num_classes, **{**SMALL, **keys})
  return model.clone(encoder=model.encoder.clone(width=4))


def apply(model, variables, image):
  return jax.jit(lambda v, x: model.apply(v, x, train=False))(variables, image)


@pytest.mark.parametrize(
  'decoder, height, width', [('none', 3, 4), ('v3plus', 9, 13)]
)
def test_interface(decoder, height, width):
  model = build(decoder=decoder, auxiliary=True)
  image = random_image(33, 49, batch=2)
  variables = models.initialize(model, seed=0)
  (logits, endpoints), updates = jax.eval_shape(
    lambda v, x: model.apply(
      v,
      x,
      train=True,
      rngs={'dropout': jax.random.key(0)},
      mutable=['batch_stats'],
    ),
    variables,
    image,
  )
  assert logits.shape == (2, height, width, 5)
  assert logits.dtype == jnp.float32
  assert endpoints['auxiliary'].shape == (2, 3, 4, 5)
  assert endpoints['auxiliary'].dtype == jnp.float32
  assert {f'stage{n}' for n in range(1, 6)} <= set(endpoints)
  assert endpoints['head'].shape == (2, 3, 4, 8)
  assert endpoints['decoder'].shape == (2, height, width, 8)
  assert jax.tree.structure(updates['batch_stats']) == jax.tree.structure(
    variables['batch_stats']
  )


def test_head_and_decoder_equal_numpy():
  model = build(atrous_rates=(1, 2, 3), output_stride=8, head_bias=True)
  image = random_image(47, 40)
  variables = random_variables(model, image)
  logits, endpoints = apply(model, variables, image)
  params, stats = variables['params'], variables['batch_stats']
  x = numpy_resnet.aspp(
    np.asarray(endpoints['stage5']), params['head'], stats['head'], (2, 4, 6)
  )
  np.testing.assert_allclose(endpoints['head'], x, atol=1e-4)
  low = numpy_resnet.conv_bn(
    np.asarray(endpoints['low_level']),
    params['decoder']['low_level'],
    stats['decoder']['low_level'],
  )
  x = np.concatenate([reference.bilinear(x, low.shape[1:3]), low], axis=-1)
  for name in ('conv1', 'conv2'):
    x = numpy_resnet.conv_bn(x, params['decoder'][name], stats['decoder'][name])
  x = reference.conv(x, params['logits']['kernel']) + params['logits']['bias']
  np.testing.assert_allclose(logits, x, atol=1e-4)


@pytest.mark.parametrize(
  'input_norm, expected',
  [
    ('imagenet', lambda x: (x / 255 - MEAN) / DEVIATION),
    ('symmetric', lambda x: 2 * x / 255 - 1),
    ('mean', lambda x: x - np.array([123.15, 115.90, 103.06])),
  ],
)
def test_input_is_normalised_here(input_norm, expected):
  model = build(input_norm=input_norm, decoder='none')
  image = random_image(33, 33)
  variables = random_variables(model, image)
  stages = [{'params': variables['params']['encoder']}]
  stages[0]['batch_stats'] = variables['batch_stats']['encoder']
  x = expected(image.astype(np.float64)).astype(np.float32)
  direct = model.encoder.apply(stages[0], x, train=False)['stage1']
  for picture in (image, image.astype(np.float32)):
    found = jax.jit(lambda v, x: model.apply(v, x, train=False)[1]['stage1'])(
      variables, picture
    )
    np.testing.assert_allclose(found, direct, rtol=1e-4, atol=1e-3)


MEAN = np.array([0.485, 0.456, 0.406])
DEVIATION = np.array([0.229, 0.224, 0.225])


@pytest.mark.parametrize('height, width', [(1, 1), (16, 33)])
def test_tiny_pictures(height, width):
  model = build()
  image = random_image(height, width, batch=1)
  variables = models.initialize(model, seed=0)
  (logits, _), updates = jax.jit(
    lambda v, x: model.apply(
      v,
      x,
      train=True,
      rngs={'dropout': jax.random.key(0)},
      mutable=['batch_stats'],
    )
  )(variables, image)
  assert logits.shape == (1, -(-height // 4), -(-width // 4), 5)
  assert all(
    np.isfinite(leaf).all() for leaf in jax.tree.leaves((logits, updates))
  )


def test_align_corners_changes_the_upsampling_only():
  image = random_image(33, 33)
  plain, aligned = build(), build(align_corners=True)
  variables = random_variables(plain, image)
  a, b = apply(plain, variables, image), apply(aligned, variables, image)
  np.testing.assert_array_equal(a[1]['head'], b[1]['head'])
  assert np.abs(a[0] - b[0]).max() > 1e-3


def test_bfloat16_is_near_float32():
  image = random_image(65, 65)
  model = build()
  variables = random_variables(model, image)
  exact = apply(model, variables, image)[0]
  logits, endpoints = apply(build(dtype='bfloat16'), variables, image)
  assert logits.dtype == jnp.float32
  assert endpoints['stage5'].dtype == jnp.bfloat16
  assert np.abs(logits - exact).max() < 0.1 * np.abs(exact).max()


def test_float64_and_rows_over_devices():
  mesh = jax.make_mesh((2, 4), ('data', 'spatial'), (AxisType.Auto,) * 2)
  with jax.enable_x64(True):
    model = build(dtype='float64')
    variables = models.initialize(model, seed=0)
    assert {a.dtype.name for a in jax.tree.leaves(variables)} == {'float64'}
    image = jnp.asarray(random_image(64, 64, batch=2))

    @jax.jit
    def train(variables, image):
      return model.apply(
        variables,
        image,
        train=True,
        rngs={'dropout': jax.random.key(0)},
        mutable=['batch_stats'],
      )

    one = train(variables, image)
    rows = NamedSharding(mesh, P('data', 'spatial'))
    many = train(variables, jax.device_put(image, rows))
    assert one[0][0].dtype == jnp.float64
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12),
      one,
      many,
    )


def test_dropout_needs_training():
  image = random_image(33, 33)
  model = build(dropout=0.5, freeze_bn=True)
  variables = random_variables(model, image)

  def train(seed):
    return model.apply(
      variables, image, train=True, rngs={'dropout': jax.random.key(seed)}
    )[1]['head']

  kept = apply(model, variables, image)[1]['head']
  dropped = train(0)
  assert not np.array_equal(dropped, train(1))
  np.testing.assert_allclose(
    np.where(dropped != 0, dropped, 2 * kept), 2 * kept, rtol=1e-3, atol=1e-4
  )


@pytest.mark.parametrize(
  'keys, message',
  [
    (dict(encoder='alexnet'), "no encoder 'alexnet'.*resnet"),
    (dict(head='pyramid'), "no head 'pyramid'.*aspp"),
    (dict(decoder='v4'), "no decoder 'v4'.*none, unet, v3plus"),
    (dict(name='segformer'), "no model 'segformer'.*deeplab"),
    (dict(variant='19'), "no variant '19'.*101"),
    (dict(ouput_stride=8), "'ouput_stride'; did you mean 'output_stride'"),
    (dict(output_stride=7), r'`output_stride` \(=7\)'),
    (dict(multi_grid=(1, 2)), r'`multi_grid` \(=\(1, 2\)\).*3 entries'),
    (dict(atrous_rates=(6, 12)), r'`atrous_rates` \(=\(6, 12\)\).*3 entries'),
    (
      dict(atrous_rates=(3, 6, 9), output_stride=32),
      r'`atrous_rates` \(=\(3, 6, 9\)\)',
    ),
    (dict(input_norm='caffe'), "`input_norm` .='caffe'"),
    (dict(dtype='float8'), "`dtype` .='float8'"),
    (dict(dtype='float64'), 'JAX_ENABLE_X64'),
    (dict(dropout=1.0), r'`dropout` \(=1.0\)'),
    (dict(head_channels=0), r'`head_channels` \(=0\)'),
  ],
)
def test_impossible_choices(keys, message):
  with pytest.raises(ValueError, match=message):
    models.build(19, **keys)


def test_lists_and_numbers_from_json_are_taken():
  model = models.build(
    19, variant=50, multi_grid=[1, 2, 4], atrous_rates=[6, 12, 18]
  )
  assert model.encoder.multi_grid == (1, 2, 4)


def test_building_imports_no_tensorflow():
  code = (
    'import sys\n'
    'from deeplax import models\n'
    "models.initialize(models.build(19, variant='18'), 0)\n"
    "bad = [m for m in sys.modules if m.startswith(('tensorflow', 'clu'))]\n"
    'assert not bad, bad\n'
  )
  subprocess.run([sys.executable, '-c', code], check=True)
