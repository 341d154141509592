"""Networks as ONNX models: what onnxruntime computes is what JAX does."""

import collections

import jax
import numpy as np
import pytest

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')

from deeplax import models
from deeplax.export.onnx import convert
from tests.export.onnx_cases import NETWORKS, both, operators, run, segment
from tests.models.random_weights import random_image

SIZES = dict(zip(NETWORKS, [(65, 81), (64, 80)] * len(NETWORKS)))
# At odd sizes rounding grows in it, in JAX more than here.
SIZES['v3plus_xception'] = (64, 80)


def check(found, expected):
  scale = np.abs(expected['logits']).max()
  assert scale > 0
  error = np.abs(found['logits'] - expected['logits']).max() / scale
  assert error < 1e-5
  assert found['labels'].dtype == np.uint8
  assert found['labels'].shape == expected['labels'].shape
  assert np.mean(found['labels'] == expected['labels']) >= 0.999
  assert len(np.unique(expected['labels'])) > 1


@pytest.mark.parametrize('name', NETWORKS)
def test_network(name):
  _, found, expected = both(segment(name), random_image(*SIZES[name]))
  check(found, expected)


def test_every_part_is_in_some_network():
  used = {
    kind: {options.get(kind[:-1]) for options, _ in NETWORKS.values()}
    for kind in ('encoders', 'heads', 'decoders')
  }
  defaults = {'encoders': 'resnet', 'heads': 'aspp', 'decoders': 'v3plus'}
  for kind, names in used.items():
    names = {name or defaults[kind] for name in names}
    found = {
      n
      for n in models.available(kind)
      if hasattr(models.find(n, kind), 'build')
    }
    assert found - names <= {'global_pool'}, kind


def test_any_number_of_pictures():
  function = segment('v3plus_resnet')
  model = convert(function, random_image(32, 48), dynamic_batch=True)
  shape = model.graph.input[0].type.tensor_type.shape
  assert [d.dim_param or d.dim_value for d in shape.dim] == ['batch', 32, 48, 3]
  expected = jax.jit(function)(random_image(32, 48, batch=3))
  check(run(model, random_image(32, 48, batch=3)), expected)
  one = run(model, random_image(32, 48, batch=3)[:1])
  np.testing.assert_allclose(one['logits'], expected['logits'][:1], atol=1e-4)


def test_mirrored_and_scaled():
  function = segment('v3plus_resnet', flip=True, scales=(1.0, 0.5))
  _, found, expected = both(function, random_image(33, 41))
  check(found, expected)


def test_in_windows():
  function = segment('v3plus_resnet', window=(32, 32))
  _, found, expected = both(function, random_image(33, 48))
  check(found, expected)


def test_nothing_stands_between_convolutions():
  model = convert(segment('v3plus_resnet'), random_image(64, 64))
  counts = collections.Counter(operators(model))
  # Into NCHW as the picture comes, and out of it for the logits.
  assert counts['Transpose'] == 2
  assert counts['MaxPool'] == 1
  # The picture's mean, the sums of units; batch norm is in the kernels.
  assert (counts['Sub'], counts['Add'], counts['Mul']) == (1, 8, 0)
  # In the decoder and to full size.
  assert (counts['Resize'], counts['Gather'], counts['MatMul']) == (2, 0, 0)


def test_the_file():
  function = segment('unet')
  model = convert(function, random_image(32, 32), input_name='picture')
  again = convert(function, random_image(32, 32), input_name='picture')
  assert model.SerializeToString() == again.SerializeToString()
  assert [x.name for x in model.graph.input] == ['picture']
  assert [x.name for x in model.graph.output] == ['labels', 'logits']
  assert (model.opset_import[0].version, model.ir_version) == (18, 8)
  scopes = {node.name.rsplit('/', 1)[0] for node in model.graph.node}
  assert any(scope.startswith('DeepLab/encoder') for scope in scopes)


def test_equal_weights_are_written_once():
  model = convert(segment('v2_resnet'), random_image(32, 48))
  kernels = [n.input[1] for n in model.graph.node if n.op_type == 'Conv']
  assert len(kernels) == 2 * len(set(kernels))
