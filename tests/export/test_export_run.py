"""Runs are exported, and what comes out is what deeplax says, or refused.

Each format is loaded by its own runtime, in `export_run` itself.
"""

import functools
import importlib.util
import json
import logging
import os
import pathlib
import subprocess
import sys
import types

import numpy as np
import pytest
from PIL import Image

from deeplax import atomic, checkpoint, checksums
from deeplax import workdir as workdir_lib
from deeplax.errors import RunError
from deeplax.export import card, folder, formats, program, run
from deeplax.export.formats import stablehlo
from deeplax.export.run import export_run
from tests.export.small_run import INFO, NAME, config, picture, variables

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIZE = (41, 75)


def make_run(workdir, of):
  workdir_lib.prepare(workdir, of, INFO)
  checkpoint.save_variables(workdir / 'checkpoints', variables(of))
  return workdir


@pytest.fixture(scope='module')
def resized(tmp_path_factory):
  """Corners aligned, resized inside, with a void class; evaluated once."""
  of = config(
    void_class=True, evaluation='resize_image(33, 49)', align_corners=True
  )
  workdir = make_run(tmp_path_factory.mktemp('resized'), of)
  line = {'step': 0, 'val/miou': 0.25, 'train/loss': 1.0}
  other = {'step': 8, 'val/miou': 0.5}
  text = '\n'.join([json.dumps(line), json.dumps(other), '{"torn'])
  (workdir / 'metrics.jsonl').write_text(text)
  found = {'step': 0, 'scalars': {'val/miou': 0.125}, 'confusion': [[1]]}
  (workdir / 'evaluation').mkdir()
  atomic.write_json(workdir / 'evaluation' / 'val-0-os16.json', found)
  return workdir


@pytest.fixture(scope='module')
def padded(tmp_path_factory):
  """Padded inside, with a CRF behind it; in bfloat16."""
  of = config(
    evaluation='pad_to_multiple(32)',
    dtype='bfloat16',
    padding='same',
  )
  of.crf.use = True
  return make_run(tmp_path_factory.mktemp('padded'), of)


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
  """Three, of other sizes than that of the export."""
  folder = tmp_path_factory.mktemp('pictures')
  for i, size in enumerate([(41, 75), (60, 64), (31, 90)]):
    Image.fromarray(picture(*size, seed=i)).save(folder / f'{i}.png')
  return folder


def available(form):
  try:
    formats.find(form)
  except RunError as error:
    pytest.skip(str(error))
  if form == 'onnx' and not importlib.util.find_spec('deeplax.export.onnx'):
    pytest.skip('no converter to ONNX')


@pytest.fixture(scope='module')
def exported(resized, pictures, tmp_path_factory):
  """A function of a format: its export, made once."""

  @functools.cache
  def export(form):
    return export_run(
      resized,
      form=form,
      size=SIZE,
      output=tmp_path_factory.mktemp(form),
      probs=True,
      dynamic_batch=formats.find(form).DYNAMIC_BATCH,
      pictures=[str(pictures)],
      max_pictures=2,
    )

  return export


@pytest.mark.parametrize('form', formats.available())
def test_each_format_says_what_deeplax_says(form, exported):
  available(form)
  module, made = formats.find(form), exported(form)
  found = made.card['verification']
  assert found['passed'] and found['equal'] >= 0.999 and found['pictures'] == 2
  assert found['pixels'] == 2 * 41 * 75 and not made.failed
  batch = '-batch' if module.DYNAMIC_BATCH else ''
  assert made.folder.name == f'{form}-41x75-probs{batch}'
  assert [*made.folder.parent.iterdir()] == [made.folder]
  assert not checksums.damage(made.folder)
  # No folder of this machine stands in it.
  for path in made.folder.rglob('*'):
    if path.is_file():
      content = path.read_bytes()
      for folder in (ROOT, made.folder.parent):
        assert str(folder).encode() not in content, path


def test_the_card(exported):
  made = exported('stablehlo')
  stored = json.loads((made.folder / card.JSON).read_text())
  assert stored == made.card
  assert stored['input']['shape'] == ['batch', 41, 75, 3]
  assert stored['outputs']['probs']['shape'] == ['batch', 41, 75, 20]
  assert stored['classes'][13]['name'] == 'car' and stored['step'] == 0
  assert stored['preprocessing']['resized_to'] == [33, 49]
  assert stored['preprocessing']['align_corners']
  assert stored['architecture']['encoder'] == 'mobilenet_v2'
  assert stored['training']['dataset']['name'] == NAME
  assert stored['limits'] == [] and stored['quantisation'] is None
  assert [e['scalars'] for e in stored['evaluations']] == [
    {'val/miou': 0.125},
    {'val/miou': 0.25},
  ]
  (file,) = stored['files']
  sums = (made.folder / checksums.FILE).read_text()
  assert f'{file["sha256"]}  model.stablehlo' in sums
  text = (made.folder / card.MARKDOWN).read_text()
  for words in (
    'resized to 33x49',
    '| 13 | car | 26 | 0, 0, 142 |',
    'of 2 pictures have the label',
    file['sha256'],
    '| val/miou | 0.1250 |',
  ):
    assert words in text, words


def test_the_file_alone(exported, pictures):
  """Labels of several classes, void among them: or equal would say little."""
  run = stablehlo.load(exported('stablehlo').folder / stablehlo.FILE)
  out = run(np.asarray(Image.open(pictures / '0.png'))[None])
  assert {255} < {*np.unique(out['labels'])}
  assert out['labels'].dtype == np.uint8
  assert out['probs'].shape == (1, *SIZE, 20)
  likeliest = out['probs'].argmax(-1)
  likeliest[likeliest == 19] = 255
  assert np.mean(likeliest == out['labels']) > 0.999


def test_evaluations_that_are_damaged(resized, tmp_path, caplog, monkeypatch):
  monkeypatch.setattr(logging.getLogger('deeplax'), 'propagate', True)
  assert len(card.evaluations(resized, 0)) == 2
  assert 'metrics.jsonl, line 3 is damaged' in caplog.text
  (tmp_path / 'evaluation').mkdir()
  (tmp_path / 'evaluation' / 'val-0-os8.json').write_text('{"step": 0}')
  with pytest.raises(RunError, match=r'val-0-os8\.json is not what'):
    card.evaluations(tmp_path, 0)


def test_the_same_bytes_each_time(tmp_path):
  of = config()
  weights = variables(of)
  content = []
  for name in 'ab':
    made = program.build(of, INFO, weights, SIZE)
    run.write(stablehlo, made, tmp_path / name, None)
    content.append((tmp_path / name).read_bytes())
  assert content[0] == content[1]
  assert str(ROOT).encode() not in content[0]


def test_8_bits_and_what_they_cost(padded, tmp_path):
  available('tflite')
  made = export_run(
    padded,
    form='tflite',
    size=SIZE,
    output=tmp_path,
    int8=True,
    max_pictures=2,
    calibration=3,
  )
  assert made.folder.name == 'tflite-41x75-int8'
  found = made.card['verification']
  assert found['pictures'] == 2 and 0.5 < found['equal'] < 1
  assert found['source'] == f'{NAME}, val'
  miou = found['miou']
  assert miou['deeplax'] > 0 and abs(miou['deeplax'] - miou['exported']) < 0.1
  assert made.card['quantisation'] == {
    'source': f'{NAME}, train',
    'pictures': 3,
  }
  assert f'mIoU {miou["deeplax"]:.4f} in float' in str(made)
  from ai_edge_litert.interpreter import Interpreter

  file = Interpreter(str(made.folder / 'model.tflite'))
  kinds = [d['dtype'] for d in file.get_tensor_details()]
  assert sum(kind == np.int8 for kind in kinds) > len(kinds) / 2
  # A CRF and bfloat16 are said to be missing.
  assert [w[:8] for w in made.card['limits']] == ['No CRF: ', 'In float']


def test_other_labels_are_refused(padded, pictures, tmp_path, monkeypatch):
  load = stablehlo.load

  def wrong(path):
    right = load(path)
    return lambda images: {'labels': (right(images)['labels'] + 1) % 19}

  options = dict(
    form='stablehlo',
    size=SIZE,
    output=tmp_path,
    pictures=[str(pictures / '1.png')],
  )
  good = export_run(padded, **options)
  before = (good.folder / card.JSON).read_bytes()
  monkeypatch.setattr(stablehlo, 'load', wrong)
  with pytest.raises(RunError, match=r'100\.000% of the pixels.*failed-'):
    export_run(padded, **options)
  # The good one stays; the bad one can't be taken for it.
  assert (good.folder / card.JSON).read_bytes() == before
  failed = tmp_path / 'failed-stablehlo-41x75'
  stored = json.loads((failed / card.JSON).read_text())
  assert not stored['verification']['passed']
  assert 'FAILED' in (failed / card.MARKDOWN).read_text()


@pytest.mark.parametrize('where', ['load', 'run'])
@pytest.mark.parametrize('error', [ZeroDivisionError, MemoryError])
def test_a_runtime_that_fails(where, error, tmp_path):
  def fail(_):
    raise error('no such operation\nand a page of places')

  load = fail if where == 'load' else lambda _: fail
  writer = types.SimpleNamespace(
    load=load, RUNTIME='module', NEEDS={'module': 'package'}
  )
  wanted = RunError if error is ZeroDivisionError else error
  with (
    pytest.raises(wanted, match='no such operation') as found,
    folder.unfinished(tmp_path / 'name') as part,
  ):
    (part / 'model').write_text('half of it')
    run.loaded(writer, part)(None)
  if wanted is RunError:
    assert 'package can not run' in str(found.value)
    assert 'page' not in str(found.value)
  assert not [*tmp_path.iterdir()]


def test_a_newer_export_takes_the_place_of_an_older_one(tmp_path):
  for content in 'ab':
    with folder.unfinished(tmp_path / 'name') as part:
      assert not [*part.iterdir()]
      (part / card.JSON).write_text(content)
      (part / content).touch()
      folder.publish(part, tmp_path / 'name')
  assert [p.name for p in tmp_path.iterdir()] == ['name']
  assert sorted(p.name for p in (tmp_path / 'name').iterdir()) == [
    'b',
    card.JSON,
  ]


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    (dict(form='tflite', dynamic_batch=True), 'takes one picture at once'),
    (dict(form='stablehlo', int8=True), 'choose --format=tflite'),
    (dict(form='coreml'), r'expected one of onnx, saved_model, stablehlo'),
    (dict(max_pictures=0), r'--max_pictures \(=0\)'),
    (dict(size=(0, 5)), '--size is 0x5'),
    (dict(step=7), 'no checkpoint 7'),
    (dict(output_stride=5), 'output_stride'),
    (dict(pictures=['nowhere']), 'there is no such file'),
  ],
)
def test_refusals(padded, tmp_path, options, message):
  if options.get('form') == 'tflite':
    available('tflite')
  with pytest.raises(RunError, match=message):
    export_run(
      padded,
      **{'form': 'stablehlo', 'size': SIZE, 'output': tmp_path, **options},
    )
  assert not [*tmp_path.iterdir()]


def test_a_runtime_that_is_missing(padded, monkeypatch):
  monkeypatch.setattr(stablehlo, 'NEEDS', {'no_such_module': 'some-package'})
  with pytest.raises(RunError, match=r'needs some-package, not installed'):
    export_run(padded, form='stablehlo', size=SIZE)


def test_nothing_else_is_overwritten(padded, pictures, tmp_path):
  (tmp_path / 'stablehlo-41x75').mkdir()
  with pytest.raises(RunError, match='and no export'):
    export_run(
      padded,
      form='stablehlo',
      size=SIZE,
      output=tmp_path,
      pictures=[str(pictures)],
    )


def test_data_that_is_elsewhere(padded, tmp_path):
  of = config()
  of.dataset.name, of.dataset.dir = 'cityscapes', str(tmp_path / 'nowhere')
  (tmp_path / 'run').mkdir()
  workdir_lib.prepare(tmp_path / 'run', of, INFO)
  os.symlink(padded / 'checkpoints', tmp_path / 'run' / 'checkpoints')
  with pytest.raises(RunError, match='--pictures'):
    export_run(tmp_path / 'run', form='stablehlo', size=SIZE)


def test_the_command(padded, pictures, tmp_path):
  (tmp_path / 'in').mkdir()
  os.symlink(pictures / '0.png', tmp_path / 'in' / 'a.png')
  (tmp_path / 'in' / 'torn.png').write_text('torn')

  done = subprocess.run(
    [
      *(sys.executable, str(ROOT / 'launch' / 'export.py')),
      *(f'--workdir={padded}', '--format=stablehlo', '--size=41x75'),
      *(f'--output={tmp_path}/out', f'--pictures={tmp_path}/in'),
    ],
    capture_output=True,
    text=True,
    env={**os.environ, 'JAX_PLATFORMS': 'cpu'},
    check=False,
  )
  # Done, and the picture that could not be used is said.
  assert done.returncode == 1, done.stderr
  assert '1 pictures could not be used' in done.stderr
  assert 'Traceback' not in done.stderr
  assert f'Written to {tmp_path}/out/stablehlo-41x75' in done.stdout
  assert 'of 1 pictures have the label that deeplax gives' in done.stdout
