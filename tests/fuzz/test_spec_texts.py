"""Texts of any kind: operations are parsed and never run, tables checked."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deeplax.data import class_table, json_text, ops
from deeplax.data.errors import DataError
from deeplax.data.info import DatasetInfo
from deeplax.data.spec import OpsError

NAMES = st.sampled_from(
  ['random_scale', 'random_crop', 'random_flip', 'photometric', 'resize',
   'class_crop', 'cutmix', 'paste_rare', 'resize_image', 'pad_to_multiple',
   'pad_aligned', 'exec', '__import__', 'ops.parse']
)  # fmt: skip
NUMBERS = st.one_of(
  st.integers(), st.floats(), st.booleans(), st.complex_numbers()
).map(str)
CALLS = st.builds(
  lambda name, values, keys: (
    f'{name}({", ".join(f"{k}={v}" if k else v for k, v in zip(keys, values))})'
  ),
  NAMES,
  st.lists(st.one_of(NUMBERS, st.text(max_size=5)), max_size=3),
  st.lists(
    st.sampled_from(['', 'h', 'w', 'lo', 'k', 'x', 'probability']), min_size=3
  ),
)
SPECS = st.one_of(
  st.text(),
  st.lists(CALLS, max_size=4).map('|'.join),
  st.from_regex(r'[-(|~a\[)]*'),
)


@settings(max_examples=300, deadline=None)
@given(SPECS)
@example('-' * 999 + '1')
@example('random_crop(' + '-' * 900 + '1, 2)')
@example('(' * 999)
@example('random_crop(0x' + 'f' * 900 + ', 1)')
@example('random_crop(' + '9' * 900 + ', 1)')
@example('random_flip()|' * 70 + 'random_flip()')
@example('random_crop({[]: 1}, 1)')
@example('\0')
@example('\ud800()')
@example('random_crop(*[1, 2])')
@example('random_crop(**{"h": 1})')
@example('[' * 2000)
def test_operations_are_parsed_or_refused(text):
  try:
    parsed = ops.parse(text)
  except OpsError as error:
    assert len(str(error)) < 5000
    return
  for op in parsed:
    assert all(type(value) in (int, float) for _, value in op.arguments)
    assert all(abs(value) <= 1e6 for _, value in op.arguments)
  again = '|'.join(map(str, parsed))
  assert ops.parse(again) == parsed


def test_nothing_in_a_specification_is_run(tmp_path):
  for text in (
    f'open({str(tmp_path / "x")!r}, "w")',
    f'random_crop(open({str(tmp_path / "x")!r}, "w"), 1)',
    f'random_crop(__import__("os").mkdir({str(tmp_path / "x")!r}), 1)',
    f'random_flip()|(lambda: open({str(tmp_path / "x")!r}, "w"))()',
  ):
    with pytest.raises(OpsError):
      ops.parse(text)
  assert not list(tmp_path.iterdir())


LEAVES = st.one_of(
  st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)
)
KEYS = [
  'names',
  'palette',
  'void_id',
  'categories',
  'void_name',
  'void_colour',
  'x',
]
TREES = st.recursive(
  LEAVES,
  lambda inner: st.one_of(
    st.lists(inner, max_size=5),
    st.dictionaries(
      st.sampled_from(KEYS),
      inner,
    ),
  ),
)
# Near enough to a table that some are.
TABLES = st.fixed_dictionaries(
  {'names': st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=4)},
  optional={
    'palette': st.lists(st.lists(st.integers(-1, 256), max_size=4), max_size=4),
    'void_id': st.one_of(st.integers(-1, 65537), st.lists(st.integers(-1, 9))),
    'categories': st.lists(st.text(max_size=4), max_size=4),
    'void_name': st.text(max_size=4),
    'void_colour': st.lists(st.integers(-1, 256), max_size=4),
    'ids': st.lists(st.integers(-1, 256), max_size=4),
  },
)


@settings(max_examples=150, deadline=None)
@given(st.one_of(TREES, TABLES))
@example([str(i) for i in range(300)])
@example(['x'] * 100_000)
@example({'names': ['a', 'b'], 'void_id': list(range(65536))[1:]})
@example({'names': ['a'], 'void_id': 10**400})
@example(['a\n'])
@example(['\ud800'])
def test_class_tables_are_sound_or_refused(tree):
  try:
    info = class_table.parse(tree, 'mine', 'classes.json')
  except DataError as error:
    assert 20 < len(str(error)) < 5000
    return
  assert 0 < info.num_classes == len(info.class_names) <= 255
  assert {*info.label_to_train.tolist()} <= {*range(info.num_classes), 255}
  assert info.palette.shape == (256, 3)
  assert '\n'.join(info.class_names).encode()
  assert DatasetInfo.from_json(json.loads(json.dumps(info.to_json()))) == info


@pytest.mark.parametrize(
  'text',
  [
    '[' * 100_000,
    '[' * 100_000 + ']' * 100_000,
    '{"a":' * 100_000 + '1' + '}' * 100_000,
    '[' * 70 + ']' * 70,
    '9' * 1_000_000,
    b'\xff\xfe\x00',
    b'\x00',
    '',
  ],
  ids=lambda t: repr(t[:6]),
)
def test_json_that_leads_astray(text, tmp_path):
  with pytest.raises(ValueError):
    json_text.parse(text)
  path = tmp_path / 'classes.json'
  path.write_bytes(text if isinstance(text, bytes) else text.encode())
  with pytest.raises(DataError, match='not JSON'):
    class_table.read(str(path), 'mine')
