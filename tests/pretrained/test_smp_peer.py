"""segmentation_models_pytorch, live, against ours with its files' weights."""

import jax
import pytest

from deeplax.errors import WeightsError
from tests.models.torch_weights import picture

torch = pytest.importorskip('torch')
smp = pytest.importorskip('segmentation_models_pytorch')

from tests.pretrained import peers, training  # noqa: E402

pytestmark = pytest.mark.peer

CLASSES = training.CLASSES
V3 = dict(
  head_conv3x3=True, decoder='none', align_corners=True, output_stride=8
)
V3_PLUS = dict(
  head_separable=True,
  head_conv3x3=True,
  decoder='v3plus',
  decoder_separable=True,
  decoder_layers=1,
  separable_inner_bn=False,
  align_corners=True,
)
UNET = dict(head='none', decoder='unet', output_stride=32, logits_size=3)
R18, R50 = dict(variant='18_course'), dict(variant='50_course')
MOBILENET = dict(encoder='mobilenet_v2', variant='1.0_smp')
# The rates that the peer has as (12, 24, 36) at both output strides.
AT_16, AT_8 = dict(atrous_rates=(12, 24, 36)), dict(atrous_rates=(6, 12, 18))


def build(network, encoder, **keys):
  return getattr(smp, network)(
    encoder, encoder_weights=None, classes=CLASSES, **keys
  )


def compare(module, keys, sizes, path):
  model, variables = peers.convert('smp', module, path, CLASSES, **keys)
  for size in sizes:
    peers.check_logits(size, model, variables, module, picture(*size))


@pytest.mark.parametrize(
  'encoder, theirs, ours',
  [
    ('resnet18', {}, R18 | AT_16),
    ('resnet34', {}, dict(variant='34_course') | AT_16),
    ('resnet101', {}, dict(variant='101_course') | AT_16),
    ('resnet50', dict(encoder_output_stride=8), R50 | AT_8),
    ('mobilenet_v2', {}, MOBILENET | AT_16),
    (
      'mobilenet_v2',
      dict(encoder_output_stride=8),
      MOBILENET | AT_8 | dict(output_stride=8),
    ),
    (
      'resnet18',
      dict(decoder_channels=64, decoder_atrous_rates=(2, 4, 6)),
      R18 | dict(atrous_rates=(2, 4, 6), head_channels=64, decoder_channels=64),
    ),
    (
      'resnet18',
      dict(decoder_aspp_separable=False),
      R18 | AT_16 | dict(head_separable=False),
    ),
  ],
)
def test_deeplabv3plus(encoder, theirs, ours, tmp_path):
  module = build('DeepLabV3Plus', encoder, **theirs)
  stride = theirs.get('encoder_output_stride', 16)
  keys = {**V3_PLUS, 'output_stride': stride, **ours}
  # 41 features in a row: more than a rate of 36 in each direction.
  sizes = [(2 * stride, 41 * stride, 1), (4 * stride, 3 * stride, 3)]
  compare(module, keys, sizes, tmp_path / 'w.pth')


@pytest.mark.parametrize(
  'encoder, theirs, ours',
  [
    ('resnet18', {}, R18 | AT_8),
    ('resnet50', {}, R50 | AT_8),
    ('resnet152', {}, dict(variant='152_course') | AT_8),
    ('mobilenet_v2', {}, MOBILENET | AT_8),
    (
      'resnet50',
      dict(encoder_output_stride=16, decoder_channels=32),
      R50 | AT_16 | dict(output_stride=16, head_channels=32),
    ),
    (
      'resnet18',
      dict(decoder_aspp_separable=True),
      R18 | AT_8 | dict(head_separable=True, separable_inner_bn=False),
    ),
  ],
)
def test_deeplabv3(encoder, theirs, ours, tmp_path):
  module = build('DeepLabV3', encoder, **theirs)
  stride = theirs.get('encoder_output_stride', 8)
  sizes = [(3 * stride, 41 * stride, 1), (4 * stride, 5 * stride, 3)]
  compare(module, {**V3, **ours}, sizes, tmp_path / 'w.safetensors')


@pytest.mark.parametrize(
  'encoder, theirs, ours',
  [
    ('resnet18', {}, dict(variant='18')),
    ('resnet34', {}, dict(variant='34')),
    ('resnet50', {}, dict(variant='50')),
    ('mobilenet_v2', {}, dict(encoder='mobilenet_v2', variant='1.0_1280')),
    ('vgg16', {}, dict(encoder='vgg', variant='16', unet_center=True)),
    ('vgg16_bn', {}, dict(encoder='vgg', variant='16_bn', unet_center=True)),
    (
      'vgg16_bn',
      dict(decoder_use_norm=False),
      dict(encoder='vgg', variant='16_bn', unet_center=True, unet_bn=False),
    ),
    (
      'resnet18',
      dict(decoder_channels=(48, 40, 32, 24, 8)),
      dict(variant='18', unet_channels=(48, 40, 32, 24, 8)),
    ),
  ],
)
def test_unet(encoder, theirs, ours, tmp_path):
  module = build('Unet', encoder, **theirs)
  sizes = [(33, 49, 1), (64, 96, 3)]
  compare(module, {**UNET, **ours}, sizes, tmp_path / 'w.safetensors')


def test_gradients_and_statistics(tmp_path):
  with jax.enable_x64(True):
    module = build('DeepLabV3Plus', 'resnet18', decoder_aspp_dropout=0.0)
    module = module.double()
    keys = dict(
      dropout=0.0,
      bn_unbiased=True,
      dtype='float64',
      **(V3_PLUS | R18 | AT_16),
    )
    path = tmp_path / 'w.safetensors'
    peers.save(module, path)
    model, variables, report = peers.fill('smp', path, CLASSES, keys)
    assert not report.missing
    image, label = training.batch(32, 416, 2)
    training.check_step(
      model, variables, report, module, image, label, lambda y: y
    )


def test_a_classifier_beside_is_left_out(tmp_path):
  module = build('DeepLabV3Plus', 'resnet18', aux_params=dict(classes=3))
  path = tmp_path / 'w.safetensors'
  peers.save(module, path)
  keys = V3_PLUS | R18 | AT_16
  _, _, report = peers.fill('smp', path, CLASSES, keys)
  left_out = {n for n, _ in report.left_out if 'num_batches' not in n}
  assert left_out == {
    'classification_head.3.weight',
    'classification_head.3.bias',
  }
  assert not report.missing


def test_old_names(tmp_path):
  """DeepLabV3's decoder was once a sequence; its own loader renames too."""
  module = build('DeepLabV3', 'resnet18')
  path = tmp_path / 'w.pth'
  peers.save(module, path)
  old = {'aspp': '0', 'conv': '1', 'bn': '2'}
  tensors = {}
  for name, x in module.state_dict().items():
    if name.startswith('decoder.'):
      part, rest = name.removeprefix('decoder.').split('.', 1)
      name = f'decoder.{old[part]}.{rest}'
    tensors[name] = x
  torch.save({'state_dict': tensors}, path)
  module.load_state_dict(dict(tensors))
  keys = V3 | R18 | AT_8
  model, variables, report = peers.fill('smp', path, CLASSES, keys)
  assert not report.missing
  peers.check_logits('old', model, variables, module, picture(32, 48))


@pytest.mark.parametrize(
  'network, encoder, theirs, ours, words',
  [
    ('DeepLabV3Plus', 'tu-resnet18', {}, V3_PLUS | R18, 'tu-'),
    (
      'Unet',
      'resnet18',
      dict(decoder_attention_type='scse'),
      UNET | dict(variant='18'),
      'attention',
    ),
    (
      'Unet',
      'resnet18',
      dict(encoder_depth=4, decoder_channels=(256, 128, 64, 32)),
      UNET | dict(variant='18'),
      'decoder.blocks.0.conv1.0.weight',
    ),
    (
      'DeepLabV3Plus',
      'resnet18',
      dict(decoder_aspp_separable=False),
      V3_PLUS | R18,
      'head_separable is False there and True here',
    ),
    ('DeepLabV3Plus', 'resnet18', {}, V3 | R18, 'decoder is v3plus there'),
    ('DeepLabV3', 'resnet18', {}, V3_PLUS | R18, 'decoder is none there'),
    ('DeepLabV3Plus', 'resnet34', {}, V3_PLUS | R18, 'variant=34_course'),
    ('DeepLabV3Plus', 'resnet18', {}, V3_PLUS | MOBILENET, 'encoder=resnet'),
    ('Unet', 'resnet18', {}, V3_PLUS | R18, 'decoder is unet there'),
    ('FPN', 'resnet18', {}, V3_PLUS | R18, 'segmentation_head.0.weight'),
    ('DeepLabV3Plus', 'efficientnet-b0', {}, V3_PLUS | R18, 'architecture'),
  ],
)
def test_a_network_that_is_not_ours(
  network, encoder, theirs, ours, words, tmp_path
):
  module = build(network, encoder, **theirs)
  path = tmp_path / 'w.pth'
  torch.save(module.state_dict(), path)
  with pytest.raises(WeightsError, match=words) as error:
    peers.fill('smp', path, CLASSES, ours)
  print(error.value)
