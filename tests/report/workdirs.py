"""Workdirs of runs that never ran, with evaluations of random predictions."""

import numpy as np

from configs import common
from deeplax import cost, evaluation, evaluation_files, tally
from deeplax import workdir as workdir_lib
from deeplax.data import DatasetInfo, Label
from deeplax.measures import Measures

# What a page must not take for its own: markup, quotes, a template's sign.
NAMES = ('<script>boom()</script>', '"quoted" & $title', 'car', "bike's", 'bus')
ID = '"><img src=x onerror=boom()>$script'
INFO = DatasetInfo(
  'toy',
  tuple(
    Label(name, i, i, 'thing' if i > 1 else 'flat', (40 * i, 90, 200 - 40 * i))
    for i, name in enumerate(NAMES)
  ),
)
OPTIONS = {
  'output_stride': 16,
  'scales': [1.0],
  'flip': False,
  'window': None,
  'max_pictures': None,
  'crf': None,
}


class NoSummaries:
  """TensorBoard's files are of no concern here, and cost seconds."""

  def __init__(self, folder):
    pass

  def scalars(self, *_):
    pass

  images = close = scalars


def make(folder, monkeypatch, *, info=INFO, **options):
  """A workdir with an evaluation; options as of `evaluate`."""
  prepare(folder, info)
  evaluate(folder, monkeypatch, info=info, **options)
  return folder


def prepare(folder, info=INFO):
  config = common.base()
  config.dataset.name = 'toy'
  folder.mkdir(parents=True, exist_ok=True)
  workdir_lib.prepare(folder, config, info)


def evaluate(
  folder,
  monkeypatch,
  *,
  info=INFO,
  share=0.7,
  measured=True,
  disparity=True,
  pictures=25,
  seed=0,
  step=7,
  refined=False,
):
  """Writes an evaluation down; returns the path of its JSON.

  In it `share` of the pixels are right, and some more by chance. The last class
  is neither there nor predicted.
  """
  monkeypatch.setattr(evaluation_files.summaries, 'Summaries', NoSummaries)
  rng = np.random.default_rng(seed)
  measures, sums = Measures(info), tally.Tally(info)
  for i in range(pictures):
    label = np.kron(
      rng.integers(0, info.num_classes - 1, (4, 6)), np.ones((8, 8))
    )
    label[rng.random(label.shape) < 0.02] = 255
    other = rng.integers(0, info.num_classes - 1, label.shape)
    pred = np.where(rng.random(label.shape) < share, label % 255, other)
    label, pred = label.astype(np.uint8), pred.astype(np.uint8)
    pred %= info.num_classes - 1
    batch = {
      'image': rng.integers(0, 256, (1, *label.shape, 3), np.uint8),
      'label': label[None],
      'id': [f'{i} {ID}'],
      'index': [i],
    }
    if disparity:
      batch['disparity'] = rng.random((1, *label.shape)).astype('f4') * 80
    confidence = rng.random(label.shape) * 0.5 + 0.5
    measures.add(batch, 0, pred, confidence.astype(np.float32))
    inside = label != 255
    np.add.at(sums.confusion, (label[inside], pred[inside]), 1)
  sums.totals['labelled'] = sums.totals['losses'] = 1
  sums.totals['loss_weight'] = 1
  scalars = {f'val/{k}': v for k, v in sums.scalars().items()}
  found = evaluation.Evaluation(scalars, sums.confusion, [], pictures, 0)
  after = found if refined else None
  found = evaluation.Evaluation(
    *(scalars, sums.confusion, [], pictures, 0, after),
    measures if measured else None,
  )
  return evaluation_files.write(
    *(folder, 'val', step, dict(OPTIONS), found, info),
    cost.Cost(12.3, 12.0, 13.0, 5 * 2**20),
  )
