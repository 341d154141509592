"""From a file of weights to a folder that the other commands take."""

import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from configs import demo
from deeplax import convert, evaluate_run, models, predict, train
from deeplax import workdir as workdir_lib
from deeplax.errors import ConfigError, RunError, WeightsError
from deeplax.pretrained import filling
from deeplax.pretrained import torchvision as source

ROOT = pathlib.Path(__file__).resolve().parents[1]


def config(**model):
  result = demo.get_config('smoke')
  result.model.head_channels = result.model.decoder_channels = 8
  result.loss.class_weights_from_data = False
  result.model.update(model)
  return result


def flat(variables):
  return {
    jax.tree_util.keystr(path, simple=True, separator='/'): leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
  }


@pytest.fixture(scope='module')
def tensors():
  """A whole file of torchvision's ResNet-18, drawn."""
  rng = np.random.default_rng(0)
  model = models.build(19, **config().model.to_dict())
  drawn = {}
  for path, leaf in flat(models.abstract_variables(model)).items():
    if '/encoder/' not in path:
      continue
    (name,) = source.find(path, filling.File('none', {})).names
    values = 0.05 * rng.standard_normal(leaf.shape).astype(np.float32)
    if len(leaf.shape) == 4:
      values = values.transpose(3, 2, 0, 1)
    drawn[name] = np.abs(values) if name.endswith('var') else values
    if name.endswith('var'):
      counter = name.replace('running_var', 'num_batches_tracked')
      drawn[counter] = np.array(3)
  drawn['fc.weight'] = np.zeros((1000, 512), np.float32)
  drawn['fc.bias'] = np.zeros(1000, np.float32)
  return drawn


@pytest.fixture(scope='module')
def weights(tensors, tmp_path_factory):
  path = tmp_path_factory.mktemp('weights') / 'resnet18.safetensors'
  contiguous = {k: np.ascontiguousarray(v) for k, v in tensors.items()}
  safetensors.numpy.save_file(contiguous, path)
  return path


@pytest.fixture(scope='module')
def converted(weights, tmp_path_factory):
  """(folder, report) of the weights in the demo's network."""
  output = tmp_path_factory.mktemp('converted') / 'r18'
  return output, convert.convert(config(), 'torchvision', weights, output)


def test_every_array_arrives(converted, tensors):
  output, _ = converted
  _, info, variables, step = workdir_lib.load_run(output)
  assert step == 0 and info.num_classes == 19
  fresh = models.initialize(models.build(19, **config().model.to_dict()), 0)
  fresh = flat(fresh)
  for path, leaf in flat(variables).items():
    if '/encoder/' not in path:
      np.testing.assert_array_equal(leaf, fresh[path])
      continue
    (name,) = source.find(path, filling.File('none', {})).names
    expected = tensors[name]
    if expected.ndim == 4:
      expected = expected.transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(leaf, expected)


def test_the_report_names_every_tensor(converted, tensors):
  output, report = converted
  words = (output / 'conversion.txt').read_text()
  for name in tensors:
    assert name in words
  assert {name for name, _ in report.left_out} == {
    n for n in tensors if n.startswith('fc.') or n.endswith('tracked')
  }
  kernels = [t for t in report.taken if t[0].endswith('kernel')]
  assert kernels and all(change == 'OIHW to HWIO' for *_, change in kernels)
  parts = {path.split('/')[1] for path, _ in report.missing}
  assert parts == {'head', 'decoder', 'logits'}
  assert 'the file has no decoder' in report.summary()


def test_other_commands_take_it(converted, tmp_path, capsys):
  output, _ = converted
  (result,) = evaluate_run.evaluate_run(output, max_pictures=1)
  assert result.examples == 1
  picture = tmp_path / 'picture.png'
  Image.fromarray(np.zeros((40, 56, 3), np.uint8)).save(picture)
  assert predict.predict_run(output, [str(picture)], tmp_path / 'out').written
  fine = config()
  fine.init_from = str(output)
  fine.init_strict = True
  scalars = train.train_and_evaluate(fine, tmp_path / 'run')
  assert np.isfinite(scalars['val/loss'])


def test_statistics_may_be_frozen(weights, tmp_path):
  """Nothing is trained here: there is no start to be refused."""
  output = tmp_path / 'frozen'
  convert.convert(config(freeze_bn=True), 'torchvision', weights, output)
  assert evaluate_run.evaluate_run(output, max_pictures=1)


def test_training_does_not_go_on_in_it(converted):
  with pytest.raises(RunError, match=r'--config\.init_from='):
    train.train_and_evaluate(config(), converted[0])


def test_it_is_not_written_over(converted, weights):
  with pytest.raises(RunError, match='holds checkpoints already'):
    convert.convert(config(), 'torchvision', weights, converted[0])


def refuse(
  message, tensors, tmp_path, changes=None, error=WeightsError, **model
):
  """Converting fails with that message and leaves nothing."""
  path = tmp_path / 'weights.safetensors'
  changed = {**tensors, **(changes or {})}
  safetensors.numpy.save_file(
    {k: np.ascontiguousarray(v) for k, v in changed.items() if v is not None},
    path,
  )
  with pytest.raises(error, match=message):
    convert.convert(config(**model), 'torchvision', path, tmp_path / 'out')
  assert not (tmp_path / 'out').exists()


def test_another_depth(tensors, tmp_path):
  refuse('another architecture or width', tensors, tmp_path, variant='50')
  refuse(r'has no .*stage2/unit3/.*layer1\.2', tensors, tmp_path, variant='34')


def test_another_encoder(tensors, tmp_path):
  keys = dict(encoder='xception', variant='41')
  refuse('nothing for the network', tensors, tmp_path, **keys)


def test_a_missing_tensor(tensors, tmp_path):
  name = 'layer3.1.bn2.running_var'
  message = r'stage4/unit2/bn2/var \(as layer3\.1\.bn2\.running_var\)'
  refuse(message, tensors, tmp_path, {name: None})


def test_an_unexplained_tensor(tensors, tmp_path):
  extra = {'layer5.0.conv1.weight': np.zeros((3, 3))}
  refuse(r'no place for: layer5\.0\.conv1\.weight', tensors, tmp_path, extra)


def test_another_width(tensors, tmp_path):
  changes = {'layer2.0.conv1.weight': np.zeros((96, 64, 3, 3), np.float32)}
  message = (
    r'layer2\.0\.conv1\.weight of shape \(96, 64, 3, 3\).*\(3, 3, 64, 128\)'
  )
  refuse(message, tensors, tmp_path, changes)


def test_numbers_that_are_not_finite(tensors, tmp_path):
  changes = {'bn1.bias': np.full(64, np.nan, np.float32)}
  refuse(r'bn1\.bias holds .* not finite', tensors, tmp_path, changes)


def test_a_bad_config(tensors, tmp_path):
  refuse('`dropout`|dropout', tensors, tmp_path, error=ConfigError, dropout=2.0)


def test_a_class_count_differs(tensors):
  """The last layer starts afresh only when that was asked for."""
  variables = {
    'params': {'logits': {'kernel': np.zeros((1, 1, 4, 19), np.float32)}},
    'batch_stats': {},
  }

  def find(path, file):
    del path, file
    return filling.Found(('w',), np.asarray)

  file = filling.File('some.pth', {'w': np.ones((1, 1, 4, 21), np.float32)})
  with pytest.raises(WeightsError, match=r'21 there, 19 here.*--reinit_logits'):
    filling.fill(file, variables, find)
  found, report = filling.fill(
    filling.File('some.pth', {**file.tensors}),
    {
      'params': {
        **variables['params'],
        'head': {'kernel': np.zeros((1, 1, 4, 21), np.float32)},
      },
      'batch_stats': {},
    },
    find,
    reinit_logits=True,
  )
  assert not found['params']['logits']['kernel'].any()
  assert found['params']['head']['kernel'].all()
  assert 'as asked for' in str(report)


def test_command(weights, tmp_path):
  def run(*words):
    return subprocess.run(
      [sys.executable, str(ROOT / 'launch' / 'convert.py'), *words],
      cwd=ROOT,
      env={**os.environ, 'XLA_FLAGS': ''},
      capture_output=True,
      text=True,
      check=False,
    )

  words = ['--source=torchvision', '--config=configs/demo.py:smoke']
  done = run(f'--weights={weights}', f'--output={tmp_path}/a', *words)
  assert done.returncode == 0, done.stderr
  assert '100 arrays taken' in done.stdout
  words.append(f'--output={tmp_path}/b')
  missing = run(f'--weights={tmp_path}/none.pth', *words)
  assert missing.returncode == 1
  assert 'none.pth' in missing.stderr and 'Traceback' not in missing.stderr
  unknown = run(*words, f'--weights={weights}', '--source=caffe')
  assert unknown.returncode == 1
  assert "no source 'caffe'" in unknown.stderr
