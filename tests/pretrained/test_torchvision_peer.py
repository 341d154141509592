"""torchvision's networks, live, against ours with the weights of its files."""

import jax
import numpy as np
import pytest

from deeplax import pretrained
from deeplax.errors import WeightsError
from tests.models.torch_weights import picture
from tests.pretrained.checks import check

torch = pytest.importorskip('torch')
torchvision = pytest.importorskip('torchvision')

from tests.models import torch_networks  # noqa: E402
from tests.pretrained import peers, training  # noqa: E402

pytestmark = pytest.mark.peer

CLASSIFIER = dict(
  head='global_pool', decoder='none', output_stride=32, dropout=0.0
)
DEEPLAB = dict(output_stride=8, head_conv3x3=True, decoder='none')
SIZES = [(33, 49, 1), (64, 48, 3)]
# The pyramid's rate of 36 reads more than padding at 41 features, stride 8.
DEEPLAB_SIZES = [(40, 64, 3), (33, 321, 1)]


def mobilenet_stages(module, x):
  result = []
  for n, layer in enumerate(module.features):
    x = layer(x)
    if n in (1, 3, 6, 13, 18):
      result.append(x)
  return result


def vgg_stages(module, x):
  result = []
  for layer in module.features:
    if isinstance(layer, torch.nn.MaxPool2d):
      result.append(x)
    x = layer(x)
  return [*result[1:], x]


@pytest.mark.parametrize(
  'name, keys, suffix',
  [
    ('resnet18', dict(variant='18'), '.safetensors'),
    ('resnet34', dict(variant='34'), '.pth'),
    ('resnet50', dict(variant='50'), '.pth'),
    ('resnet101', dict(variant='101'), '.safetensors'),
    ('resnet152', dict(variant='152'), '.safetensors'),
    (
      'mobilenet_v2',
      dict(encoder='mobilenet_v2', variant='1.0_1280'),
      '.safetensors',
    ),
  ],
)
def test_classifier(name, keys, suffix, tmp_path):
  module = getattr(torchvision.models, name)(num_classes=7)
  model, variables = peers.convert(
    'torchvision', module, tmp_path / f'w{suffix}', 7, **CLASSIFIER, **keys
  )
  stages = mobilenet_stages if 'mobile' in name else torch_networks.stages
  for size in SIZES:
    image = picture(*size)
    x = torch_networks.normalized(image)
    with torch.no_grad():
      features, scores = stages(module, x), module(x)
    peers.check_stages(size, model, variables, features, x)
    found = model.apply(variables, image, train=False)[0]
    check(f'{size} scores', found[:, 0, 0], scores)


@pytest.mark.parametrize('width', [0.5, 1.4])
def test_mobilenet_of_another_width(width, tmp_path):
  module = torchvision.models.mobilenet_v2(width_mult=width, num_classes=7)
  keys = dict(encoder='mobilenet_v2', variant=f'{width}_1280')
  path = tmp_path / 'w.safetensors'
  model, variables = peers.convert(
    'torchvision', module, path, 7, **CLASSIFIER, **keys
  )
  image = picture(33, 49)
  found = model.apply(variables, image, train=False)[0]
  with torch.no_grad():
    expected = module(torch_networks.normalized(image))
  check('scores', found[:, 0, 0], expected)


@pytest.mark.parametrize('name, variant', [('vgg16', '16'), ('vgg16_bn',) * 2])
def test_vgg(name, variant, tmp_path):
  variant = variant.removeprefix('vgg')
  module = getattr(torchvision.models, name)()
  # The first layer of the classifier alone has 100 million numbers.
  for n in (0, 3, 6):
    module.classifier[n] = torch.nn.Linear(2, 2)
  keys = dict(encoder='vgg', variant=variant, **CLASSIFIER)
  path = tmp_path / 'w.safetensors'
  peers.save(module, path)
  model, variables, report = peers.fill('torchvision', path, 7, keys)
  left_out = {n for n, _ in report.left_out if 'num_batches' not in n}
  assert left_out == {n for n in module.state_dict() if 'classifier' in n}
  assert {p.split('/')[1] for p, _ in report.missing} == {'logits'}
  for size in SIZES:
    x = torch_networks.normalized(picture(*size))
    with torch.no_grad():
      features = vgg_stages(module, x)
    peers.check_stages(size, model, variables, features, x)


@pytest.mark.parametrize('depth, auxiliary', [('50', True), ('101', False)])
def test_deeplabv3(depth, auxiliary, tmp_path):
  module = getattr(torchvision.models.segmentation, f'deeplabv3_resnet{depth}')(
    weights=None, weights_backbone=None, num_classes=9, aux_loss=auxiliary
  )
  keys = dict(variant=depth, auxiliary=auxiliary, **DEEPLAB)
  model, variables = peers.convert(
    'torchvision', module, tmp_path / 'w.pth', 9, **keys
  )
  for size in DEEPLAB_SIZES:
    image = picture(*size)
    peers.check_logits(
      size, model, variables, module, image, out=lambda y: y['out']
    )
    if auxiliary:
      peers.check_logits(
        f'{size} auxiliary',
        model,
        variables,
        module,
        image,
        out=lambda y: y['aux'],
        ours=lambda y: y[1]['auxiliary'],
      )


@pytest.mark.parametrize(
  'name, words',
  [
    ('deeplabv3_mobilenet_v3_large', 'MobileNetV3.*deeplabv3_resnet50'),
    ('lraspp_mobilenet_v3_large', 'MobileNetV3.*deeplabv3_resnet50'),
    ('fcn_resnet50', 'FCN.*deeplabv3_resnet50'),
  ],
)
def test_a_segmentation_that_is_not_ours(name, words, tmp_path):
  build = getattr(torchvision.models.segmentation, name)
  module = build(weights=None, weights_backbone=None)
  path = tmp_path / 'w.pth'
  torch.save(module.state_dict(), path)
  with pytest.raises(WeightsError, match=words):
    pretrained.read('torchvision', path)


def test_gradients_and_statistics(tmp_path):
  with jax.enable_x64(True):
    module = torchvision.models.segmentation.deeplabv3_resnet50(
      weights=None, weights_backbone=None, num_classes=training.CLASSES
    ).double()
    module.classifier[0].project[3].p = 0.0
    keys = dict(
      variant='50',
      dropout=0.0,
      bn_unbiased=True,
      dtype='float64',
      **DEEPLAB,
    )
    path = tmp_path / 'w.safetensors'
    peers.save(module, path)
    model, variables, report = peers.fill(
      'torchvision', path, training.CLASSES, keys
    )
    assert not report.missing
    assert variables['params']['logits']['kernel'].dtype == np.float64
    image, label = training.batch(24, 321, 2)
    training.check_step(
      model, variables, report, module, image, label, lambda y: y['out']
    )
