"""The encoder's values, against numpy with strides and rates written out."""

import jax
import numpy as np
import pytest

from deeplax.models.encoders import resnet
from deeplax.models.options import Options
from tests.models import numpy_resnet
from tests.models.random_weights import random_variables


def thin(variant, **keys):
  options = Options(19, variant=variant, **keys)
  return resnet.build(options).clone(width=4)


def picture(height, width, batch=1):
  rng = np.random.default_rng(1)
  return rng.standard_normal((batch, height, width, 3)).astype(np.float32)


ONE, BASIC, MIDDLE = (1, 1, 1), (1, 1), (1, 2, 1)
FIRST, LAST = (2, 1), (1, 2)
# variant, output stride, strides, rates: stage, unit, convolution.
CASES = [
  (
    '18',
    16,
    [[BASIC] * 2, [FIRST, BASIC], [FIRST, BASIC], [BASIC] * 2],
    [[BASIC] * 2] * 3 + [[(1, 2), (2, 2)]],
  ),
  (
    '18_course',
    16,
    [[BASIC] * 2, [FIRST, BASIC], [FIRST, BASIC], [BASIC] * 2],
    [[BASIC] * 2] * 3 + [[(2, 2), (2, 2)]],
  ),
  (
    '18_beta',
    8,
    [[BASIC, LAST], [BASIC] * 2, [BASIC] * 2, [BASIC] * 2],
    [[BASIC] * 2] * 2 + [[(2, 2)] * 2, [(4, 4)] * 2],
  ),
  (
    '50',
    32,
    [[ONE] * 3, [MIDDLE] + [ONE] * 3, [MIDDLE] + [ONE] * 5]
    + [[MIDDLE] + [ONE] * 2],
    [[ONE] * 3, [ONE] * 4, [ONE] * 6, [ONE] * 3],
  ),
  (
    '50_caffe',
    16,
    [[ONE] * 3, [(2, 1, 1)] + [ONE] * 3, [(2, 1, 1)] + [ONE] * 5] + [[ONE] * 3],
    [[ONE] * 3, [ONE] * 4, [ONE] * 6, [(1, 2, 1)] * 3],
  ),
  (
    '50_slim',
    16,
    [[ONE] * 2 + [MIDDLE], [ONE] * 3 + [MIDDLE], [ONE] * 6, [ONE] * 3],
    [[ONE] * 3, [ONE] * 4, [ONE] * 6, [(1, 2, 1)] * 3],
  ),
]


@pytest.mark.parametrize('variant, output_stride, strides, rates', CASES)
def test_values(variant, output_stride, strides, rates):
  model = thin(variant, output_stride=output_stride)
  x = picture(33, 46)
  variables = random_variables(model, x)
  found = jax.jit(lambda v, x: model.apply(v, x, train=False))(variables, x)
  expected, early = numpy_resnet.resnet(
    x, variables['params'], variables['batch_stats'], strides, rates
  )
  late = variant.endswith(('slim', 'beta'))
  expected['low_level'] = early[-2] if late else expected['stage2']
  assert sorted(found) == sorted(expected)
  for name, value in expected.items():
    scale = np.abs(value).max()
    np.testing.assert_allclose(found[name] / scale, value / scale, atol=2e-5)


def test_low_level_has_stride_four():
  for variant in ('18', '18_slim', '50', '50_caffe', '50_v1c', '50_beta'):
    model = thin(variant)
    x = np.zeros((1, 64, 48, 3), np.float32)
    endpoints = jax.eval_shape(
      lambda x, m=model: m.init_with_output(jax.random.key(0), x, train=False)[
        0
      ],
      x,
    )
    assert endpoints['stage1'].shape[1:3] == (32, 24)
    assert endpoints['low_level'].shape[1:3] == (16, 12)
    assert endpoints['stage5'].shape[1:3] == (4, 3)


def test_remat_keeps_paths_values_and_gradients():
  x = picture(33, 33, batch=2)
  results = []
  for remat in (False, True):
    model = thin('18', remat=remat)
    variables = random_variables(model, x)

    @jax.jit
    def gradient(params, model=model, variables=variables):
      def loss(params):
        endpoints, updates = model.apply(
          {**variables, 'params': params},
          x,
          train=True,
          mutable=['batch_stats'],
        )
        return (endpoints['stage5'] ** 2).mean(), updates

      return jax.value_and_grad(loss, has_aux=True)(params)

    text = str(jax.make_jaxpr(gradient)(variables['params']))
    assert ('remat' in text or 'checkpoint' in text) == remat
    results.append(gradient(variables['params']))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
    *results,
  )


def test_unknown_variant_lists_what_exists():
  with pytest.raises(ValueError, match=r"'19'.*18, 18_v1c.*152_course"):
    thin('19')
  with pytest.raises(ValueError, match='18_caffe'):
    thin('18_caffe')
  assert thin(18).variant == '18'
