"""Whatever pictures are called, results lie below the output folder."""

import os
import pathlib
import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplax import picture_files, picture_paths
from deeplax.data.errors import DataError
from deeplax.errors import RunError

NAMES = [
  'new\nline',
  'tab\tand\x1b[31mcolour',
  '-rf',
  '--flagfile=x',
  os.fsdecode(b'\xff\xfe\x80'),
  '..',
  '.',
  ' ',
  'quote\'"',
  '$(touch x)',
  '*[a]?',
  'a,b',
  '~',
  'nul',
  'e\u0301',
  'x' * 240,
  'é' * 124,
]


def picture(path: pathlib.Path) -> pathlib.Path:
  """Its content does not matter here."""
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(b'x')
  return path


def write_all(inputs, output) -> list[pathlib.Path]:
  """As predict does, less the network."""
  found = picture_paths.find([os.fspath(i) for i in inputs], output)
  targets = []
  for name in found.values():
    for kind in ('overlay', 'label_id'):
      targets.append(picture_paths.target(pathlib.Path(output), name, kind))
      picture_files.write_png(targets[-1], np.zeros((2, 2), np.uint8))
  return targets


def below(folder) -> set[str]:
  return {
    os.path.relpath(os.path.join(root, name), folder)
    for root, folders, names in os.walk(folder)
    for name in names + folders
  }


def check(inputs, output, count):
  """As many files as results, all of them in the output, none elsewhere."""
  root = pathlib.Path(output).parent
  before = below(root)
  targets = write_all(inputs, output)
  new = {root / name for name in below(root) - before}
  assert len({os.path.realpath(t) for t in targets}) == 2 * count
  assert all(p == output or p.is_relative_to(output) for p in new), new
  assert all(t.is_file() for t in targets)
  assert not [p for p in new if p.name.endswith('.part')]


def test_odd_names_in_a_folder(tmp_path):
  folder = tmp_path / 'in'
  for name in NAMES:
    picture(folder / f'{name}.png')
    if len(os.fsencode(name)) < 240:
      picture(folder / f'sub{name}' / f'{name}.PNG')
  count = sum(p.is_file() for p in folder.rglob('*'))
  check([folder], tmp_path / 'out', count)


def test_odd_names_one_by_one(tmp_path):
  paths = [picture(tmp_path / 'in' / f'{name}.png') for name in NAMES]
  check(paths, tmp_path / 'out', len(paths))


def test_paths_that_lead_up(tmp_path, monkeypatch):
  (tmp_path / 'here').mkdir()
  monkeypatch.chdir(tmp_path / 'here')
  picture(tmp_path / 'x.png')
  picture(tmp_path / 'deep' / 'y.png')
  inputs = ['../x.png', '../deep/../deep/y.png', str(tmp_path / 'x.png')]
  check([*inputs, '../deep'], tmp_path / 'here' / 'out', 4)


@settings(max_examples=60, deadline=None)
@given(
  st.lists(
    st.text(
      st.one_of(
        st.sampled_from(string.printable), st.characters(exclude_categories=())
      ),
      min_size=1,
      max_size=40,
    ).filter(lambda t: not {'/', '\0'} & set(t)),
    min_size=1,
    max_size=6,
  )
)
def test_any_names(tmp_path_factory, texts):
  root = tmp_path_factory.mktemp('any')
  made = set()
  for text in texts:
    try:
      path = picture(root / 'in' / f'{text}.png')
    except (OSError, UnicodeEncodeError):  # no name of this file system
      continue
    made.add(path)
  if made:
    check([root / 'in'], root / 'out', len(made))


def test_names_that_become_one_when_cut(tmp_path):
  for end in ('a', 'b', 'c'):
    picture(tmp_path / 'in' / f'{"x" * 240}{end}.png')
  check([tmp_path / 'in'], tmp_path / 'out', 3)


def test_links_out_of_the_input_are_read_and_keep_their_names(tmp_path):
  secret = picture(tmp_path / 'elsewhere' / 'secret.png')
  (tmp_path / 'in').mkdir()
  (tmp_path / 'in' / 'link.png').symlink_to(secret)
  (tmp_path / 'in' / 'folder').symlink_to(secret.parent)
  (tmp_path / 'in' / 'loop').symlink_to('loop')
  check([tmp_path / 'in'], tmp_path / 'out', 1)
  assert (tmp_path / 'out' / 'link_overlay.png').is_file()
  assert below(secret.parent) == {'secret.png'}


@pytest.mark.parametrize('planted', ['a_overlay.png', 'a_overlay.png.part'])
@pytest.mark.parametrize('there', [True, False])
def test_a_link_in_the_place_of_a_file_is_replaced(tmp_path, planted, there):
  secret = tmp_path / 'elsewhere' / 'secret'
  secret.parent.mkdir()
  if there:
    secret.write_text('mine')
  out = tmp_path / 'out'
  out.mkdir()
  (out / planted).symlink_to(secret)
  picture(tmp_path / 'in' / 'a.png')
  write_all([tmp_path / 'in'], out)
  assert below(secret.parent) == ({'secret'} if there else set())
  assert not there or secret.read_text() == 'mine'
  assert below(out) == {'a_overlay.png', 'a_label_id.png'}
  assert not (out / 'a_overlay.png').is_symlink()


def test_a_hard_link_in_the_place_of_a_file_is_replaced(tmp_path):
  secret = tmp_path / 'secret'
  secret.write_text('mine')
  for name in ('a_overlay.png', 'a_overlay.png.part'):
    (tmp_path / 'out').mkdir(exist_ok=True)
    os.link(secret, tmp_path / 'out' / name)
  write_all([picture(tmp_path / 'a.png')], tmp_path / 'out')
  assert secret.read_text() == 'mine'


@pytest.mark.parametrize('name', ['sub/a.png', 'sub/deep/deeper/a.png'])
def test_no_folder_is_made_behind_a_link(tmp_path, name):
  elsewhere = tmp_path / 'elsewhere'
  elsewhere.mkdir()
  (tmp_path / 'out').mkdir()
  (tmp_path / 'out' / 'sub').symlink_to(elsewhere)
  picture(tmp_path / 'in' / name)
  with pytest.raises(RunError, match='leads out of --output'):
    write_all([tmp_path / 'in'], tmp_path / 'out')
  assert not below(elsewhere)


def test_the_output_may_be_a_link_or_lie_in_the_input(tmp_path):
  picture(tmp_path / 'in' / 'a.png')
  (tmp_path / 'real').mkdir()
  (tmp_path / 'out').symlink_to(tmp_path / 'real')
  write_all([tmp_path / 'in'], tmp_path / 'out')
  assert below(tmp_path / 'real') == {'a_overlay.png', 'a_label_id.png'}
  inside = tmp_path / 'in' / 'b' / 'out'
  for _ in range(2):
    write_all([tmp_path / 'in'], inside)
  assert below(inside) == {'a_overlay.png', 'a_label_id.png'}


def test_a_folder_in_the_place_of_a_file(tmp_path):
  (tmp_path / 'out' / 'a_overlay.png').mkdir(parents=True)
  with pytest.raises(RunError, match='can not be written'):
    write_all([picture(tmp_path / 'a.png')], tmp_path / 'out')


@pytest.mark.parametrize(
  'text', ['x' * 300, 'x/' * 3000, '~nobody-has-this-name/x', 'a\0b', '*\0']
)
def test_inputs_that_can_not_be(tmp_path, text):
  with pytest.raises(RunError, match='--input'):
    picture_paths.find([text], tmp_path / 'out')


def test_pipes_and_devices_are_no_pictures(tmp_path):
  (tmp_path / 'in').mkdir()
  os.mkfifo(tmp_path / 'in' / 'pipe.png')
  (tmp_path / 'in' / 'zero.png').symlink_to('/dev/zero')
  for path in picture_paths.find([str(tmp_path / 'in')], tmp_path / 'out'):
    with pytest.raises(DataError, match='not a file'):
      picture_files.read(path)
