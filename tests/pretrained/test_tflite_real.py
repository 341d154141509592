"""Real files beside the checkout: the originals' answers, and training."""

import jax
import numpy as np
import pytest

from deeplax import (
  losses,
  models,
  objective,
  optimizers,
  pretrained,
  sharding,
  state,
  steps,
)
from deeplax.ops.resize import resize
from tests.conftest import ROOT

SHARED = ROOT.parent / 'shared'
VOC = SHARED / 'weights' / 'deeplabv3_mobilenetv2_dm05_voc_257.tflite'
IMAGENET = SHARED / 'weights' / 'mobilenetv2_1.0_imagenet_int8.tflite'
GOLDEN = SHARED / 'golden' / 'deeplabv3_mobilenetv2_dm05_voc_257.npz'

VOC_KEYS = dict(
  encoder='mobilenet_v2',
  variant='0.5',
  output_stride=8,
  atrous_rates=(),
  decoder='none',
  align_corners=True,
  input_norm='symmetric',
  encoder_bn_epsilon=1e-3,
)
IMAGENET_KEYS = dict(
  encoder='mobilenet_v2',
  variant='1.0_1280',
  output_stride=32,
  head='global_pool',
  decoder='none',
  padding='same',
  input_norm='symmetric',
  encoder_bn_epsilon=1e-3,
)

pytestmark = pytest.mark.skipif(
  not VOC.is_file(), reason='no weights beside the checkout'
)


def imported(path, classes, keys, **more):
  model = models.build(classes, **keys)
  variables, report = pretrained.fill(
    'tflite',
    pretrained.read('tflite', path),
    models.initialize(model, 0),
    options=keys,
    **more,
  )
  return model, variables, report


def test_deeplab_gives_the_answers_of_the_original():
  model, variables, report = imported(VOC, 21, VOC_KEYS)
  assert not report.missing
  golden = np.load(GOLDEN)
  names = [k[len('image_') :] for k in golden if k.startswith('image_')]
  assert len(names) == 5
  for name in names:
    image = golden[f'image_{name}'][None]
    logits, endpoints = model.apply(variables, image, train=False)
    expected = golden[f'logits33_{name}']
    worst = np.abs(logits[0] - expected).max() / np.abs(expected).max()
    features = golden[f'backbone_{name}'].astype(np.float32)  # stored as halves
    assert (
      np.abs(endpoints['stage5'][0] - features).max() < 2e-3 * features.max()
    )
    full = resize(logits, image.shape[1:3], align_corners=True)
    same = np.mean(np.argmax(full[0], -1) == golden[f'argmax_{name}'])
    print(name, worst, same)  # shown by pytest -rP
    assert worst <= 1e-4 and same >= 0.999


def test_deeplab_trains_on_with_other_classes():
  classes, keys = 4, VOC_KEYS | {'freeze_bn': True, 'dropout': 0.0}
  model, variables, report = imported(VOC, classes, keys, reinit_logits=True)
  assert [path for path, _ in report.missing] == [
    'params/logits/bias',
    'params/logits/kernel',
  ]
  _, original, _ = imported(VOC, 21, VOC_KEYS)
  image = np.load(GOLDEN)['image_2007_000129'][None, 64:193, 64:193]
  before = models.build(21, **VOC_KEYS).apply(original, image, train=False)[1]
  after = model.apply(variables, image, train=True)[1]
  # Where gradients are asked for, convolutions are computed in other ways.
  np.testing.assert_allclose(before['head'], after['head'], atol=1e-5)

  rng = np.random.default_rng(0)
  label = np.zeros((2, 65, 65), np.uint8)
  label[:, 33:] += 1
  label[:, :, 33:] += 2
  colours = rng.integers(0, 256, (classes, 3))
  noise = rng.integers(-30, 30, (*label.shape, 3))
  batch = dict(
    image=np.clip(colours[label] + noise, 0, 255).astype(np.uint8),
    label=label,
    valid=np.ones(2, bool),
  )
  mesh = sharding.make_mesh(spatial=1, devices=jax.devices()[:1])
  schedule = optimizers.make_schedule(
    name='constant', peak=2e-3, total_steps=20
  )
  tx = optimizers.make_optimizer(schedule, name='adam')
  sums = objective.make_gradient_sums(
    model, loss_fn=lambda x, y, _: losses.cross_entropy(x, y)
  )
  step = steps.make_train_step(sums, tx, mesh=mesh, schedule=schedule)
  current = state.create_state(
    sharding.put_replicated(variables, mesh), tx, seed=0
  )
  current = sharding.put_replicated(current, mesh)
  found = []
  for _ in range(12):
    current, metrics = step(current, sharding.put_batch(batch, mesh))
    found.append(float(metrics['loss']))
  print(found)  # shown by pytest -rP
  assert np.isfinite(found).all()
  assert found[-1] < 0.5 * found[0]
  statistics = jax.tree.map(np.asarray, current.batch_stats)
  jax.tree.map(
    np.testing.assert_array_equal, statistics, variables['batch_stats']
  )


def test_classifier_still_sees_the_cat():
  from PIL import Image

  model, variables, report = imported(IMAGENET, 1001, IMAGENET_KEYS)
  assert not report.missing
  cat = Image.open(SHARED / 'weights' / 'cat.bmp').convert('RGB')
  image = np.asarray(cat.resize((224, 224), Image.Resampling.BILINEAR))[None]
  logits = np.ravel(model.apply(variables, image, train=False)[0])
  labels = (SHARED / 'weights' / 'imagenet_labels.txt').read_text().splitlines()
  top = [labels[i] for i in np.argsort(-logits)[:5]]
  print(top)  # shown by pytest -rP
  assert 'Egyptian cat' in top[0] and 'tabby' in top[1]


@pytest.mark.parametrize('variant', ['1.0', '1.0_1280'])
def test_classifier_gives_its_encoder_to_a_deeplab(variant):
  keys = IMAGENET_KEYS | dict(
    variant=variant, head='aspp', decoder='v3plus', output_stride=16
  )
  _, variables, report = imported(IMAGENET, 12, keys)
  _, original, _ = imported(IMAGENET, 1001, IMAGENET_KEYS)
  reasons = {reason for _, reason in report.missing}
  assert reasons == {
    f'the file has no {p}' for p in ('head', 'decoder', 'logits')
  }
  for collection in ('params', 'batch_stats'):
    theirs = dict(original[collection]['encoder'])
    if variant == '1.0':
      theirs['stage5'] = {
        k: v for k, v in theirs['stage5'].items() if k != 'last'
      }
    jax.tree.map(
      np.testing.assert_array_equal, theirs, variables[collection]['encoder']
    )
  left = [name for name, why in report.left_out if 'classifier' in why]
  assert len(left) == (4 if variant == '1.0' else 2)
