"""An encoder, a data set and a loss of one's own, as the packages show them."""

import importlib
import re
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import demo
from deeplax import losses, models, train

PACKAGES = ('models.encoders', 'data.datasets', 'losses')
FILE = re.compile(
  r'  # (deeplax/\S+)/(\w+)\.py: --config\.(\S+)=(\S+)\n(.*)', re.DOTALL
)


@pytest.fixture
def flags(tmp_path, monkeypatch):
  """Adds these files, each to its folder; gives the flags for them."""
  chosen, added = {}, []
  for package in PACKAGES:
    package = importlib.import_module(f'deeplax.{package}')
    folder, name, key, value, text = FILE.search(package.__doc__).groups()
    place = tmp_path / folder
    place.mkdir(parents=True)
    (place / f'{name}.py').write_text(textwrap.dedent(text))
    monkeypatch.setattr(package, '__path__', [*package.__path__, str(place)])
    chosen[key] = value
    added.append(f'{package.__name__}.{name}')
  yield chosen
  for name in added:
    sys.modules.pop(name, None)


def test_they_train(flags, tmp_path):
  config = demo.get_config()
  with config.unlocked():
    config.update_from_flattened_dict({**flags, 'model.variant': '16'})
    config.input.train = 'random_crop(64, 64)|random_flip()'
    config.input.cache = ''
    config.input.workers = 0
    config.loss.class_weights_from_data = False
    config.loss.normalize_by = 'pixels'
    config.batch_size = 8
    config.total_steps = 25
    config.eval_every = config.checkpoint_every = 25
    config.mesh.data = 1
  scalars = train.train_and_evaluate(config.lock(), tmp_path / 'run')
  assert scalars['val/iou/square'] > 0.8


@pytest.mark.parametrize('output_stride', [8, 16, 32])
def test_the_encoder_keeps_the_contract(flags, output_stride):
  model = models.build(
    3,
    encoder=flags['model.encoder'],
    variant='16',
    output_stride=output_stride,
  )
  variables = models.abstract_variables(model)
  _, endpoints = jax.eval_shape(
    lambda v: model.apply(v, jnp.zeros((1, 64, 96, 3)), train=False), variables
  )
  size = 64 // output_stride, 96 // output_stride
  assert endpoints['stage5'].shape == (1, *size, 80)


def test_the_loss_is_the_papers(flags):
  loss = losses.build(flags['loss.name'])
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(1, 4, 5, 3))
  labels = rng.integers(0, 3, (1, 4, 5))
  labels[0, 1, 2] = 255
  p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
  p = np.take_along_axis(p, np.minimum(labels, 2)[..., None], -1)[..., 0]
  expected = np.where(labels < 255, -((1 - p) ** 2) * np.log(p), 0).sum()
  total, weight = loss(jnp.asarray(logits), jnp.asarray(labels), 0)
  assert float(total) == pytest.approx(expected, rel=1e-5)
  assert float(weight) == 19
