"""Files that would run code if they were unpickled: nothing of it runs."""

import io
import os
import pathlib
import pickle
import re
import zipfile

import numpy as np
import pytest

from deeplax import data, pretrained
from deeplax.data import DataError, files
from deeplax.data.datasets import memmap
from deeplax.errors import WeightsError
from tests.fuzz import readers
from tests.fuzz.seeds import ROOT


class Harm:
  """Makes a folder when it is unpickled."""

  def __init__(self, path: pathlib.Path):
    self.path = str(path)

  def __reduce__(self):
    return os.mkdir, (self.path,)


def harmful(form: str, mark: pathlib.Path) -> bytes:
  stream = io.BytesIO()
  if form.startswith('pickle'):
    pickle.dump({'state_dict': Harm(mark)}, stream, int(form[-1]))
  elif form == 'zip':
    with zipfile.ZipFile(stream, 'w') as archive:
      archive.writestr('archive/data.pkl', pickle.dumps(Harm(mark), 2))
      archive.writestr('archive/version', '3\n')
  elif form == 'torch':
    torch = pytest.importorskip('torch')
    torch.save({'a': torch.ones(2), 'b': Harm(mark)}, stream)
  elif form == 'torch, old':
    torch = pytest.importorskip('torch')
    torch.save(Harm(mark), stream, _use_new_zipfile_serialization=False)
  elif form == 'npy':
    np.save(stream, np.array([Harm(mark)], object), allow_pickle=True)
  elif form == 'npz':
    np.savez(stream, a=np.array([Harm(mark)], object))
  elif form == 'h5':
    h5py = pytest.importorskip('h5py')
    with h5py.File(stream, 'w') as h5:
      code = np.frombuffer(pickle.dumps(Harm(mark)), np.uint8)
      h5['layer/layer/kernel:0'] = np.void(code.tobytes())
      h5.attrs['model_config'] = np.void(pickle.dumps(Harm(mark)))
  return stream.getvalue()


FORMS = ('pickle2', 'pickle4', 'zip', 'torch', 'torch, old', 'npy', 'npz', 'h5')
SUFFIXES = {'torchvision': '.pth', 'keras': '.h5', 'tflite': '.tflite'}


def test_the_harm_is_real(tmp_path):
  pickle.loads(harmful('pickle2', tmp_path / 'mark'))
  assert (tmp_path / 'mark').is_dir()


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('source', pretrained.sources())
def test_weights(form, source, tmp_path):
  if source == 'tf_deeplab':
    pytest.importorskip('tensorflow')
  mark = tmp_path / 'mark'
  content = harmful(form, mark)
  for suffix in {SUFFIXES.get(source, '.pth'), '.safetensors', '.keras'}:
    path = tmp_path / f'x{suffix}'
    path.write_bytes(content)
    with pytest.raises(WeightsError) as error:
      pretrained.read(source, path)
    assert 'x' in str(error.value)
    assert 'weights_only' not in str(error.value)  # no advice to do it anyway
  assert not mark.exists()


@pytest.mark.parametrize('form', ['npy', 'npz', 'pickle2', 'pickle4'])
@pytest.mark.parametrize('name', ['index.npy', 'ids.json', 'info.json'])
def test_memory_maps(form, name, tmp_path):
  mark = tmp_path / 'mark'
  readers.memory_map(tmp_path)
  path = tmp_path / 'train' / name
  path.write_bytes(harmful(form, mark))
  readers.correct_digests(tmp_path, f'train/{name}')
  with pytest.raises(DataError, match=re.escape(name)):
    data.source('memmap', 'train', tmp_path)
  assert not mark.exists()


@pytest.mark.parametrize(
  'form', [f for f in FORMS if f not in ('torch', 'torch, old', 'h5')]
)
def test_pictures(form, tmp_path):
  mark = tmp_path / 'mark'
  path = tmp_path / 'x.png'
  path.write_bytes(harmful(form, mark))
  with pytest.raises(DataError, match='not a picture'):
    files.read_image(path)
  assert not mark.exists()


def test_an_index_that_claims_more_than_it_holds(tmp_path):
  readers.memory_map(tmp_path)
  stream = io.BytesIO()
  head = {'descr': '<i8', 'fortran_order': False, 'shape': (2**40, 3)}
  np.lib.format.write_array_header_1_0(stream, head)
  path = tmp_path / 'train' / memmap.INDEX_FILE
  path.write_bytes(stream.getvalue())
  readers.correct_digests(tmp_path, f'train/{memmap.INDEX_FILE}')
  with pytest.raises(DataError, match=r'0 bytes for \[1099511627776, 3\]'):
    data.source('memmap', 'train', tmp_path)


def test_who_unpickles():
  """Whoever adds one of these has this file to answer to."""
  risky = re.compile(
    r'\bpickle\.(load|loads|Unpickler)|\bnp\.load\(|allow_pickle|\bmarshal\b'
    r'|\bshelve\b|joblib|yaml\.load|(?<!\.)\beval\(|\bexec\(|os\.system|shell=True'
    r'|weights_only=False|torch\.load\('
  )
  found = [
    f'{path.relative_to(ROOT)}: {line.strip()}'
    for folder in ('deeplax', 'launch')
    for path in sorted((ROOT / folder).rglob('*.py'))
    for line in path.read_text().splitlines()
    if risky.search(line)
  ]
  known = [
    'deeplax/data/collate.py: return type(pickle.loads(pickle.dumps(error)))'
    ' is type(error)',  # an error of our own, on its way from a worker
    "deeplax/pretrained/pytorch.py: tree = torch.load(file, map_location='cpu',"
    ' weights_only=True)',
  ]
  assert found == known
