"""Examples in documents are executed, where `runs/r101` is a tiny run."""

import doctest
import pathlib
import re

import numpy as np
import pytest

from deeplax import family, result, segmenter
from tests import tiny_run

README = pathlib.Path(__file__).resolve().parents[1] / 'README.md'
MODULES = (family, result, segmenter)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Where examples run: a run, a picture and a folder of pictures."""
  folder = tmp_path_factory.mktemp('examples')
  tiny_run.make(folder / 'runs' / 'r101')
  for i, name in enumerate(('street.jpg', 'photos/a.png', 'photos/b.png')):
    tiny_run.save(folder / name, tiny_run.picture(64, 96, seed=i))
  return folder


@pytest.fixture
def here(folder, monkeypatch):
  monkeypatch.chdir(folder)


@pytest.mark.parametrize('module', MODULES, ids=lambda m: m.__name__)
def test_docstrings(module, here):
  failed, attempted = doctest.testmod(module)
  assert attempted and not failed


def test_whatever_is_public_has_an_example():
  for public in (segmenter.load, segmenter.Segmenter, result.Result):
    assert '>>> ' in public.__doc__
  assert '>>> ' in family.build.__doc__


def python_blocks(text):
  """(number of its first line, code) of every ```python block."""
  found = re.finditer(r'^```python\n(.*?)^```', text, re.DOTALL | re.MULTILINE)
  return [(text.count('\n', 0, m.start()) + 2, m[1]) for m in found]


def execute(text, names, path='README.md'):
  """Runs the blocks one after the other, as a reader would in one session."""
  blocks = python_blocks(text)
  for line, code in blocks:
    exec(compile('\n' * (line - 1) + code, path, 'exec'), names)
  return len(blocks)


def test_readme(here):
  # What its words alone introduce.
  probs = np.full((64, 96, 19), 1 / 19, np.float32)
  names = {'image': tiny_run.picture(64, 96), 'probs': probs}
  assert execute(README.read_text(), names)
  assert names['q'].shape == (64, 96, 19)


def test_a_block_that_fails_is_found_with_its_line():
  text = (
    'Words.\n```python\nx = 1\n```\n```sh\nls\n```\n```python\nx / 0\n```\n'
  )
  with pytest.raises(ZeroDivisionError) as caught:
    execute(text, {})
  assert caught.traceback[-1].lineno + 1 == 9
