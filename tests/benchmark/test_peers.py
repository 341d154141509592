"""PyTorch's side: the same network to the digit, and a result that says so."""

import re

import jax
import ml_collections
import numpy as np
import pytest

from configs import benchmark as configs
from deeplax import config as config_lib
from deeplax import cost, models
from deeplax.benchmark import peers
from deeplax.benchmark.subject import prepare
from deeplax.benchmark.train import benchmark_train
from deeplax.errors import ConfigError, RunError
from deeplax.models.flops import forward_flops
from deeplax.models.table import layer_table
from tests.benchmark import small

# Argument of configs/benchmark.py: its peer, and trainable parameters with 19
# classes.
SAME = {
  'v3plus_r18': ('smp', 12_333_923),
  'v3plus_r101': ('smp', 45_674_339),
  'v3_r101': ('torchvision', 58_630_483),
  'v3plus_x65': ('timm', 41_054_899),
}
SIZE = (64, 96)


def ours(argument):
  model = configs.get_config(argument).model
  return models.build(19, **model.to_dict())


def test_none_is_missing():
  documented = re.findall(r'benchmark\.py:(\w+)', configs.__doc__)
  assert {*documented} == {*SAME}
  with pytest.raises(ValueError, match='it has: ') as error:
    configs.get_config('v3plus_r18,nonsense')
  offered = str(error.value).partition('it has: ')[2].rstrip('.').split(', ')
  assert {*offered} == {*SAME, 'smoke'}
  assert configs.get_config().model == configs.get_config('v3plus_r18').model


@pytest.mark.parametrize('argument', SAME)
def test_parameters(argument):
  rows = layer_table(ours(argument), (1, *SIZE, 3))
  assert sum(row.params for row in rows) == SAME[argument][1]
  config_lib.validate(_on_one_device(configs.get_config(argument)))


def _on_one_device(config):
  config = ml_collections.ConfigDict(config)
  config.mesh.data = 1
  return config


@pytest.mark.peer
@pytest.mark.parametrize('argument', SAME)
def test_the_peer_is_the_same_network(argument):
  pytest.importorskip('torch')
  library, parameters = SAME[argument]
  choice = _choose(library, configs.get_config(argument).model)
  from deeplax.benchmark.peers import networks

  module = networks.build(choice, 19)
  assert networks.count_parameters(module) == parameters
  flops = forward_flops(ours(argument), (1, *SIZE, 3))
  assert networks.forward_flops(module, SIZE) == flops


def _choose(library, model):
  try:
    return peers.choose(library, model)
  except RunError as error:
    pytest.skip(str(error))


@pytest.mark.peer
@pytest.mark.parametrize(
  'library, keys, network',
  [
    ('smp', dict(variant='50_course'), 'resnet50'),
    ('smp', dict(encoder='mobilenet_v2', variant='1.0_smp'), 'mobilenet_v2'),
    (
      'smp',
      dict(encoder='xception', variant='41', encoder_bn_epsilon=1e-3),
      'tu-xception41',
    ),
    (
      'smp',
      dict(
        decoder='none',
        decoder_separable=False,
        head_separable=False,
        output_stride=8,
        atrous_rates=(6, 12, 18),
      ),
      'DeepLabV3(',
    ),
    (
      'torchvision',
      dict(
        variant='50',
        decoder='none',
        decoder_separable=False,
        head_separable=False,
        output_stride=8,
        atrous_rates=(6, 12, 18),
      ),
      'deeplabv3_resnet50',
    ),
  ],
)
def test_others_are_the_same_too(library, keys, network):
  pytest.importorskip('torch')
  config = small.config(head_channels=256, decoder_channels=256, **keys)
  choice = _choose(library, config.model)
  assert network in str(choice)
  from deeplax.benchmark.peers import networks

  module = networks.build(choice, 19)
  model = models.build(19, **config.model.to_dict())
  rows = layer_table(model, (1, *SIZE, 3))
  assert networks.count_parameters(module) == sum(row.params for row in rows)
  flops = forward_flops(model, (1, *SIZE, 3))
  assert networks.forward_flops(module, SIZE) == flops


@pytest.mark.parametrize(
  'library, keys',
  [
    ('smp', dict(encoder='vgg', variant='16')),
    ('smp', dict(head='none')),
    ('torchvision', dict(variant='18', decoder='none')),
    ('torchvision', dict(variant='101')),
    ('timm', dict()),
    ('timm', dict(encoder='xception', variant='65', separable_inner_bn=False)),
  ],
)
def test_networks_that_a_library_does_not_have(library, keys):
  with pytest.raises(ConfigError, match=f'peer={library} has no network'):
    peers.choose(library, small.config(**keys).model)


@pytest.fixture
def no_compiler(monkeypatch):
  """torch.compile that fails, as it does where there is no C++ compiler."""
  torch = pytest.importorskip('torch')

  def broken(*args, **keys):
    def call():
      raise RuntimeError('no compiler here\nand many more lines')

    return call

  monkeypatch.setattr(torch, 'compile', broken)
  monkeypatch.setattr('deeplax.benchmark.limit._CPU', 64)
  return torch


@pytest.mark.peer
def test_labels_of_the_authors_network_are_ours(no_compiler):
  """Over timm's encoder, from bytes to labels, with the same weights."""
  pytest.importorskip('timm')
  from deeplax.pretrained import pytorch, timm
  from deeplax.pretrained.filling import File
  from tests.models import torch_networks

  config = small.config('v3plus_x65', variant='41', decoder_layers=3)
  subject = prepare(config, size=(33, 65), batch_size=2, peer='timm')
  peer = peers.build('timm', subject, training=False)
  torch_networks.load(peer.module, seed=0)
  tensors = {
    name.removeprefix('encoder.'): x.numpy()
    for name, x in peer.module.state_dict().items()
  }
  rules = (*timm._xception(File('w', tensors)), *HEAD)

  def fill(path, leaf):
    path = '/'.join(key.key for key in path)
    found = pytorch.find(path, rules)
    array = found.make(*(tensors[name] for name in found.names))
    assert array.shape == leaf.shape, path
    return array

  shapes = models.abstract_variables(subject.model)
  variables = jax.tree_util.tree_map_with_path(fill, shapes)
  with no_compiler.inference_mode():
    logits = peer._logits().permute(0, 2, 3, 1).numpy()
  found, _ = subject.model.apply(variables, subject.batch['image'], train=False)
  grid = subject.model.grid
  np.testing.assert_allclose(
    grid.resize(found, (33, 65)), logits, atol=2e-5 * np.abs(logits).max()
  )
  predict = cost.predictor(subject.model, (33, 65), **grid._asdict())
  labels = peer.steps['eager']().numpy()
  assert labels.dtype == np.uint8 and len(np.unique(labels)) > 3
  equal = np.asarray(predict(variables, subject.batch['image'])) == labels
  assert equal.mean() > 0.999


@pytest.mark.peer
def test_gradients_reach_all_of_the_authors_network():
  """timm's ReLUs are in place, and its features are tapped."""
  torch = pytest.importorskip('torch')
  pytest.importorskip('timm')
  config = small.config('v3plus_x65', variant='41')
  from deeplax.benchmark.peers import networks

  module = networks.build(peers.choose('timm', config.model), 19).train()
  module(torch.randn(2, 3, 33, 33)).square().mean().backward()
  for name, parameter in module.named_parameters():
    assert parameter.grad is not None, name
    assert torch.isfinite(parameter.grad).all(), name


_PAIR = {'conv': 0, 'bn': 1}
HEAD = (
  (r'head/aspp/branch0/(conv|bn)', lambda m: f'branch0.{_PAIR[m[1]]}'),
  (
    r'head/aspp/branch(\d)/(depthwise|pointwise)/(conv|bn)',
    lambda m: (
      f'branches.{int(m[1]) - 1}.{int(m[2] == "pointwise")}.{_PAIR[m[3]]}'
    ),
  ),
  (r'head/aspp/image_pooling/(\w+)', lambda m: f'image_pooling.{_PAIR[m[1]]}'),
  (r'head/project/(conv|bn)', lambda m: f'project.{_PAIR[m[1]]}'),
  (r'decoder/low_level/(conv|bn)', lambda m: f'low_level.{_PAIR[m[1]]}'),
  (
    r'decoder/conv(\d)/(depthwise|pointwise)/(conv|bn)',
    lambda m: (
      f'decoder.{int(m[1]) - 1}.{int(m[2] == "pointwise")}.{_PAIR[m[3]]}'
    ),
  ),
  (r'logits', 'logits'),
)


@pytest.mark.peer
def test_a_step_of_the_peer_trains(no_compiler):
  pytest.importorskip('segmentation_models_pytorch')
  subject = prepare(small.config(), size=None, batch_size=None, peer='smp')
  peer = peers.build('smp', subject, training=True)
  assert peer.module.training
  before = {k: v.clone() for k, v in peer.module.state_dict().items()}
  with no_compiler.no_grad():
    first = _loss(peer)
  for _ in range(3):
    peer.steps['eager']()
  with no_compiler.no_grad():
    assert _loss(peer) < first
  after = peer.module.state_dict()
  same = [name for name in before if before[name].equal(after[name])]
  assert not same
  weights = [x for x in after.values() if x.ndim == 4 and x.shape[2] > 1]
  channels_last = no_compiler.channels_last
  assert all(x.is_contiguous(memory_format=channels_last) for x in weights)


def _loss(peer):
  from torch.nn import functional

  return functional.cross_entropy(peer._logits(), peer.label.long()).item()


@pytest.mark.peer
def test_what_a_result_says_of_the_peer(no_compiler):
  pytest.importorskip('segmentation_models_pytorch')
  config = small.config(decoder_channels=16)  # SMP's are those of the head
  result = benchmark_train(config, peer='smp', repeats=3)
  peer = result['peer']
  assert peer['compiled'] == {'failed': 'RuntimeError: no compiler here'}
  assert peer['best'] == 'eager'
  eager = peer['eager']
  assert peer['milliseconds'] == eager['milliseconds']
  assert eager['milliseconds'] == sorted(eager['repeats'])[1] > 0
  ratio = peer['milliseconds'] / result['milliseconds']
  assert result['times_as_fast_as_peer'] == pytest.approx(ratio, abs=1e-3)
  ratio = eager['fastest'] / result['fastest']
  assert result['times_as_fast_by_the_fastest'] == pytest.approx(
    ratio, abs=1e-3
  )
  assert peer['same_network'].startswith('NO')
  assert f'{result["parameters"]:,}' in peer['same_network']
  assert f'{peer["parameters"]:,}' in peer['same_network']
  assert 'resnet18' in peer['network'] and peer['torch'][0].isdigit()
  assert peer['dtype'] == 'float32'
