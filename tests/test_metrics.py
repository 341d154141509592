"""Figures against the official scorer's golden and independent counting."""

import importlib.util
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deeplax import instances, metrics, sharding
from deeplax.data.datasets import cityscapes

GOLDEN = pathlib.Path(__file__).parent / 'golden'
INFO = cityscapes.INFO


def golden_pictures():
  spec = importlib.util.spec_from_file_location(
    'cityscapes_scorer', GOLDEN / 'cityscapes_scorer.py'
  )
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.pictures()


@pytest.fixture(scope='module')
def scored():
  """(confusion, instance scores) of the golden pictures, in train ids."""
  total = np.zeros((19, 20), np.int64)
  scores = instances.InstanceScores(19, INFO.train_to_category)
  count = jax.jit(metrics.confusion_matrix, static_argnums=(2, 3))
  for picture in golden_pictures():
    label = INFO.label_to_train[picture['label']]
    pred = INFO.label_to_train[picture['pred']]
    total += np.asarray(count(label[None], pred[None], 19, 20), np.int64)
    index, classes = instances.index_instances(
      picture['instance'], INFO.label_to_train
    )
    scores.add(count(index[None], pred[None], 16, 20)[: len(classes)], classes)
  return total, scores


@pytest.fixture(scope='module')
def official():
  return json.loads((GOLDEN / 'cityscapes_scorer.json').read_text())


def same(got, names, want):
  want = [np.nan if want[n] is None else want[n] for n in names]
  np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)


def test_class_iou_is_the_official_one(scored, official):
  iou = metrics.class_iou(scored[0])
  same(iou, INFO.class_names, official['classScores'])
  assert metrics.mean(iou) == pytest.approx(
    official['averageScoreClasses'], abs=1e-12
  )
  # The golden has an absent class and one that is predicted only.
  assert np.isnan(iou).any() and (iou == 0).any()
  # And void, predicted where there is a truth.
  assert scored[0][:, 19].sum() > 0


def test_category_iou_is_the_official_one(scored, official):
  iou = metrics.category_iou(scored[0], INFO.train_to_category)
  same(iou, INFO.categories, official['categoryScores'])
  assert metrics.mean(iou) == pytest.approx(
    official['averageScoreCategories'], abs=1e-12
  )


def test_instance_iou_is_the_official_one(scored, official):
  confusion, scores = scored
  sizes = scores.mean_sizes(INFO.class_names)
  iou = scores.class_iou(confusion, sizes, INFO.instance_classes)
  same(iou, INFO.class_names, official['classInstScores'])
  assert metrics.mean(iou) == pytest.approx(
    official['averageScoreInstClasses'], abs=1e-12
  )
  whole = [INFO.categories.index(c) for c in ('human', 'vehicle')]
  iou = scores.category_iou(confusion, sizes, whole)
  same(iou, INFO.categories, official['categoryInstScores'])
  assert metrics.mean(iou) == pytest.approx(
    official['averageScoreInstCategories'], abs=1e-12
  )


def counted_by_numpy(label, pred, rows, columns):
  want = np.zeros((rows, columns), np.int64)
  inside = (label >= 0) & (label < rows)
  pred = np.where((pred >= 0) & (pred < columns), pred, columns - 1)
  np.add.at(want, (label[inside], pred[inside]), 1)
  return want


@pytest.mark.parametrize('dtype', [np.uint8, np.int32])
def test_confusion_matrix_counts_every_pixel_once(dtype):
  rng = np.random.default_rng(0)
  label = rng.choice([0, 1, 2, 3, 4, 255], (3, 33, 47)).astype(dtype)
  pred = rng.choice([0, 1, 2, 3, 4, 5, 200], (3, 33, 47)).astype(dtype)
  valid = np.array([True, False, True])
  got = metrics.confusion_matrix(label, pred, 5, 6, valid)
  want = counted_by_numpy(label[valid], pred[valid], 5, 6)
  np.testing.assert_array_equal(got, want)
  assert got.dtype == jnp.int32


def test_confusion_matrix_without_a_labelled_pixel_is_zero():
  label = np.full((1, 4, 4), 255, np.uint8)
  got = metrics.confusion_matrix(label, np.zeros_like(label), 3, 3)
  assert not np.asarray(got).any()


def test_confusion_matrix_is_exact_beyond_float32():
  # 2^24 + 1 is the first integer that float32 lacks.
  label = np.zeros((1, 4097, 4100), np.uint8)
  got = metrics.confusion_matrix(label, label, 2, 2)
  assert got[0, 0] == label.size > 2**24 + 1


@pytest.mark.parametrize('spatial', [1, 2])
def test_confusion_matrix_of_an_array_split_over_devices(spatial):
  rng = np.random.default_rng(1)
  label = rng.choice([0, 1, 2, 255], (4, 16, 24)).astype(np.uint8)
  pred = rng.integers(0, 4, (4, 16, 24)).astype(np.uint8)
  mesh = sharding.make_mesh(
    data=4, spatial=spatial, devices=jax.devices()[: 4 * spatial]
  )
  batch = sharding.put_batch({'label': label, 'pred': pred}, mesh)
  count = jax.jit(
    lambda b: metrics.confusion_matrix(b['label'], b['pred'], 3, 4),
    out_shardings=sharding.replicated(mesh),
  )
  got = count(batch)
  np.testing.assert_array_equal(got, counted_by_numpy(label, pred, 3, 4))


def test_accelerators_count_by_matrix_product(monkeypatch):
  # The other branch, run here on the CPU.
  monkeypatch.setattr(
    jax.lax, 'platform_dependent', lambda *args, default, cpu: default(*args)
  )
  rng = np.random.default_rng(2)
  label = rng.choice([0, 1, 2, 3, 255], (2, 16, 300)).astype(np.uint8)
  pred = rng.integers(0, 5, (2, 16, 300)).astype(np.uint8)
  for spatial in (1, 2):
    mesh = sharding.make_mesh(2, spatial, jax.devices()[: 2 * spatial])
    batch = sharding.put_batch({'label': label, 'pred': pred}, mesh)
    got = jax.jit(
      lambda b: metrics.confusion_matrix(b['label'], b['pred'], 4, 5)
    )(batch)
    np.testing.assert_array_equal(got, counted_by_numpy(label, pred, 4, 5))


def test_iou_by_hand():
  # Truth 0: 6 right, 2 as class 1, 2 as void. Truth 1: 4 right. 2: only
  # predicted, by one pixel of truth 1. 3: nowhere.
  confusion = np.array(
    [[6, 2, 0, 0, 2], [0, 4, 1, 0, 0], [0] * 5, [0] * 5], np.int32
  )
  want = [6 / 10, 4 / 7, 0, np.nan]
  np.testing.assert_allclose(metrics.class_iou(confusion), want)
  assert metrics.mean(want) == pytest.approx((6 / 10 + 4 / 7) / 3)
  assert metrics.pixel_accuracy(confusion) == pytest.approx(10 / 15)
  np.testing.assert_allclose(
    metrics.class_accuracy(confusion), [6 / 10, 4 / 5, np.nan, np.nan]
  )


def test_nothing_at_all_is_nan_not_zero():
  nothing = np.zeros((3, 3), np.int64)
  assert np.isnan(metrics.class_iou(nothing)).all()
  assert np.isnan(metrics.mean(metrics.class_iou(nothing)))
  assert np.isnan(metrics.pixel_accuracy(nothing))


def test_confusion_narrower_than_the_truth_is_refused():
  with pytest.raises(ValueError, match=r'\(3, 2\).*K >= G'):
    metrics.class_iou(np.zeros((3, 2)))


def test_index_instances():
  raw = np.array([[7, 24, 24000, 24001], [24001, 26005, 29000, 0]], np.int32)
  index, classes = instances.index_instances(raw, INFO.label_to_train)
  # 24000 counts; caravans (29) are ignored, the bare 24 is a group.
  np.testing.assert_array_equal(index, [[-1, -1, 0, 1], [1, 2, -1, -1]])
  np.testing.assert_array_equal(classes, [11, 11, 13])
  index, classes = instances.index_instances(
    np.array([[300_001, 5]]), INFO.label_to_train
  )
  assert (index == -1).all() and len(classes) == 0


def test_mean_sizes_of_other_data_are_its_own():
  scores = instances.InstanceScores(2, np.array([0, 1]))
  scores.add(np.array([[3, 1], [6, 0]]), np.array([0, 0]))
  sizes = scores.mean_sizes(('boat', 'car'))
  np.testing.assert_allclose(
    sizes, [5, instances.CITYSCAPES_INSTANCE_SIZES['car']]
  )
  # iTP = 5 * (3/4 + 1), iTP + iFN = 5 * 2.
  iou = scores.class_iou(np.array([[9, 1], [2, 5]]), sizes, (0,))
  np.testing.assert_allclose(iou, [5 * 1.75 / (10 + 2), np.nan])


def test_soft_iou_is_the_course_formula():
  rng = np.random.default_rng(3)
  logits = rng.normal(0, 2, (3, 9, 11, 5)).astype(np.float32)
  label = rng.integers(0, 4, (3, 9, 11))  # class 4 is absent
  p = np.exp(logits.astype(np.float64))
  p /= p.sum(-1, keepdims=True)
  y = np.eye(5)[label]
  ratio = (p * y).sum((1, 2)) / (p + y - p * y).sum((1, 2))
  got = metrics.soft_iou(logits, label, np.ones(label.shape, bool))
  np.testing.assert_allclose(got, ratio.mean(1), atol=1e-6)
  assert (ratio[:, 4] == 0).all()


def test_soft_iou_leaves_void_out_where_it_is_no_class():
  rng = np.random.default_rng(4)
  logits = rng.normal(0, 2, (1, 4, 10, 3)).astype(np.float32)
  label = rng.integers(0, 3, (1, 4, 10))
  valid = np.ones(label.shape, bool)
  valid[..., 6:] = False
  got = metrics.soft_iou(logits, np.where(valid, label, 255), valid)
  want = metrics.soft_iou(logits[:, :, :6], label[:, :, :6], valid[:, :, :6])
  np.testing.assert_allclose(got, want, atol=1e-6)
  nothing = metrics.soft_iou(logits, label, np.zeros_like(valid))
  np.testing.assert_array_equal(nothing, 0)


def test_soft_iou_of_a_large_picture_keeps_its_digits():
  # One running float32 sum would add 1 for 0.97 beyond 2^20 pixels; XLA sums
  # in a tree.
  p = 0.97
  logits = np.zeros((1, 1024, 2048, 2), np.float32)
  logits[..., 0] = np.log(p / (1 - p))
  label = np.zeros(logits.shape[:3], np.uint8)
  got = jax.jit(metrics.soft_iou)(logits, label, label == 0)
  np.testing.assert_allclose(got, p / 2, rtol=1e-5)


def test_confusion_matrix_under_64_bit_numbers():
  labels = np.array([[[0, 1], [1, 255]]])
  pred = np.array([[[0, 1], [0, 1]]])
  with jax.enable_x64(True):
    found = metrics.confusion_matrix(jnp.array(labels), jnp.array(pred), 2, 2)
  assert found.dtype == jnp.int32
  np.testing.assert_array_equal(found, [[1, 0], [1, 1]])
