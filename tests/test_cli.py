"""The commands as a user types them: errors in one paragraph, exit codes."""

import pathlib
import subprocess
import sys

import pytest

from deeplax import cli, cli_flags, config_files

ROOT = pathlib.Path(__file__).resolve().parents[1]


def train(*arguments, cwd):
  return subprocess.run(
    [sys.executable, str(ROOT / 'launch/train.py'), *arguments],
    cwd=cwd,
    capture_output=True,
    text=True,
    check=False,
  )


DEMO = f'--config={ROOT / "configs/demo.py"}'


@pytest.mark.parametrize(
  'arguments, code, words',
  [
    ((), 2, 'config'),
    ((DEMO, '--config.model.varient=18'), 2, 'varient'),
    ((DEMO, '--config.batch_size=eight'), 2, 'eight'),
    ((f'{DEMO}:smok',), 2, "no variant 'smok'"),
    (('--config=configs/nothing.py',), 2, 'nothing.py'),
    ((DEMO, '--wokrdir=x'), 2, 'wokrdir'),
    ((DEMO, '--config.model.output_stride=7'), 2, '7'),
    ((DEMO, '--config.model.varient=18'), 2, 'Did you mean "variant" instead'),
    ((DEMO, '--config.nope=3'), 2, "no key 'nope'"),
    ((DEMO, '--config.total_steps=abc'), 2, 'expected a whole number, not'),
    ((DEMO, '--config.optimizer.clip_norm=abc'), 2, "a number, not 'abc'"),
    ((DEMO, '--config.model.remat=maybe'), 2, 'expected true or false'),
    ((DEMO, '--config.model.multi_grid=a,b'), 2, 'whole numbers'),
    ((DEMO, '--config.model.atrous_rates=(6,12)'), 2, '(=(6, 12))'),
    ((DEMO, 'more', 'words'), 2, 'more words: flags only'),
    (('--config=/',), 2, 'can not be read'),
    (
      (DEMO, '--config.dataset.name=cityscapes', '--config.dataset.dir=none'),
      1,
      'configs/demo.py',
    ),
  ],
  ids=lambda x: x[-1][-30:] if isinstance(x, tuple) and x else None,
)
def test_mistakes_are_one_paragraph(arguments, code, words, tmp_path):
  done = train(*arguments, cwd=tmp_path)
  assert done.returncode == code, done.stderr
  assert words in done.stderr.replace('\n', ' ')
  assert 'Traceback' not in done.stderr
  assert done.stdout == ''
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  'path, name',
  [
    ('configs/r101.py', 'r101'),
    ('configs/r101.py:smoke', 'r101_smoke'),
    ('/a/course_r101.py:second_leg,smoke', 'course_r101_second_leg_smoke'),
  ],
)
def test_the_workdir_is_named_after_the_config(path, name):
  assert config_files.run_name(path) == name


@pytest.mark.parametrize(
  'code, words',
  [
    ('import nothing_there', ('nothing_there', 'line 1')),
    ('def get_config():\n  return 1 / 0', ('division by zero', 'line 2')),
    ('def get_config(', ('not Python', 'line 1')),
    ('def get_confg():\n  return 1', ('no function get_config',)),
    ('def get_config():\n  return {1: 2}', ('returned a dict',)),
    (
      'import ml_collections\n'
      'def get_config():\n  return ml_collections.ConfigDict({"a": 2})',
      ('no key batch_size',),
    ),
  ],
)
def test_a_broken_config_file(code, words, tmp_path):
  (tmp_path / 'mine.py').write_text(code + '\n')
  done = train('--config=mine.py', cwd=tmp_path)
  assert done.returncode == 2, done.stderr
  text = done.stderr.replace('\n', ' ')
  assert all(word in text for word in words), text
  assert 'Traceback' not in text


def test_help_is_no_error(tmp_path):
  done = train('--help', cwd=tmp_path)
  assert done.returncode == 0
  assert '--workdir' in done.stdout


@pytest.mark.parametrize(
  'raised, code, words',
  [
    ("ConfigError('Found, expected.')", 2, 'error: Found, expected.'),
    ("RunError('Found, expected.')", 1, 'error: Found, expected.'),
    ("DataError('Found.', file='a.png')", 1, 'error: a.png: Found.'),
    ('KeyboardInterrupt()', 130, 'interrupted'),
    ("OSError(28, 'No space left', '/x')", 1, 'disk or the quota is full (/x)'),
    ("MemoryError('Unable to allocate 9 GiB')", 1, 'allocate 9 GiB. Lower the'),
    ("RuntimeError('RESOURCE_EXHAUSTED: 9G')", 1, 'out of memory'),
  ],
)
def test_what_ends_a_command(raised, code, words):
  script = f"""
from deeplax import cli, cli_flags, config_files
from deeplax.data import DataError
from deeplax.errors import ConfigError, RunError
def main(argv):
  raise {raised}
cli.run(main)
"""
  done = subprocess.run(
    [sys.executable, '-c', script],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == code, done.stderr
  assert words in done.stderr
  assert 'Traceback' not in done.stderr


def test_a_reader_that_leaves_is_no_error_worth_a_word():
  script = """
from deeplax import cli, cli_flags, config_files
def main(argv):
  print('a line\\n' * 100_000)
cli.run(main)
"""
  done = subprocess.run(
    f"{sys.executable} -c '{script}' | head -1".replace(
      "'a line", '"a line'
    ).replace("n' * 100_000", 'n" * 100_000'),
    cwd=ROOT,
    shell=True,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.stdout == 'a line\n'
  assert done.stderr == ''


@pytest.mark.parametrize(
  'text, words',
  [
    ('5', 'expected 2 whole numbers, not 1'),
    ('0,5', 'of at least 1'),
    ('a,5', 'whole numbers between commas'),
  ],
)
def test_numbers_between_commas(text, words):
  parser = cli_flags.Numbers(int, 2, 1)
  assert parser.parse('4,5') == (4, 5)
  with pytest.raises(ValueError, match=words):
    parser.parse(text)


def test_closed_streams():
  script = """
import sys
from deeplax import cli, cli_flags, config_files
def main(argv):
  print(sys.stderr.isatty(), sys.stdout.isatty())
cli.run(main)
"""
  done = subprocess.run(
    f"{sys.executable} -c '{script}' <&- >&- 2>&-",
    cwd=ROOT,
    shell=True,
    check=False,
  )
  assert done.returncode == 0


def test_what_a_terminal_obeys_is_shown_as_text(capsys, caplog):
  assert cli.printable('a\x1b[31mb\r\x07é\n\udcff') == (
    'a\\x1b[31mb\\r\\x07é\n\\udcff'
  )
  cli.fail('no picture: \x1b]0;x\x07.png', 1)
  assert '\\x1b]0;x\\x07.png' in capsys.readouterr().err
