"""The commands as a user types them: errors in one paragraph, exit codes."""

import pathlib
import subprocess
import sys

import pytest

from deeplax import cli

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
    ((DEMO, '--config.model.output_stride=7'), 1, '7'),
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
  assert cli.config_name(path) == name
