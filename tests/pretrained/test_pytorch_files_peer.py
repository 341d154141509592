"""Files of `torch.save`, read by PyTorch: wrapped, damaged, with code."""

import argparse
import pathlib
import pickle
import zipfile

import jax
import numpy as np
import pytest

from deeplax import pretrained
from deeplax.errors import WeightsError
from tests.models import torch_weights
from tests.pretrained import resnets

torch = pytest.importorskip('torch')

pytestmark = pytest.mark.peer


@pytest.fixture(scope='module')
def state():
  return {n: torch.from_numpy(x) for n, x in resnets.tensors('18').items()}


def convert(path):
  return resnets.fill(path, resnets.keys('18'))


@pytest.mark.parametrize(
  'wrap',
  [
    lambda s: s,
    lambda s: {'state_dict': s, 'epoch': 3, 'lr': [0.1]},
    lambda s: {'model': {'model_state_dict': s}},
    lambda s: {'state_dict': {f'module.{n}': x for n, x in s.items()}},
    lambda s: {  # torch.optim.swa_utils.AveragedModel
      'n_averaged': torch.tensor(3),
      **{f'module.{n}': x for n, x in s.items()},
    },
    lambda s: {  # the training scripts of torchvision and timm
      'model': s,
      'model_ema': s,
      'args': argparse.Namespace(lr=0.1, device=torch.device('cpu')),
    },
    lambda s: {  # Lightning
      'epoch': 3,
      'pytorch-lightning_version': '2.5.0',
      'state_dict': {f'model.{n}': x for n, x in s.items()},
      'loops': {'fit_loop': {'epoch_progress': {'total': {'ready': 1}}}},
      'callbacks': {'ModelCheckpoint': {'best_model_score': torch.ones(())}},
      'optimizer_states': [{'state': {0: {'exp_avg': torch.ones(3)}}}],
      'hyper_parameters': {'lr': 0.1},
    },
    lambda s: {
      n: torch.nn.Parameter(x, x.is_floating_point()) for n, x in s.items()
    },
  ],
  ids=[
    'plain',
    'state_dict',
    'twice',
    'module',
    'averaged',
    'script',
    'lightning',
    'parameters',
  ],
)
@pytest.mark.parametrize('zipped', [True, False])
def test_wrapped(wrap, zipped, state, tmp_path):
  path = tmp_path / 'w.pth'
  torch.save(wrap(state), path, _use_new_zipfile_serialization=zipped)
  _, report = convert(path)
  assert not report.missing


def test_another_suffix(state, tmp_path):
  path = tmp_path / 'w.safetensors'
  torch.save(state, path)
  assert not convert(path)[1].missing


@pytest.mark.parametrize(
  'view',
  [
    lambda x: torch.stack([x, -x], -1)[..., 0],
    lambda x: (
      x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x
    ),
  ],
  ids=['every other', 'channels last'],
)
def test_strides_of_memory_do_not_matter(view, state, tmp_path):
  drawn = {
    n: torch.from_numpy(torch_weights.draw(n, tuple(x.shape), 0)).float()
    for n, x in state.items()
    if x.is_floating_point()
  }
  path = tmp_path / 'w.pth'
  torch.save(drawn, path)
  expected, _ = convert(path)
  viewed = {n: view(x) for n, x in drawn.items()}
  assert not all(x.is_contiguous() for x in viewed.values())
  torch.save(viewed, path)
  jax.tree.map(np.testing.assert_array_equal, convert(path)[0], expected)


@pytest.mark.parametrize(
  'dtype', [torch.float16, torch.bfloat16, torch.float64]
)
def test_other_floats(dtype, state, tmp_path):
  path = tmp_path / 'w.pth'
  bias = torch.tensor([1.5, -2] * 32, dtype=dtype)
  torch.save({**state, 'bn1.bias': bias}, path)
  variables, _ = convert(path)
  found = variables['params']['encoder']['stage1']['bn1']['bias']
  assert found.dtype == np.float32
  np.testing.assert_array_equal(found, [1.5, -2] * 32)


@pytest.mark.parametrize(
  'tensor',
  [
    torch.quantize_per_tensor(torch.ones(64), 0.1, 0, torch.qint8),
    torch.ones(64).to_sparse(),
    torch.ones(64).int(),
    torch.ones(64, device='meta'),
  ],
  ids=['quantised', 'sparse', 'int', 'meta'],
)
def test_not_plain_floats(tensor, state, tmp_path):
  path = tmp_path / 'w.pth'
  torch.save({**state, 'bn1.bias': tensor}, path)
  with pytest.raises(WeightsError, match=r'bn1\.bias.*quantised'):
    convert(path)


class Code:
  """Unpickled, it writes a file: what a weights file must never do."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return pathlib.Path.touch, (pathlib.Path(self.path),)


@pytest.mark.parametrize('zipped', [True, False, None])
def test_code_is_not_executed(zipped, state, tmp_path):
  path, trace = tmp_path / 'w.pth', tmp_path / 'executed'
  content = {**state, 'evil': Code(trace)}
  if zipped is None:
    path.write_bytes(pickle.dumps({'evil': Code(trace)}))
  else:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
  with pytest.raises(WeightsError, match='more than weights') as error:
    convert(path)
  assert 'weights_only' not in str(error.value)  # no advice to be careless
  assert not trace.exists()
  if zipped is None:
    pickle.loads(path.read_bytes())  # the file would do it
    assert trace.exists()


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('part', [0, 0.001, 0.3, 0.999])
def test_a_truncated_file(part, zipped, state, tmp_path):
  path = tmp_path / 'w.pth'
  torch.save(state, path, _use_new_zipfile_serialization=zipped)
  content = path.read_bytes()
  path.write_bytes(content[: int(part * len(content))])
  with pytest.raises(WeightsError, match='cut short'):
    convert(path)


@pytest.mark.parametrize('seed', range(20))
def test_flipped_bytes_end_in_no_traceback(seed, tmp_path):
  """In the pickle, where they do harm: read, or refused by name."""
  path = tmp_path / 'w.pth'
  small = {'conv1.weight': torch.ones(2, 3), 'bn1.bias': torch.ones(4)}
  torch.save(small, path, _use_new_zipfile_serialization=False)
  content = bytearray(path.read_bytes())
  rng = np.random.default_rng(seed)
  for at in rng.integers(0, len(content), 3):
    content[at] = rng.integers(256)
  path.write_bytes(content)
  try:
    pretrained.read('torchvision', path)
  except WeightsError as error:
    assert 'w.pth' in str(error)


@pytest.mark.parametrize(
  'content, words',
  [
    ([1, 2], 'holds a list'),
    (torch.ones(3), 'holds a Tensor'),
    ({'net': {'a': torch.ones(3)}, 'epoch': 1}, 'no tensors, but net, epoch'),
    ({}, 'no tensors, but nothing'),
  ],
)
def test_something_else(content, words, tmp_path):
  path = tmp_path / 'w.pth'
  torch.save(content, path)
  with pytest.raises(WeightsError, match=words):
    convert(path)


def test_a_whole_module(tmp_path):
  path = tmp_path / 'w.pth'
  torch.save(torch.nn.Linear(2, 3), path)
  with pytest.raises(WeightsError, match='more than weights'):
    convert(path)


def test_another_zip_file(tmp_path):
  path = tmp_path / 'w.pth'
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('readme.txt', 'hello')
  with pytest.raises(WeightsError, match='holds no weights'):
    convert(path)
