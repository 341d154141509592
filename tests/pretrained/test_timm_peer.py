"""timm's networks, live, against ours with the weights of its files."""

import jax
import numpy as np
import pytest

from deeplax.errors import WeightsError
from tests.models.torch_weights import picture
from tests.pretrained.checks import check

torch = pytest.importorskip('torch')
timm = pytest.importorskip('timm')

from tests.models import torch_networks  # noqa: E402
from tests.pretrained import peers, resnets  # noqa: E402

pytestmark = pytest.mark.peer

CLASSIFIER = dict(head='global_pool', decoder='none', dropout=0.0)
XCEPTION = dict(
  encoder='xception', encoder_bn_epsilon=1e-3, input_norm='symmetric'
)
SIZES = [(33, 49, 1), (64, 48, 3)]


def xception_stages(module, x):
  """What each unit of stride 2 reads, and the last features."""
  seen = []
  hooks = [
    block.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for block in module.blocks
    if block.stack.conv3.conv_dw.stride == (2, 2)
  ]
  last = module.forward_features(x)
  for hook in hooks:
    hook.remove()
  return [*seen, last]


@pytest.mark.parametrize(
  'variant, suffix',
  [('41', '.safetensors'), ('65', '.pth'), ('71', '.safetensors')],
)
def test_xception(variant, suffix, tmp_path):
  module = timm.create_model(f'xception{variant}', num_classes=7)
  keys = dict(variant=variant, output_stride=32, **XCEPTION, **CLASSIFIER)
  model, variables = peers.convert(
    'timm', module, tmp_path / f'w{suffix}', 7, **keys
  )
  for size in SIZES:
    image = picture(*size)
    x = peers.symmetric(image)
    with torch.no_grad():
      features, scores = xception_stages(module, x), module(x)
      # Its own tap at stride 4: before the third convolution, after a ReLU.
      tap = module.forward_intermediates(x, intermediates_only=True)[1]
    peers.check_stages(size, model, variables, features, x)
    found, endpoints = model.apply(variables, image, train=False)
    check(f'{size} scores', found[:, 0, 0], scores)
    low = jax.nn.relu(endpoints['low_level'])
    check(f'{size} low_level', low, peers.channels_last(tap))


@pytest.mark.parametrize('output_stride', [8, 16])
def test_xception_atrous(output_stride, tmp_path):
  module = timm.create_model(
    'xception41', num_classes=7, output_stride=output_stride
  )
  keys = dict(variant='41', output_stride=output_stride)
  keys |= XCEPTION | CLASSIFIER
  path = tmp_path / 'w.safetensors'
  model, variables = peers.convert('timm', module, path, 7, **keys)
  x = peers.symmetric(picture(65, 97))
  found = model.encoder.apply(
    {name: tree['encoder'] for name, tree in variables.items()},
    np.moveaxis(x.numpy(), 1, -1),
    train=False,
  )
  with torch.no_grad():
    expected = module.forward_features(x)
  check('stage5', found['stage5'], peers.channels_last(expected))


@pytest.mark.parametrize(
  'name, variant, output_stride',
  [
    ('resnet18', '18', 8),
    ('resnet34', '34', 16),
    ('resnet50', '50', 16),
    ('resnet101', '101', 32),
    ('resnet152', '152', 32),
    ('resnet50c', '50_v1c', 8),
    ('resnet101c', '101_v1c', 32),
  ],
)
def test_resnet(name, variant, output_stride, tmp_path):
  module = timm.create_model(name, num_classes=7, output_stride=output_stride)
  keys = dict(variant=variant, output_stride=output_stride, **CLASSIFIER)
  path = tmp_path / 'w.safetensors'
  model, variables = peers.convert('timm', module, path, 7, **keys)
  for size in SIZES:
    image = picture(*size)
    x = torch_networks.normalized(image)
    found, endpoints = model.apply(variables, image, train=False)
    with torch.no_grad():
      features, scores = module.forward_features(x), module(x)
    check(size, endpoints['stage5'], peers.channels_last(features))
    check(f'{size} scores', found[:, 0, 0], scores)


@pytest.mark.parametrize(
  'name, words',
  [
    ('resnet50d', 'average'),
    ('resnet50s', '64, 64, 128'),
    ('resnet50t', 'average'),
    ('xception41p', 'precedes'),
    ('seresnet50', 'squeeze'),
    ('resnet26', r'as layer1\.2\.'),
    ('resnet50_gn', r'as bn1\.running_mean'),
    ('resnext50_32x4d', r'layer1\.0\.bn1\.running_mean of shape'),
  ],
)
def test_a_network_that_is_not_ours(name, words, tmp_path):
  with torch.device('meta'):
    module = timm.create_model(name)
  path = tmp_path / 'w.pth'
  zero = {n: torch.zeros(x.shape) for n, x in module.state_dict().items()}
  torch.save(zero, path)
  with pytest.raises(WeightsError, match=words):
    resnets.fill(path, resnets.keys('50'), 'timm', classes=1000)
