"""Training and inference are measured: what a result says is so."""

import jax
import numpy as np
import pytest

from deeplax import models
from deeplax.benchmark import evaluation, memory, train
from deeplax.benchmark.evaluation import benchmark_eval
from deeplax.benchmark.subject import prepare
from deeplax.benchmark.train import benchmark_train
from deeplax.errors import ConfigError
from tests.benchmark import small

# Few operations to compile: VGG-16 and class scores.
VGG = dict(
  encoder='vgg', variant='16', head='none', decoder='none', output_stride=16
)
NOTHING = dict(size=None, batch_size=None, peer=None)


@pytest.fixture(autouse=True)
def small_product(monkeypatch):
  monkeypatch.setattr('deeplax.benchmark.limit._CPU', 64)


def check(result, passes):
  """Everything that follows from the repeats and the operations."""
  repeats = result['repeats']
  assert len(repeats) == 3 and min(repeats) > 0
  assert result['milliseconds'] == sorted(repeats)[1]
  assert (result['fastest'], result['slowest']) == (min(repeats), max(repeats))
  speed = result['batch_size'] / (result['milliseconds'] / 1e3)
  assert result['images_per_second'] == pytest.approx(speed, rel=1e-3)
  flops = passes * result['forward_gflops_per_image'] * 1e9
  assert result['tflops_per_second'] == pytest.approx(
    flops * speed / 1e12, rel=1e-2, abs=1e-4
  )
  share = result['tflops_per_second'] / result['limit_tflops_per_second']
  assert result['share_of_limit'] == pytest.approx(share, rel=0.2)
  assert result['compile_seconds'] > 0 and result['cores'] > 0
  started = result['seconds_from_process_start_to_first_step']
  assert started > result['compile_seconds']
  assert 'planned by the compiler' in result['peak_memory_is']
  # Weights alone are 14,724,435 numbers of four bytes.
  assert result['parameters'] == 14_714_688 + 19 * 513
  assert result['peak_memory_mib'] > result['parameters'] * 4 / 2**20
  assert result['backend'] == 'cpu' and result['device'] and result['jax']
  assert result['seed'] == 0 and result['dtype'] == 'float32'


def test_train():
  config = small.config(**VGG)
  config.loss.class_weights_from_data = True  # and no data is at hand
  result = benchmark_train(config, repeats=3, profile=True)
  check(result, passes=3)
  assert (result['what'], result['size']) == ('train', '32x48')
  assert (result['batch_size'], result['devices']) == (2, 1)
  # Taps on padding counted: the fifth block's have 2 x 3 pixels to read.
  block5 = 3 * 2 * (2 * 3) * 9 * 512 * 512
  assert result['forward_gflops_per_image'] * 1e9 > block5
  names = [row['op_name'] for row in result['profile']]
  assert any('encoder/block' in name for name in names)
  assert any('transpose(jvp' in name for name in names)  # backward, too


def test_train_on_two_devices():
  config = small.config(**VGG)
  config.mesh.data = 2
  result = benchmark_train(config, size=(32, 32), batch_size=4, repeats=3)
  check(result, passes=3)
  assert (result['size'], result['batch_size']) == ('32x32', 4)
  assert result['devices'] == 2
  assert 'times 2 devices' in result['limit_is']


def test_a_step_of_training_trains():
  subject = prepare(small.config(**VGG), **NOTHING)
  program = train._program(subject)
  first, *_, last = [float(program.step()['loss']) for _ in range(4)]
  # Another batch it never sees: what it learns is this one by heart.
  assert np.isfinite(last) and last < first


def test_eval():
  result = benchmark_eval(
    small.config(**VGG), size=(32, 64), batch_size=1, repeats=3
  )
  check(result, passes=1)
  assert (result['what'], result['size']) == ('eval', '32x64')
  assert (result['batch_size'], result['devices']) == (1, 1)


def test_a_step_of_inference_gives_labels_at_full_size():
  subject = prepare(small.config(**VGG), **NOTHING)
  labels = evaluation._program(subject).step()
  assert (labels.shape, labels.dtype) == ((2, 32, 48), np.uint8)
  variables = models.initialize(subject.model, 0)
  logits, _ = subject.model.apply(
    variables, subject.batch['image'], train=False
  )
  logits = jax.image.resize(logits, (2, 32, 48, 19), 'bilinear')
  equal = np.asarray(labels) == np.argmax(logits, axis=-1)
  # Of ours corners fall on corners: an edge between classes may move.
  assert equal.mean() > 0.5


def test_memory_that_the_device_tells(monkeypatch):
  class Device:
    def memory_stats(self):
      return {'peak_bytes_in_use': 3 * 2**20}

  monkeypatch.setattr(jax, 'local_devices', lambda: [Device()])
  found = memory.peak(None)
  assert (
    found['peak_memory_mib'] == 3 and 'allocator' in found['peak_memory_is']
  )


@pytest.mark.parametrize(
  'keys, message',
  [
    (dict(size=(0, 8)), 'at least 1x1'),
    (dict(batch_size=3, data=2), 'divisible'),
    (dict(variant='17'), 'no variant'),
  ],
)
def test_what_can_not_be_is_said_before_anything_runs(keys, message):
  config = small.config(**VGG)
  config.mesh.data = keys.pop('data', 1)
  config.model.variant = keys.pop('variant', '16')
  with pytest.raises(ConfigError, match=message):
    benchmark_train(config, **keys)


@pytest.mark.peer
def test_a_peer_is_measured_on_one_device():
  pytest.importorskip('segmentation_models_pytorch')
  config = small.config()
  config.mesh.data = 2
  with pytest.raises(ConfigError, match='takes 2: give --config'):
    benchmark_train(config, peer='smp')


def test_a_config_is_needed():
  with pytest.raises(ConfigError, match='--config'):
    benchmark_eval()
