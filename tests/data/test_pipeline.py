"""Batches: the same whatever works on them, every picture once, no orphans."""

import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from deeplax.data import geometry, grouping, photometric
from deeplax.data.errors import DataError
from deeplax.data.pipeline import (
  batch_indices,
  eval_batches,
  train_batches,
)
from deeplax.data.workers import WorkerError
from tests.data.batches import assert_equal

ROOT = pathlib.Path(__file__).resolve().parents[2]
OPS = (
  'random_scale(0.5, 2)|random_crop(12, 16, 0.9)|random_flip()|photometric()'
)


class Pictures:
  """Random pictures of three sizes; those in `bad` can't be read."""

  def __init__(self, length, bad=(), sizes=((20, 30), (24, 30), (20, 33))):
    self.length, self.bad, self.sizes = length, bad, sizes

  def __len__(self):
    return self.length

  def __getitem__(self, index):
    if index in self.bad:
      raise DataError(
        'the file is empty.', fix='Copy it again.', file=f'/pic/{index}.png'
      )
    rng = np.random.default_rng(index)
    size = self.sizes[index % len(self.sizes)]
    label = rng.integers(0, 19, size, dtype=np.uint8)
    return {
      'image': rng.integers(0, 256, (*size, 3), dtype=np.uint8),
      'label': label,
      'instance': label.astype(np.int32) * 1000 + index,
      'id': f'picture{index}',
    }


def train(count, source=None, **options):
  options = {'ops': OPS, 'batch_size': 4, 'seed': 5, **options}
  source = Pictures(7) if source is None else source
  with train_batches(source, **options) as batches:
    return [next(batches) for _ in range(count)]


def test_the_pictures_of_any_step_are_known_without_loading_them():
  made = [batch['index'].tolist() for batch in train(5)]
  told = [
    batch_indices(7, batch_size=4, seed=5, step=step) for step in range(5)
  ]
  assert made == told
  assert told != [
    batch_indices(7, batch_size=4, seed=6, step=step) for step in range(5)
  ]


@pytest.fixture(scope='module')
def straight():
  """Twelve global batches made without workers."""
  return train(12)


# ----------------------------------------------------------------- training


def test_batch_contract(straight):
  for batch in straight:
    assert batch['image'].shape == (4, 12, 16, 3)
    assert batch['label'].shape == (4, 12, 16)
    assert batch['image'].dtype == batch['label'].dtype == np.uint8
    assert batch['valid'].dtype == bool and batch['valid'].all()
    assert batch['index'].dtype == np.int64
    assert set(batch) == {'image', 'label', 'valid', 'index'}


def test_every_epoch_has_every_picture_in_another_order(straight):
  order = np.concatenate([batch['index'] for batch in straight])
  epochs = [tuple(order[i : i + 7]) for i in range(0, 42, 7)]
  assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
  assert len(set(epochs)) > 1
  # Another chance each time, too.
  flat = [p for batch in straight for p in batch['image']]
  first, second = (flat[i] for i in np.flatnonzero(order == 0)[:2])
  assert not np.array_equal(first, second)


def test_seed_decides(straight):
  assert_equal(train(3), straight[:3])
  other = train(3, seed=6)
  assert any((a['index'] != b['index']).any() for a, b in zip(other, straight))


@pytest.mark.parametrize('workers', [1, 3])
def test_workers_change_nothing(straight, workers):
  assert_equal(train(8, workers=workers), straight[:8])


@pytest.mark.parametrize('count', [2, 4])
def test_processes_share_the_global_batch(straight, count):
  shares = [
    train(6, process_index=p, process_count=count) for p in range(count)
  ]
  for step, whole in enumerate(straight[:6]):
    for key, value in whole.items():
      parts = [share[step][key] for share in shares]
      np.testing.assert_array_equal(np.concatenate(parts), value)


def test_restart_goes_on_with_the_same_batches(straight):
  assert_equal(train(5, start_step=7), straight[7:12])
  share = {'process_index': 1, 'process_count': 2}
  assert_equal(train(2, start_step=4, **share), train(6, **share)[4:])


def distorted(batches):
  """What a device makes of batches whose colours are left to it."""
  for batch in batches:
    numbers = [photometric.Numbers(*row) for row in batch.pop('photometric')]
    for i, row in enumerate(numbers):
      batch['image'][i] = photometric.distort(batch['image'][i], row)
  return batches


@pytest.mark.parametrize(
  'options', [{}, {'workers': 2}, {'start_step': 3}], ids=str
)
def test_colours_left_to_the_device_are_those_of_the_host(straight, options):
  batches = train(5, photometric_on_device=True, **options)
  start = options.get('start_step', 0)
  for batch, host in zip(batches, straight[start:]):
    assert batch['photometric'].dtype == np.float32
    assert not np.array_equal(batch['image'], host['image'])
  # Hue is a whole number again; the rest may be a level off in float32.
  for batch in batches:
    assert (batch['photometric'][:, 3] % 1 == 0).all()
  for one, other in zip(distorted(batches), straight[start:]):
    difference = one['image'].astype(int) - other['image']
    assert np.abs(difference).max() <= 1
    assert (difference != 0).mean() < 1e-3
    np.testing.assert_array_equal(one['label'], other['label'])


def test_processes_draw_the_numbers_of_the_global_batch():
  whole = train(3, photometric_on_device=True)
  for p in range(2):
    share = train(
      3, photometric_on_device=True, process_index=p, process_count=2
    )
    for part, batch in zip(share, whole):
      for key in ('image', 'photometric'):
        half = batch[key][2 * p : 2 * p + 2]
        np.testing.assert_array_equal(part[key], half)


def test_a_picture_that_is_skipped_keeps_its_colour():
  options = {'source': Pictures(7, bad=(2,)), 'on_error': 'skip'}
  batches = train(4, photometric_on_device=True, **options)
  missing = np.concatenate([b['photometric'][~b['valid']] for b in batches])
  assert len(missing)
  assert (missing == photometric.Numbers()).all()


@pytest.mark.parametrize(
  'ops', ['photometric()|random_crop(12, 16)', 'random_crop(12, 16)']
)
def test_only_colours_at_the_end_can_be_left_to_the_device(ops):
  assert_equal(train(2, ops=ops, photometric_on_device=True), train(2, ops=ops))


def test_a_step_far_out_comes_at_once():
  start = time.perf_counter()
  train(1, start_step=10**9)
  assert time.perf_counter() - start < 5


def test_fewer_pictures_than_the_batch():
  (batch,) = train(1, Pictures(1), batch_size=6)
  assert (batch['index'] == 0).all() and batch['valid'].all()


def test_skip_keeps_the_place_of_a_bad_example():
  source = Pictures(7, bad=(2, 5))
  options = {'ops': OPS, 'batch_size': 4, 'seed': 5}
  with train_batches(source, on_error='skip', **options) as batches:
    got = [next(batches) for _ in range(7)]
    assert batches.skipped == 8
    assert sorted(batches.errors) == [
      f'/pic/{i}.png: the file is empty. Copy it again.' for i in (2, 5)
    ]
  for batch, whole in zip(got, train(7)):
    np.testing.assert_array_equal(batch['index'], whole['index'])
    np.testing.assert_array_equal(
      batch['valid'], ~np.isin(whole['index'], (2, 5))
    )
    good = batch['valid']
    np.testing.assert_array_equal(batch['image'][good], whole['image'][good])
    assert (batch['image'][~good] == geometry.MEAN_PIXEL).all()
    assert (batch['label'][~good] == 255).all()


@pytest.mark.parametrize('workers', [0, 2])
def test_errors_keep_their_words(workers):
  source = Pictures(7, bad=(3,))
  with train_batches(
    source, ops=OPS, batch_size=1, seed=5, workers=workers
  ) as batches:
    order = [batch['index'][0] for batch in train(7, batch_size=1)]
    for _ in range(order.index(3)):
      next(batches)  # those before it come
    with pytest.raises(DataError) as error:
      next(batches)
    assert str(error.value) == '/pic/3.png: the file is empty. Copy it again.'
    assert error.value.file == '/pic/3.png'
    assert next(batches, None) is None


def test_nothing_usable_ends_even_with_skip():
  with (
    train_batches(
      Pictures(7, bad=range(7)), ops=OPS, batch_size=4, seed=0, on_error='skip'
    ) as batches,
    pytest.raises(DataError, match=r'last 8 examples .* /pic/\d.png'),
  ):
    for _ in range(5):
      next(batches)


def test_pictures_of_different_sizes_need_a_crop():
  with pytest.raises(
    DataError, match=r'picture\d.*differ in size.*random_crop'
  ):
    train(3, ops='')
  with pytest.raises(DataError, match='differ in size'):
    train(1, ops='resize(8, 8)|resize_image(4, 4)')
  same = train(3, Pictures(7, sizes=((5, 6),)), ops='')
  assert same[0]['image'].shape == (4, 5, 6, 3)


@pytest.mark.parametrize(
  ('options', 'words'),
  [
    ({'source': Pictures(0)}, 'empty.*dataset.dir'),
    ({'batch_size': 6, 'process_count': 4}, r'\(=6\).*multiple.*\(=4\)'),
    ({'batch_size': 0}, r'batch_size \(=0\)'),
    ({'workers': -1}, r'workers \(=-1\)'),
    ({'process_index': 2, 'process_count': 2}, r'process_index \(=2\)'),
    ({'on_error': 'ignore'}, "'ignore'.*'raise' or 'skip'"),
    ({'start_step': -1}, r'start_step \(=-1\)'),
    ({'ops': 'turn()'}, "unknown operation 'turn'"),
  ],
)
def test_arguments_are_checked(options, words):
  with pytest.raises(ValueError, match=words):
    train(1, **options)


# --------------------------------------------------------------- evaluation


def evaluate(length=23, sizes=None, **options):
  source = Pictures(length, **({'sizes': sizes} if sizes else {}))
  with eval_batches(source, **options) as batches:
    return list(batches)


@pytest.mark.parametrize('batch_size', [1, 2, 5, 40])
@pytest.mark.parametrize('count', [1, 3])
def test_every_picture_once(batch_size, count):
  source, seen = Pictures(23), []
  for p in range(count):
    for batch in evaluate(
      batch_size=batch_size, process_index=p, process_count=count
    ):
      assert len(batch['id']) == len(batch['valid']) == batch_size
      for i, valid in enumerate(batch['valid']):
        if valid:
          index = batch['index'][i]
          expected = source[index]
          seen.append(index)
          assert batch['id'][i] == expected['id']
          for key in ('image', 'label', 'instance'):
            np.testing.assert_array_equal(batch[key][i], expected[key])
        else:
          assert batch['id'][i] == '' and batch['index'][i] == -1
          assert (batch['image'][i] == geometry.MEAN_PIXEL).all()
          assert (batch['label'][i] == 255).all()
          assert (batch['instance'][i] == 0).all()
  assert sorted(seen) == list(range(23))


def test_evaluation_is_the_same_with_workers():
  for workers in (2,):
    assert_equal(
      evaluate(batch_size=4, workers=workers), evaluate(batch_size=4)
    )


def test_more_processes_than_pictures():
  one, none = (
    evaluate(1, batch_size=2, process_index=p, process_count=2) for p in (0, 1)
  )
  assert len(one) == 1 and none == []


def test_label_keeps_its_size_when_only_the_image_is_resized():
  batches = evaluate(batch_size=4, ops='resize_image(10, 15)')
  assert {b['image'].shape[1:3] for b in batches} == {(10, 15)}
  assert len({b['label'].shape for b in batches}) == 3


def test_skipped_pictures_are_left_out_and_counted():
  source = Pictures(9, bad=(0, 4))
  with eval_batches(source, batch_size=2, on_error='skip') as batches:
    ids = [i for batch in batches for i in batch['id'] if i]
    assert batches.skipped == 2 and '/pic/0.png' in batches.errors[0]
  assert sorted(ids) == [f'picture{i}' for i in (1, 2, 3, 5, 6, 7, 8)]
  with pytest.raises(DataError, match=r'/pic/0.png: the file is empty'):
    list(eval_batches(source, batch_size=2))


def test_many_shapes_do_not_pile_up():
  pictures = [
    {
      'image': np.zeros((10 + i % 50, 10, 3), np.uint8),
      'label': np.zeros((10 + i % 50, 10), np.uint8),
      'index': i,
      'id': str(i),
    }
    for i in range(100)
  ]
  waiting, most, seen = 0, 0, []

  def counted():
    nonlocal waiting, most
    for picture in pictures:
      waiting += 1
      yield picture
      most = max(most, waiting)

  for batch in grouping.by_shape(counted(), 4, pending_bytes=20_000):
    waiting -= int(batch['valid'].sum())
    seen += [i for i in batch['id'] if i]
  assert sorted(map(int, seen)) == list(range(100))
  assert most <= 12  # 20 kB are 4 to 11 batches begun, one picture in each


# ---------------------------------------------------------------- processes

SCRIPT = """
  import os, sys, time
  sys.path[:0] = [{root!r}, {tests!r}]
  from test_pipeline import OPS, Pictures

  def main():
    from deeplax.data.pipeline import train_batches
    batches = train_batches(
      Pictures(7), ops=OPS, batch_size=4, seed=5, workers=2)
    next(batches)
    print('ready', flush=True)
    {then}

  if __name__ == '__main__':
    main()
"""


def start(folder, then):
  script = folder / 'script.py'
  tests = str(pathlib.Path(__file__).parent)
  script.write_text(
    textwrap.dedent(SCRIPT.format(root=str(ROOT), tests=tests, then=then))
  )
  return subprocess.Popen(
    [sys.executable, str(script)],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def processes():
  """{pid: (parent, state, command line)} of all that /proc shows."""
  found = {}
  for entry in pathlib.Path('/proc').iterdir():
    if entry.name.isdigit():
      try:
        stat = (entry / 'stat').read_text().rpartition(')')[2].split()
        command = (entry / 'cmdline').read_text()
      except OSError:  # gone meanwhile
        continue
      found[int(entry.name)] = (int(stat[1]), stat[0], command)
  return found


def workers_of(pid):
  return [
    child
    for child, (parent, _, command) in processes().items()
    if parent == pid and 'spawn_main' in command
  ]


def alive(pids):
  table = processes()
  return [p for p in pids if p in table and table[p][1] != 'Z']


needs_proc = pytest.mark.skipif(
  not os.path.isdir('/proc/self'), reason='reads /proc'
)


@needs_proc
def test_workers_die_with_a_killed_trainer(tmp_path):
  trainer = start(tmp_path, 'time.sleep(120)')
  try:
    assert trainer.stdout.readline() == 'ready\n', trainer.stderr.read()
    workers = workers_of(trainer.pid)
    assert len(workers) == 2
  finally:
    trainer.kill()
    trainer.wait()
  end = time.monotonic() + 10
  while alive(workers) and time.monotonic() < end:
    time.sleep(0.05)
  assert not alive(workers)
  trainer.stdout.close(), trainer.stderr.close()


@needs_proc
def test_leaving_without_closing_is_quiet(tmp_path):
  script = start(tmp_path, 'globals().update(batches=batches)')
  output, errors = script.communicate(timeout=60)
  assert (script.returncode, output) == (0, 'ready\n')
  assert errors == ''


@needs_proc
def test_a_killed_worker_says_what_to_do():
  with train_batches(
    Pictures(7), ops=OPS, batch_size=4, seed=5, workers=2
  ) as batches:
    next(batches)
    for worker in workers_of(os.getpid()):
      os.kill(worker, signal.SIGKILL)
    with pytest.raises(WorkerError, match=r'code -9: .*memory.*input\.workers'):
      for _ in range(50):
        next(batches)
  assert not alive(workers_of(os.getpid()))


def test_workers_are_deaf_to_interrupts():
  options = {'ops': OPS, 'batch_size': 4, 'seed': 5, 'workers': 2}
  with train_batches(Pictures(7), **options) as batches:
    for worker in multiprocessing.active_children():  # booting, or at work
      os.kill(worker.pid, signal.SIGINT)
    for _ in range(5):
      next(batches)
    assert multiprocessing.active_children()
  assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
