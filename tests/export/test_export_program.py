"""The function that is exported; test_export_run.py has what it says."""

import jax
import numpy as np
import pytest

from deeplax.data import ops
from deeplax.errors import RunError
from deeplax.export import program
from deeplax.predictor import Predictor, evaluation_padding
from tests.export.small_run import INFO, config, picture, variables


def test_every_convolution_is_the_compilers_own():
  of = config()
  weights = variables(of)
  made = program.build(of, INFO, weights, (41, 75), probs=True)
  assert made.shape == (1, 41, 75, 3)
  traced = jax.make_jaxpr(made.function)(picture(41, 75)[None])
  leaves = jax.tree_util.tree_leaves_with_path(weights['params'])
  kernels = [path for path, _ in leaves if path[-1].key == 'kernel']
  text = str(traced)
  assert text.count('conv_general_dilated[') == len(kernels) > 50
  assert 'dot_general' not in text
  found = jax.eval_shape(made.function, np.zeros((1, 41, 75, 3), np.uint8))
  assert found['labels'].shape == (1, 41, 75)
  assert found['labels'].dtype == np.uint8
  assert found['probs'].shape == (1, 41, 75, 19)


@pytest.mark.parametrize(
  ('changes', 'size', 'stride', 'message'),
  [
    ({}, (0, 8), None, r'--size is 0x8.*above 0'),
    ({}, (40, 72), 7, 'output_stride'),
    ({'encoder': 'nothing'}, (40, 72), None, "no encoder 'nothing'"),
  ],
)
def test_refusals(changes, size, stride, message):
  with pytest.raises(RunError, match=message):
    program.build(config(**changes), INFO, {}, size, stride)


def test_float32_without_a_crf_whatever_was_trained():
  of = config(dtype='bfloat16', crf_rnn=2)
  network, options = program.network(of, INFO, 32)
  assert options['dtype'] == 'float32' and options['crf_rnn'] == 0
  assert options['output_stride'] == 32
  assert network.style.dtype == np.float32 and network.crf_rnn is None


@pytest.mark.parametrize(
  'k, size', [(16, (41, 75)), (8, (41, 73)), (1, (9, 9))]
)
def test_padding_is_that_of_prediction(k, size):
  image = picture(*size)
  padding = evaluation_padding(f'pad_aligned({k})')
  wanted = Predictor(None, {}, INFO, padding=padding).prepare(image)
  found, out_size = program._prepared(image[None], None, ops.parse(padding))
  np.testing.assert_array_equal(np.asarray(found)[0], wanted.image)
  assert (
    out_size == wanted.size == tuple(-(-(n - 1) // k) * k + 1 for n in size)
  )
