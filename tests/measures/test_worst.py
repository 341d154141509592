"""The worst pictures are kept, small, and in one order."""

import io
import json
import threading
import types

import by_hand
import numpy as np
import pytest
from PIL import Image

from deeplax.measures import worst

PALETTE = np.random.default_rng(0).integers(0, 256, (256, 3), np.uint8)


def offer(keeper, index, share):
  """A picture of 100 pixels of class 0, of which `share` are right."""
  confusion = np.array([[share, 100 - share], [0, 0]])
  made = []

  def make():
    made.append(index)
    iou = worst.iou_of_present(confusion)
    parts = dict.fromkeys(worst.PARTS, f'{index}'.encode())
    score = worst.score(confusion)
    return worst.Picture(score, index, f'picture {index}', parts, iou)

  keeper.offer(confusion, index, make)
  return bool(made)


def test_the_score_is_over_the_classes_of_the_truth():
  # Class 1 is not there: that it is predicted costs class 0 alone.
  confusion = np.array([[60, 30, 10], [0, 0, 0], [0, 0, 50]])
  assert worst.iou_of_present(confusion) == {0: 0.6, 2: 50 / 60}
  assert worst.score(confusion) == pytest.approx((0.6 + 50 / 60) / 2)
  # A trained void class is a column, and a miss.
  assert worst.score(np.array([[3, 1]])) == 0.75


def test_the_worst_are_kept_whatever_the_order():
  shares = np.random.default_rng(1).integers(0, 100, 60)
  want = sorted((s / 100, i) for i, s in enumerate(shares))[: worst.COUNT]
  for seed in range(3):
    keeper = worst.Worst()
    for i in np.random.default_rng(seed).permutation(60):
      offer(keeper, int(i), int(shares[i]))
    assert [(p.miou, p.index) for p in keeper.pictures] == want


def test_what_is_not_taken_is_not_made():
  keeper = worst.Worst(count=2)
  assert offer(keeper, 0, 10) and offer(keeper, 1, 20)
  assert not offer(keeper, 2, 30)
  assert offer(keeper, 3, 15)
  assert [p.index for p in keeper.pictures] == [0, 3]


def test_a_picture_without_labels_is_none():
  keeper = worst.Worst()
  keeper.offer(np.zeros((2, 2), int), 0, lambda: pytest.fail('made'))
  assert not keeper.pictures


def decoded(parts, kind):
  return Image.open(io.BytesIO(parts[kind]))


def test_parts_show_what_was_there():
  label = by_hand.labels(0, (40, 60), 3, block=10)
  pred = by_hand.labels(1, (40, 60), 3, void=False, block=10)
  image = np.full((40, 60, 3), (200, 100, 50), np.uint8)
  parts = worst.encode(image, label, pred, PALETTE)
  assert set(parts) == set(worst.PARTS)
  for kind, truth in (('truth', label), ('prediction', pred)):
    found = np.asarray(decoded(parts, kind).convert('RGB'))
    np.testing.assert_array_equal(found, PALETTE[truth])
  error = np.asarray(decoded(parts, 'error').convert('RGBA'))
  wrong = (label != pred) & (label != 255)
  np.testing.assert_array_equal(error[..., 0] > 200, wrong)
  np.testing.assert_array_equal(error[..., 3] == 0, label == pred)
  np.testing.assert_allclose(np.asarray(decoded(parts, 'image')), image, atol=4)


@pytest.mark.parametrize('size', [(512, 1024), (1500, 700)])
def test_parts_are_small(size):
  rng = np.random.default_rng(2)
  image = rng.integers(0, 256, (size[0] // 2, size[1] // 2, 3), np.uint8)
  label = by_hand.labels(0, size, 5, block=30)
  parts = worst.encode(image, label, label, PALETTE)
  for kind in worst.PARTS:
    picture = decoded(parts, kind)
    assert max(picture.size) == 640
    assert picture.width / picture.height == pytest.approx(
      size[1] / size[0], rel=0.01
    )
  assert sum(map(len, parts.values())) < 250_000  # noise, the worst case


def test_json_and_back():
  picture = worst.Picture(
    0.25,
    3,
    'a "b" <c>',
    {k: b'\x00' + k.encode() for k in worst.PARTS},
    {2: 0.5},
  )
  again = worst.Picture.from_json(json.loads(json.dumps(picture.to_json())))
  assert again == picture
  assert again.parts == picture.parts and again.iou == picture.iou
  with pytest.raises(KeyError):
    worst.Picture.from_json({'miou': 1})


def test_over_processes(monkeypatch):
  """Three processes, as threads that meet at each sum."""
  here, barrier, given = threading.local(), threading.Barrier(3), {}

  def total(array):
    given[here.index] = array
    barrier.wait()
    result = sum(given[i].astype(array.dtype) for i in range(3))
    barrier.wait()
    return result

  processes = types.SimpleNamespace(
    process_count=lambda: 3, process_index=lambda: here.index
  )
  monkeypatch.setattr(worst, 'jax', processes)
  monkeypatch.setattr(worst, 'sum_over_processes', total)
  shares = np.random.default_rng(1).integers(0, 100, 40)
  keepers = [worst.Worst() for _ in range(3)]

  def work(process):
    here.index = process
    # The last one has no picture at all.
    for i in range(process, 40, 2) if process < 2 else ():
      offer(keepers[process], i, int(shares[i]))
    keepers[process].add_processes()

  threads = [threading.Thread(target=work, args=(p,)) for p in range(3)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join(20)
  want = sorted((s / 100, i) for i, s in enumerate(shares))[: worst.COUNT]
  for keeper in keepers:
    assert [(p.miou, p.index) for p in keeper.pictures] == want
    assert all(
      p.parts['image'] == f'{p.index}'.encode() for p in keeper.pictures
    )
