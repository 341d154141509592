"""Initial weights: by path, by rule, in the right dtype."""

import jax
import numpy as np

from deeplax import models
from deeplax.models.initialize import _draw

KNOWN = (-0.532112, 0.225177, -0.423788, -0.840113)


def flat(tree):
  return {
    jax.tree_util.keystr(path, simple=True, separator='/'): leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }


def test_rules():
  model = models.build(19, variant='18', auxiliary=True, head_bias=True)
  variables = models.initialize(model, seed=0)
  shapes = models.abstract_variables(model)
  assert jax.tree.structure(variables) == jax.tree.structure(shapes)
  kernels = 0
  for path, leaf in flat(variables).items():
    assert isinstance(leaf, np.ndarray) and leaf.dtype == np.float32
    name = path.rpartition('/')[2]
    if name in ('bias', 'mean'):
      assert not leaf.any()
    elif name in ('scale', 'var'):
      assert (leaf == 1).all()
    else:
      rows, columns, _, outputs = leaf.shape
      deviation = np.sqrt(2 / (rows * columns * outputs))
      if path.endswith('logits/kernel'):
        deviation = 0.01
      sigma = deviation / np.sqrt(2 * leaf.size)
      assert abs(leaf.std() - deviation) < 5 * sigma, path
      kernels += 1
  assert kernels == 20 + 6 + 3 + 1 + 2


def test_paths():
  paths = flat(models.abstract_variables(models.build(19, variant='18')))
  for path in (
    'params/encoder/stage1/conv1/kernel',
    'params/encoder/stage2/unit1/conv1/kernel',
    'params/encoder/stage3/unit1/shortcut/conv/kernel',
    'params/encoder/stage5/unit2/bn2/scale',
    'params/head/aspp/branch0/conv/kernel',
    'params/head/aspp/image_pooling/bn/bias',
    'params/head/project/conv/kernel',
    'params/decoder/low_level/conv/kernel',
    'params/decoder/conv2/bn/scale',
    'params/logits/kernel',
    'params/logits/bias',
    'batch_stats/encoder/stage5/unit2/bn2/var',
  ):
    assert path in paths


def test_depends_on_seed_and_path_only():
  plain = flat(models.initialize(models.build(19, variant='18'), seed=3))
  other = flat(
    models.initialize(
      models.build(7, variant='18', decoder='none', output_stride=8), seed=3
    )
  )
  shared = [p for p in other if p in plain and 'logits' not in p]
  assert len(shared) > 60
  for path in shared:
    np.testing.assert_array_equal(plain[path], other[path])
  reseeded = flat(models.initialize(models.build(19, variant='18'), seed=4))
  kernels = [plain[p] for p in plain if p.endswith('kernel')]
  assert not any(
    np.array_equal(plain[p], reseeded[p]) for p in plain if 'kernel' in p
  )
  first = kernels[1].ravel()[:100]
  assert not any(np.array_equal(k.ravel()[:100], first) for k in kernels[2:])


def test_known_draw():
  # A change of these would change every experiment started from a seed.
  kernel = _draw(('logits', 'kernel'), (1, 1, 2, 2), seed=0)
  np.testing.assert_allclose(kernel.ravel() * 100, KNOWN, atol=1e-6)
