"""Class weights that the label doctor proposes."""

import ast
import re

import numpy as np
import pytest

from deeplax.data import class_weights
from deeplax.data.check import check
from tests.data import trees

COUNTS = np.array([8000, 1500, 400, 100, 0])


def test_formulas():
  share = COUNTS / COUNTS.sum()
  median = class_weights.median_frequency(COUNTS)
  root = class_weights.inverse_root(COUNTS)
  for weights in (median, root):
    assert (weights * share).sum() == pytest.approx(1)  # of a pixel
    assert weights[4] == 1
  by_definition = np.median(share[:4]) / share[:4]
  assert median[:4] / median[0] == pytest.approx(
    by_definition / by_definition[0]
  )
  assert root[3] / root[0] == pytest.approx(np.sqrt(80))


def test_advice_is_a_flag_for_each(tmp_path):
  text = class_weights.advice(COUNTS, 'abcde')
  assert 'a has 80.0%' in text and 'd 1.00%' in text
  found = re.findall(r"class_weights='(\(.*\))'", text)
  formulas = class_weights.inverse_root, class_weights.median_frequency
  assert len(found) == 2
  for numbers, formula in zip(map(ast.literal_eval, found), formulas):
    assert numbers == pytest.approx(formula(COUNTS), rel=1e-2)
  assert class_weights.advice(np.array([9, 5, 0]), 'abc') == ''
  assert class_weights.advice(np.array([9, 0, 0]), 'abc') == ''


def test_the_doctor_gives_it_for_training_when_all_is_read(tmp_path):
  for split in ('train', 'val'):
    trees.write_folder(tmp_path, split=split)
    for path in (tmp_path / split / 'labels').iterdir():
      mask = np.zeros((24, 32), np.uint8)
      mask[0, :4], mask[1] = 1, 2
      trees.write_mask(path, mask)
  assert 'class_weights=' in str(check('folder', 'train', tmp_path))
  assert 'class_weights=' not in str(check('folder', 'val', tmp_path))
  sampled = check('folder', 'train', tmp_path, sample=2)
  assert 'class_weights=' not in str(sampled) and sampled.advice
