"""A run whose files turn bad on the way: counted, and in its figures."""

import json
import math

import pytest

from deeplax import evaluate, summaries, train
from tests.data import trees
from tests.test_train import tiny_config

pytestmark = pytest.mark.usefixtures('small_network')


def mine(root, **changes):
  """The network, sizes and steps of `tiny_config`, whose programs are kept."""
  (root / 'classes.json').write_text(json.dumps([f'c{i}' for i in range(19)]))
  for split, count in (('train', 8), ('val', 4)):
    for i in range(count):
      name = f'{i}.png'
      trees.write_picture(root / split / 'images' / name, 32, 64, seed=i)
      mask = trees.ids([*range(19), 255], 32, 64, seed=i)
      trees.write_mask(root / split / 'labels' / name, mask)
  return tiny_config(
    **{'dataset.name': 'folder', 'dataset.dir': str(root), **changes}
  )


def test_a_cache_skips_what_the_files_would(tmp_path):
  found = []
  for cache in ('', str(tmp_path / 'cache')):
    config = mine(
      tmp_path, **{'dataset.on_error': 'skip', 'input.cache': cache}
    )
    (tmp_path / 'train/images/3.png').write_bytes(b'not any more')
    run = tmp_path / f'run{len(found)}'
    train.train_and_evaluate(config, run)
    found.append([r for r in summaries.read(run) if 'train/loss' in r])
  for plain, cached in zip(*found, strict=True):
    for name in ('train/loss', 'train/skipped_examples'):
      assert plain[name] == cached[name]
  assert found[0][-1]['train/skipped_examples'] == 3


@pytest.fixture
def breaking(tmp_path, monkeypatch):
  """After the first evaluation a mask is no more."""
  call = evaluate.Evaluator.__call__

  def evaluated(*args, **options):
    result = call(*args, **options)
    (tmp_path / 'val/labels/2.png').unlink(missing_ok=True)
    return result

  monkeypatch.setattr(evaluate.Evaluator, '__call__', evaluated)


def test_what_is_skipped_is_counted_in_every_row(
  tmp_path, breaking, monkeypatch
):
  made = []
  train_batches = train.pipeline.train_batches

  def noted(*args, **options):
    made.append(train_batches(*args, **options))
    return made[0]

  monkeypatch.setattr(train.pipeline, 'train_batches', noted)
  run = tmp_path / 'run'
  config = mine(tmp_path, **{'dataset.on_error': 'skip', 'log_every': 4})
  (tmp_path / 'train/images/3.png').write_bytes(b'not any more')
  (tmp_path / 'train/labels/5.png').write_bytes(b'')
  train.train_and_evaluate(config, run)
  rows = summaries.read(run)
  counts = [r['train/skipped_examples'] for r in rows if 'train/loss' in r]
  # Six steps of 4 are three epochs of 8, in each of which two are bad.
  assert len(counts) == 2
  assert counts[-1] == made[0].skipped == 6
  found = [r['val/skipped_examples'] for r in rows if 'val/miou' in r]
  assert found == [0, 1]
  assert all(math.isfinite(r.get('train/loss', 0)) for r in rows)
