"""Which lowering is taken: the table's, or else the rule's."""

import json

import jax
import numpy as np
import pytest

from deeplax.ops import conv
from deeplax.ops.lowerings import choice
from deeplax.ops.lowerings.window import Window

ROW = dict(
  backend='gpu',
  kind='dense',
  stride=1,
  rate=2,
  channels=64,
  map=32,
  train=True,
  lowering='shifted',
)


def window(**keys):
  given = dict(
    size=(3, 3),
    stride=1,
    rate=1,
    groups=1,
    inputs=32,
    outputs=8,
    rows=(1, 1),
    columns=(1, 1),
  )
  return Window(**{**given, **keys})


def write(path, *rows):
  file = path / 'table.json'
  file.write_text(json.dumps({'rows': rows}))
  return file


@pytest.mark.parametrize(
  'platform, keys, expected',
  [
    ('cpu', dict(size=(1, 1)), 'point'),
    ('gpu', dict(size=(1, 1)), 'point'),
    ('cpu', dict(groups=8, inputs=8), 'depthwise_cpu'),
    ('gpu', dict(groups=8, inputs=8), 'xla'),
    ('gpu', dict(groups=8, inputs=8, rate=2), 'depthwise_shifted'),
    ('tpu', dict(groups=8, inputs=8, rate=2), 'depthwise_shifted'),
    ('gpu', dict(rate=2), 'space_to_batch'),
    ('gpu', dict(rate=12), 'xla'),
    ('gpu', dict(rate=2, stride=2), 'xla'),
    ('cpu', dict(rate=2), 'dense_cpu'),
    ('tpu', dict(rate=2), 'xla'),
    ('gpu', dict(), 'xla'),
  ],
)
def test_rule(platform, keys, expected):
  assert (
    choice.choose(window(**keys), 9, 9, rows={}, backends=('x', platform))
    == expected
  )


@pytest.mark.parametrize(
  'keys, size, train, expected',
  [
    ({}, (16, 16), True, 'winograd'),
    ({}, (16, 16), False, 'dense_cpu'),
    (dict(inputs=128, outputs=128), (16, 16), False, 'winograd'),
    (dict(outputs=16), (16, 16), True, 'dense_cpu'),  # too few channels
    ({}, (8, 8), True, 'dense_cpu'),  # too few pixels
    (dict(outputs=512), (256, 256), True, 'dense_cpu'),  # too many
    (dict(stride=2), (16, 16), True, 'dense_cpu'),
    (dict(size=(5, 5)), (16, 16), True, 'dense_cpu'),
    (dict(rate=6), (16, 16), True, 'dense_cpu'),  # 24 x 24 would be computed
    (dict(rate=6), (24, 24), True, 'winograd'),
  ],
)
def test_the_rule_for_winograd(keys, size, train, expected):
  rate = (keys.get('rate', 1),) * 2
  keys = dict(dict(inputs=64, outputs=64, rows=rate, columns=rate), **keys)
  for backend, name in (('cpu', expected), ('tpu', 'xla')):
    options = dict(train=train, rows={}, backends=(backend, backend))
    assert choice.choose(window(**keys), *size, **options) == name


def test_table_goes_before_the_rule(tmp_path):
  rows = choice.read(write(tmp_path, ROW))

  def chosen(height=20, train=True, device='H100', platform='gpu', **keys):
    return choice.choose(
      window(**{'rate': 2, **keys}),
      height,
      20,
      train=train,
      rows=rows,
      backends=(device, platform),
    )

  assert chosen() == chosen(inputs=17) == chosen(inputs=64) == 'shifted'
  assert chosen(height=50) == 'shifted'  # the root of 20 * 50 is below 32
  for other in (
    dict(height=200),
    dict(train=False),
    dict(inputs=65),
    dict(inputs=16),
    dict(rate=3),
  ):
    assert chosen(**other) == 'space_to_batch', other
  assert chosen(platform='cpu') == 'dense_cpu'
  # The kind of device goes before the platform.
  folder = tmp_path / 'devices'
  folder.mkdir()
  other = dict(ROW, backend='H100', lowering='im2col')
  rows = choice.read(write(folder, ROW, other))
  assert chosen() == 'im2col' and chosen(device='A100') == 'shifted'


def test_a_row_that_does_not_apply_is_passed_over(tmp_path):
  row = dict(ROW, rate=16, lowering='space_to_batch')
  rows = choice.read(write(tmp_path, row))
  assert (
    choice.choose(
      window(rate=12), 20, 20, train=True, rows=rows, backends=('gpu', 'gpu')
    )
    == 'xla'
  )


@pytest.mark.parametrize(
  'text, words',
  [
    ('{', 'is not JSON'),
    ('[]', 'of the form'),
    (json.dumps({'rows': [dict(ROW, lowering='fast')]}), 'one of.*shifted'),
    (json.dumps({'rows': [dict(ROW, rate=3)]}), "'rate'.*1, 2, 4"),
    (json.dumps({'rows': [dict(ROW, train=1)]}), "'train'.*bool"),
    (json.dumps({'rows': [dict(ROW, kind=None)]}), "'kind'.*str"),
    (json.dumps({'rows': [ROW, ROW]}), 'row 1.*already'),
    (json.dumps({'rows': [7]}), 'row 0'),
  ],
)
def test_malformed_table_is_named(tmp_path, text, words):
  file = tmp_path / 'broken.json'
  file.write_text(text)
  with pytest.raises(ValueError, match=f'broken.json.*{words}'):
    choice.read(file)


def test_the_table_that_is_shipped_is_good():
  rows = choice.read()
  assert len(rows) == len(choice.load())
  assert all(name in choice.CHOICES[s.kind] for (_, s), name in rows.items())


def test_auto_takes_what_was_chosen(monkeypatch):
  seen = []

  def choose(window, height, width, *, train):
    seen.append((window.kind, height, width, train))
    return 'shifted'

  monkeypatch.setattr(choice, 'choose', choose)
  x, kernel = (
    np.zeros((1, 8, 6, 2), np.float32),
    np.zeros((3, 3, 2, 2), np.float32),
  )
  text = str(
    jax.make_jaxpr(lambda x, k: conv.conv(x, k, train=True))(x, kernel)
  )
  assert seen == [('dense', 8, 6, True)]
  assert 'dot_general' in text and 'conv_general' not in text
