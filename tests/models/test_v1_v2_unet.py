"""DeepLab V1 and V2 and U-Net, against numpy written from their papers."""

import jax
import numpy as np
import pytest

from deeplax import models
from tests.models.random_weights import random_image, random_variables
from tests.ops import reference

V1 = dict(
  encoder='vgg',
  variant='16_large_fov',
  output_stride=8,
  head='large_fov',
  head_channels=6,
  atrous_rates=(6,),
  decoder='none',
  dropout=0.5,
)
UNET = dict(
  encoder='unet',
  variant='paper',
  head='none',
  decoder='unet',
  unet_channels=(32, 16, 8, 4),
  unet_upsampling='transposed',
  unet_bn=False,
)


def close(found, expected, tolerance=2e-5):
  scale = np.abs(expected).max()
  assert scale > 0
  np.testing.assert_allclose(found / scale, expected / scale, atol=tolerance)


def normalised(image):
  mean, deviation = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
  return (image / 255 - mean) / deviation


def conv(x, params, rate=1, relu=True):
  x = reference.conv(x, params['kernel'], rate=rate) + params['bias']
  return np.maximum(x, 0) if relu else x


def run(model, variables, image):
  return jax.jit(lambda v, x: model.apply(v, x, train=False))(variables, image)


def test_v1_is_large_fov():
  model = models.build(5, **V1)
  model = model.clone(encoder=model.encoder.clone(width=4))
  image = random_image(33, 41)
  variables = random_variables(model, image)
  params = variables['params']
  x = normalised(image)
  # deploy.prototxt: pools of 3 with stride 2, 2, 2, 1, 1, block 5 at rate 2.
  for block, convs, stride in ((1, 2, 2), (2, 2, 2), (3, 3, 2), (4, 3, 1), (5, 3, 1)):  # fmt: skip # noqa: E501
    for n in range(1, convs + 1):
      rate = 2 if block == 5 else 1
      x = conv(x, params['encoder'][f'block{block}'][f'conv{n}'], rate)
    x = reference.max_pool(x, 3, stride)
  ones = np.zeros((3, 3, x.shape[-1], x.shape[-1]))
  ones[:, :, range(x.shape[-1]), range(x.shape[-1])] = 1 / 9
  x = reference.conv(x, ones)  # pool5a, the average
  x = conv(x, params['head']['fc6'], rate=12)
  x = conv(x, params['head']['fc7'])
  x = conv(x, params['logits'], relu=False)
  logits, endpoints = run(model, variables, image)
  assert endpoints['stage5'].shape[1:3] == (5, 6)
  close(logits, x)


@pytest.mark.parametrize('align_corners', [False, True])
def test_v2_takes_the_maximum_of_three_scales(align_corners):
  keys = dict(
    variant='18',
    output_stride=8,
    head='aspp_sum',
    atrous_rates=(1, 2, 4, 6),
    decoder='none',
    align_corners=align_corners,
  )
  model = models.build(5, input_scales=(1.0, 0.75, 0.5), **keys)
  plain = models.build(5, **keys)
  model, plain = (
    m.clone(encoder=m.encoder.clone(width=4)) for m in (model, plain)
  )
  image = random_image(65, 49)
  variables = random_variables(model, image)
  params = variables['params']
  assert {*params} == {'encoder', 'head'}  # no layer besides the branches
  logits, endpoints = run(model, variables, image)
  # What the network without scales gives for the picture of each scale.
  sizes = {1: (65, 49), 0.75: (49, 37), 0.5: (33, 25)}
  total = None
  for scale, size in sizes.items():
    small = reference.bilinear(image.astype(np.float64), size, align_corners)
    features = run(plain, variables, small.astype(np.float32))[1]['stage5']
    scores = sum(
      conv(features, params['head'][f'logits{i}'], rate, relu=False)
      for i, rate in enumerate((2, 4, 8, 12), 1)
    )
    close(endpoints[f'logits_x{scale:g}'], scores, 1e-4)
    scores = reference.bilinear(scores, (9, 7), align_corners)
    total = scores if total is None else np.maximum(total, scores)
  close(logits, total, 1e-4)
  assert np.abs(logits - endpoints['logits_x1']).max() > 0


def double(x, params):
  return conv(conv(x, params['conv1']), params['conv2'])


@pytest.mark.parametrize('height, width', [(32, 48), (37, 50)])
def test_unet_is_the_papers(height, width):
  model = models.build(5, **UNET)
  model = model.clone(encoder=model.encoder.clone(width=4))
  image = random_image(height, width)
  variables = random_variables(model, image)
  params = variables['params']
  x, stages = normalised(image), []
  for n in range(1, 6):
    if n > 1:  # 2x2, a last odd row left out
      h, w = x.shape[1] // 2, x.shape[2] // 2
      x = x[:, : 2 * h, : 2 * w].reshape(1, h, 2, w, 2, -1).max((2, 4))
    x = double(x, params['encoder'][f'stage{n}'])
    stages.append(x)
  for n, stage in enumerate(stages[-2::-1], 1):
    up = params['decoder'][f'up{n}']
    _, h, w, _ = x.shape
    bigger = np.zeros((*stage.shape[:3], up['bias'].size))
    for i in range(2 * h):
      for j in range(2 * w):
        bigger[:, i, j] = x[:, i // 2, j // 2] @ up['kernel'][i % 2, j % 2]
    bigger[:, : 2 * h, : 2 * w] += up['bias']
    x = double(
      np.concatenate([bigger, stage], -1), params['decoder'][f'level{n}']
    )
  x = conv(x, params['logits'], relu=False)
  logits, endpoints = run(model, variables, image)
  assert logits.shape == (1, height, width, 5)
  close(logits, x)
  assert endpoints['stage5'].shape[1:3] == (height // 16, width // 16)


def test_unet_over_any_encoder_has_the_size_of_the_picture():
  for encoder, variant in (
    ('resnet', '18'),
    ('vgg', '16'),
    ('mobilenet_v2', '1.0'),
    ('xception', '41'),
  ):
    for stride in (8, 32):
      model = models.build(
        3,
        encoder=encoder,
        variant=variant,
        output_stride=stride,
        head='none',
        decoder='unet',
        unet_channels=(16, 8, 8, 4, 4),
      )
      shapes = jax.eval_shape(
        lambda x, m=model: m.init_with_output(jax.random.key(0), x, train=False)[0],  # noqa: E501
        np.zeros((1, 49, 66, 3), np.uint8),
      )  # fmt: skip
      assert shapes[0].shape == (1, 49, 66, 3), encoder


def test_up_convolutions_need_every_stride():
  with pytest.raises(ValueError, match=r"output_stride.*'nearest'"):
    models.build(3, **{**UNET, 'output_stride': 8})
  with pytest.raises(ValueError, match=r'32.*give 16'):
    models.build(3, **{**UNET, 'output_stride': 32})


@pytest.mark.parametrize(
  'keys, message',
  [
    ({**V1, 'atrous_rates': (6, 12)}, r'`atrous_rates`.*1 entry'),
    ({**V1, 'multi_grid': (1, 2, 4)}, r'`multi_grid`.*vgg has no units'),
    (dict(head='aspp_sum', decoder='v3plus'), "`decoder`.*'aspp_sum'"),
    (dict(head='aspp_sum', decoder='none', atrous_rates=()), 'each branch'),
    (dict(input_scales=(0.5, 1.0)), r'`input_scales`.*start with 1'),
    (dict(image_pooling_window=(3,)), '`image_pooling_window`'),
    (dict(unet_channels=()), '`unet_channels`'),
    (dict(decoder='unet', unet_channels=(4,) * 6), r'`unet_channels`.*5'),
    (dict(unet_upsampling='cubic'), r'`unet_upsampling`.*nearest'),
    (dict(padding='same'), '`padding`.*mobilenet_v2 only'),
    (dict(logits_size=2), '`logits_size`.*odd'),
    (dict(encoder_bn_epsilon=0.0), '`encoder_bn_epsilon`'),
  ],
)
def test_impossible_choices(keys, message):
  with pytest.raises(ValueError, match=message):
    models.build(19, **keys)
