"""What is not what deeplax gives is found out."""

import numpy as np
import pytest

from deeplax.data.datasets.cityscapes import INFO
from deeplax.export import verify
from deeplax.export.pictures import Pictures

SIZE = (20, 50)


class Source:
  """Three pictures; red is the label, and what deeplax predicts."""

  def __len__(self):
    return 3

  def __getitem__(self, i):
    rng = np.random.default_rng(i)
    image = rng.integers(0, 19, (*SIZE, 3)).astype(np.uint8)
    return {'image': image, 'label': image[..., 0], 'id': f'picture {i}'}


def pictures(labelled=True):
  return Pictures(Source(), SIZE, where='', labelled=labelled, skip=False)


def reference(image):
  return image[..., 0]


def right(images):
  return {'labels': images[..., 0]}


def with_probs(images):
  return {**right(images), 'probs': np.eye(19, dtype='f')[images[..., 0]]}


def compare(run, **options):
  options = {'pictures': pictures(), **options}
  shown = options.pop('pictures')
  return verify.compare(run, reference, shown, INFO, **options)


@pytest.mark.parametrize('batch_size', [1, 2, 3, 4])
def test_equal_labels_pass(batch_size):
  sizes = []

  def run(images):
    sizes.append(len(images))
    return with_probs(images)

  found = compare(run, batch_size=batch_size)
  assert found.equal == 1 and not found.problem
  assert found.pictures == 3 and found.pixels == 3000
  assert found.miou == {'deeplax': 1, 'exported': 1}
  assert sum(sizes) == 3 and max(sizes) == min(batch_size, 3)


def wrong_at(pixels):
  def run(images):
    labels = images[..., 0].copy()
    if images[0, 0, 0, 0] == Source()[1]['image'][0, 0, 0]:
      flat = labels.reshape(-1)
      flat[:pixels] = (flat[:pixels] + 1) % 19
    return {'labels': labels}

  return run


def test_one_pixel_in_a_thousand_may_differ():
  assert Source()[0]['image'][0, 0, 0] != Source()[1]['image'][0, 0, 0]
  found = compare(wrong_at(3))
  assert not found.problem and found.equal == pytest.approx(0.999)
  found = compare(wrong_at(4))
  assert '0.133% of the pixels' in found.problem
  assert 'picture 1, 0.400%' in found.problem
  assert found.worst == 'picture 1' and found.worst_equal == 0.996
  # In 8 bits the cost is told, and no share is asked for.
  found = compare(wrong_at(400), exact=False)
  assert not found.problem
  assert found.miou['deeplax'] == 1 and 0.7 < found.miou['exported'] < 0.9


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (lambda out: {'labels': out['labels'].astype(int)}, 'labels are int64'),
    (lambda out: {'labels': out['labels'][:, 1:]}, r'uint8\[1, 19, 50\]'),
    (lambda out: {**out, 'probs': out['probs'] * 5}, 'add up to 1 but for 4'),
    (lambda out: {**out, 'probs': out['probs'] + np.nan}, 'but for nan'),
    (lambda out: {**out, 'probs': out['probs'][..., ::-1]}, 'likeliest class'),
    (lambda out: {**out, 'probs': out['probs'][0]}, 'probabilities are'),
  ],
)
def test_malformed_results(change, message):
  found = compare(lambda images: change(with_probs(images)))
  assert found.pictures == 0
  with pytest.raises(AssertionError, match=message):
    raise AssertionError(found.problem)


def test_without_labels_there_is_no_miou():
  assert compare(right, pictures=pictures(labelled=False)).miou is None
