"""Operations: published figures, sums by hand, and none forgotten."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from deeplax import models
from deeplax.models import options
from deeplax.models.flops import forward_flops
from deeplax.models.layers import Conv
from deeplax.models.unet_layers import UpConv

STYLE = options.Options(num_classes=2).style
CLASSIFIER = dict(head='global_pool', decoder='none', output_stride=32)


@pytest.mark.parametrize(
  'choices, published',  # 10^9 multiply-adds at 224x224, torchvision's metadata
  [
    (dict(variant='18'), 1.814),
    (dict(variant='50'), 4.089),
    (dict(variant='101'), 7.801),
    (dict(encoder='mobilenet_v2', variant='1.0_1280'), 0.301),
  ],
)
def test_published(choices, published):
  model = models.build(1000, **CLASSIFIER, **choices)
  flops = forward_flops(model, (1, 224, 224, 3))
  assert flops / 2e9 == pytest.approx(published, abs=6e-4)


class Small(nn.Module):
  """Every kind of layer with a kernel, the first called twice."""

  @nn.compact
  def __call__(self, x, *, train):
    x = x.astype(jnp.float32)
    same = Conv(3, STYLE, size=3, rate=2, name='atrous')
    x = same(same(x, train=train), train=train)
    x = Conv(6, STYLE, size=3, stride=2, groups=3, name='depthwise')(
      x, train=train
    )
    return UpConv(5, STYLE, name='up')(x)


def test_by_hand():
  atrous = 2 * (2 * 9 * 7 * 3) * 9 * 3
  depthwise = 2 * (2 * 5 * 4 * 6) * 9 * 1
  up = 2 * (2 * 10 * 8 * 5) * 6
  found = forward_flops(Small(), (2, 9, 7, 3))
  assert found == 2 * atrous + depthwise + up


class Hidden(nn.Module):
  """Uses a kernel behind the back of its layer."""

  @nn.compact
  def __call__(self, x, *, train):
    del train
    return Silent(name='hidden').product(x.astype(jnp.float32))


class Silent(nn.Module):
  @nn.compact
  def product(self, x):
    kernel = self.param('kernel', nn.initializers.ones, (1, 1, 3, 4))
    return x @ kernel[0, 0]


def test_what_can_not_be_counted_is_an_error():
  with pytest.raises(ValueError, match='hidden/kernel'):
    forward_flops(Hidden(), (1, 4, 4, 3))


@pytest.mark.parametrize('padding', ['symmetric', 'same'])
@pytest.mark.parametrize(
  'stride, rate, groups', [(1, 1, 1), (2, 1, 3), (1, 4, 3)]
)
def test_taps_on_padding_may_be_left_out_as_xla_does(
  padding, stride, rate, groups
):
  """XLA counts 2 for each multiply-add that is no product with padding."""

  class One(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
      style = dataclasses.replace(STYLE, conv_lowering='xla')
      keys = dict(size=3, stride=stride, rate=rate, groups=groups)
      conv = Conv(6, style, padding=padding, **keys)
      return conv(x.astype(jnp.float32), train=train)

  shape = (1, 9, 6, 3)
  variables = One().init(jax.random.key(0), jnp.zeros(shape), train=False)
  program = jax.jit(lambda x: One().apply(variables, x, train=False))
  expected = program.lower(jnp.zeros(shape)).cost_analysis()['flops']
  assert forward_flops(One(), shape, on_padding=False) == expected
