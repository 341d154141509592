"""Files of PyTorch's networks that are damaged, wrong or unusual."""

import json
import pickle
import struct
import sys

import numpy as np
import pytest
import safetensors.numpy

from deeplax import pretrained
from deeplax.errors import WeightsError
from tests.pretrained import resnets
from tests.pretrained.resnets import fill

SOURCES = ('torchvision', 'timm', 'smp')
# Takes the encoder alone of a classifier.
DEEPLAB = dict(head_channels=8, decoder_channels=8)


@pytest.fixture(scope='module')
def files(tmp_path_factory):
  """Depth -> path of a file with three classes."""
  folder = tmp_path_factory.mktemp('files')
  return {
    depth: resnets.save(folder / f'r{depth}.safetensors', depth)
    for depth in ('18', '34', '50', '101')
  }


def test_all_of_a_file_is_accounted_for(files):
  _, report = fill(files['18'], resnets.keys('18'))
  assert len(report.taken) == 62 + 40  # torchvision's parameters, statistics
  assert {n.split('.')[-1] for n, _ in report.left_out} == {
    'num_batches_tracked'
  }
  assert len(report.left_out) == 20
  assert not report.missing


def test_the_classifier_is_left_out_of_a_segmentation(files):
  _, report = fill(files['18'], dict(variant='18', **DEEPLAB))
  left_out = dict(report.left_out)
  assert 'classifier' in left_out['fc.weight']
  assert 'classifier' in left_out['fc.bias']
  missing = {path.split('/')[1] for path, _ in report.missing}
  assert missing == {'head', 'decoder', 'logits'}


@pytest.mark.parametrize('source', ['torchvision', 'timm'])
@pytest.mark.parametrize(
  'there, here, words',
  [
    ('50', '101', r'params/encoder/stage4/unit\d+.*other architecture|no '),
    ('101', '50', r'layer3\.\d+\..*\(\d+'),
    ('18', '50', r'layer\d.* of shape|another architecture'),
    ('50', '18', r'layer\d.* of shape|another architecture'),
    ('34', '18', r'layer1\.2\.bn1\.bias \(64,\)'),
    ('18', '34', r'stage2/unit3/.* \(as layer1\.2\.'),
    ('50', '50_v1c', 'stage1|conv1'),
  ],
)
def test_another_depth(there, here, words, source, files):
  with pytest.raises(WeightsError, match=words):
    fill(files[there], dict(variant=here, **DEEPLAB), source)
  match = rf'variant is {there} there and {here} here.*variant={there}$'
  with pytest.raises(WeightsError, match=match):
    fill(files[there], resnets.keys(here), source)


@pytest.mark.parametrize(
  'keys, source',
  [
    (dict(encoder='xception', variant='41'), 'timm'),
    (dict(encoder='vgg', variant='16'), 'torchvision'),
    (dict(encoder='mobilenet_v2', variant='1.0_1280'), 'torchvision'),
    (dict(variant='18'), 'smp'),
  ],
)
def test_another_encoder(keys, source, files):
  with pytest.raises(WeightsError) as error:
    fill(files['18'], DEEPLAB | keys, source)
  message = str(error.value)
  assert 'r18.safetensors' in message
  assert 'bn1.bias' in message
  assert 'classes' not in message  # these are the same


def test_another_class_count(files):
  keys = resnets.keys('18')
  with pytest.raises(WeightsError, match=r'fc.*3 there, 4 here.*--reinit'):
    fill(files['18'], keys, classes=4)
  variables, report = fill(files['18'], keys, classes=4, reinit_logits=True)
  assert variables['params']['logits']['kernel'].shape == (1, 1, 512, 4)
  assert dict(report.missing).keys() == {
    'params/logits/kernel',
    'params/logits/bias',
  }
  assert 'as asked for' in dict(report.missing)['params/logits/bias']


@pytest.mark.parametrize(
  'changes, words',
  [
    ({'layer1.0.conv1.weight': None}, r'stage2/unit1/conv1/kernel \(as layer1'),
    ({'layer1.0.bn1.running_var': None}, 'stage2/unit1/bn1/var'),
    ({'extra.weight': np.zeros((2, 3))}, r'extra\.weight \(2, 3\)'),
    ({'conv1.weight': np.zeros((64, 1, 7, 7))}, r'conv1\.weight.*\(64, 1, 7'),
    ({'bn1.bias': np.full(64, np.nan)}, r'bn1\.bias.*not finite'),
    ({'bn1.bias': np.zeros(64, np.int8)}, r'bn1\.bias.*int8'),
    ({'bn1.bias': np.zeros(64, np.complex64)}, r'bn1\.bias.*complex'),
    ({'conv1.weight': np.zeros(9408)}, r'conv1\.weight.*\(9408,\)'),
    ({'module.bn1.bias': np.zeros(64)}, r'bn1\.bias twice'),
    ({'layer3.0.conv1.weight': None}, r'layer3\.0\.conv1\.weight'),
  ],
  ids=lambda x: '' if isinstance(x, dict) else x,
)
def test_a_wrong_tensor(changes, words, tmp_path):
  path = resnets.save(tmp_path / 'w.safetensors', **changes)
  with pytest.raises(WeightsError, match=words):
    fill(path, resnets.keys('18'))


@pytest.mark.parametrize('prefix', ['module.', 'model.', '_orig_mod.module.'])
def test_wrapped_names(prefix, tmp_path):
  path = tmp_path / 'w.safetensors'
  wrapped = {f'{prefix}{n}': x for n, x in resnets.tensors('18').items()}
  safetensors.numpy.save_file(wrapped, path)
  _, report = fill(path, resnets.keys('18'))
  assert not report.missing


@pytest.mark.parametrize('dtype', ['F16', 'BF16', 'F64'])
def test_other_floats(dtype, tmp_path):
  """1.5 and -2 are the same in all; bytes are written by hand."""
  raw = {
    'F16': struct.pack('<ee', 1.5, -2),
    'BF16': struct.pack('<ff', 1.5, -2)[2:4] + struct.pack('<f', -2)[2:4],
    'F64': struct.pack('<dd', 1.5, -2),
  }[dtype]
  path = tmp_path / 'w.safetensors'
  content = {
    n: x.astype(np.float32) if x.dtype.kind == 'f' else x
    for n, x in resnets.tensors('18').items()
  }
  bias = content.pop('bn1.bias')
  safetensors.numpy.save_file(content, path)
  _append(path, 'bn1.bias', dtype, raw * (bias.size // 2))
  variables, _ = fill(path, resnets.keys('18'))
  found = variables['params']['encoder']['stage1']['bn1']['bias']
  assert found.dtype == np.float32
  np.testing.assert_array_equal(found, [1.5, -2] * 32)


def _append(path, name, dtype, raw, shape=(64,)):
  """Adds a tensor to a .safetensors file: a header in JSON, then bytes."""
  content = path.read_bytes()
  (length,) = struct.unpack('<Q', content[:8])
  header = json.loads(content[8 : 8 + length])
  data = content[8 + length :]
  header[name] = dict(
    dtype=dtype,
    shape=list(shape),
    data_offsets=[len(data), len(data) + len(raw)],
  )
  header = json.dumps(header).encode()
  path.write_bytes(struct.pack('<Q', len(header)) + header + data + raw)


@pytest.mark.parametrize('name', ['loss.weight', 'criterion.ce.weight'])
def test_a_loss_beside_is_left_out(name, tmp_path):
  """Lightning's modules have it; weights of classes, as a rule."""
  path = resnets.save(tmp_path / 'w.safetensors', **{name: np.ones(3)})
  _, report = fill(path, resnets.keys('18'))
  assert 'loss' in dict(report.left_out)[name]


def test_a_file_of_another_suffix(files, tmp_path):
  path = tmp_path / 'pytorch_model.bin'
  path.write_bytes(files['18'].read_bytes())
  assert not fill(path, resnets.keys('18'))[1].missing


def test_eight_bit_floats(tmp_path):
  path = tmp_path / 'w.safetensors'
  safetensors.numpy.save_file({}, path)
  _append(path, 'a', 'F8_E4M3', bytes(64))
  with pytest.raises(WeightsError, match='numpy does not have'):
    pretrained.read('torchvision', path)


@pytest.mark.parametrize('source', SOURCES)
@pytest.mark.parametrize('length', [0, 7, 200, 5000, -1])
def test_a_truncated_file(source, length, files, tmp_path):
  path = tmp_path / 'w.safetensors'
  path.write_bytes(files['18'].read_bytes()[:length])
  with pytest.raises(WeightsError, match=r'no whole \.safetensors file'):
    pretrained.read(source, path)


@pytest.mark.parametrize('suffix', ['.safetensors', '.pth'])
def test_no_file(suffix, tmp_path):
  for path in (tmp_path / f'none{suffix}', tmp_path):
    with pytest.raises(WeightsError, match='no file'):
      pretrained.read('torchvision', path)


def test_an_empty_file_of_tensors(tmp_path):
  path = tmp_path / 'w.safetensors'
  safetensors.numpy.save_file({}, path)
  with pytest.raises(WeightsError, match='holds no tensor'):
    fill(path, resnets.keys('18'))


def test_without_pytorch(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'torch', None)  # import raises
  path = tmp_path / 'w.pth'
  path.write_bytes(pickle.dumps({}))
  with pytest.raises(WeightsError, match=r'pip install.*\.safetensors'):
    pretrained.read('torchvision', path)
