"""metrics.jsonl: whole lines, cut back to the checkpoint on resume."""

import gc
import itertools
import json
import sys

import numpy as np

from deeplax import summaries


def test_rows_and_numbers_that_are_not_finite(tmp_path):
  writer = summaries.Summaries(tmp_path)
  writer.scalars(1, {'train/loss': np.float32(0.5), 'val/iou/bus': np.nan})
  writer.scalars(2, {'train/loss': 0.25})
  writer.close()
  assert summaries.read(tmp_path) == [
    {'step': 1, 'train/loss': 0.5},
    {'step': 2, 'train/loss': 0.25},
  ]


def test_cut_back(tmp_path):
  path = tmp_path / summaries.FILE
  lines = [json.dumps({'step': s, 'x': s}) + '\n' for s in (1, 2, 2, 3)]
  path.write_text(''.join(lines) + '{"step": 4, "x"')
  summaries.cut_back(tmp_path, 2)
  assert path.read_text() == ''.join(lines[:3])
  summaries.cut_back(tmp_path, 0)
  assert path.read_text() == ''
  summaries.cut_back(tmp_path / 'nothing', 0)


def test_inactive_processes_write_nothing(tmp_path):
  writer = summaries.Summaries(tmp_path, active=False)
  writer.scalars(1, {'x': 1.0})
  writer.images(1, {'x': np.zeros((2, 2, 3), np.uint8)})
  writer.start(0, {'a': 1}, {})
  writer.close()
  assert not list(tmp_path.iterdir())


def test_tensorboard_holds_scalars_pictures_and_parameters(tmp_path):
  from tensorboard.backend.event_processing import event_accumulator

  writer = summaries.Summaries(tmp_path)
  writer.start(0, {'model': {'rates': (6, 12)}}, {'a': np.zeros((2, 3))})
  writer.scalars(1, {'train/loss': 0.5})
  writer.images(1, {'val/picture_0': np.full((4, 5, 3), 9, np.uint8)})
  writer.close()
  events = event_accumulator.EventAccumulator(
    str(tmp_path), size_guidance={'tensors': 0}
  )
  events.Reload()
  tags = set(events.Tags()['tensors'])
  assert {'train/loss', 'val/picture_0'} <= tags
  assert any('parameters' in tag for tag in tags)


def test_rows_do_not_stay_in_memory(tmp_path):
  numbers = itertools.count(10**6)

  def write(rows):
    writer = summaries.Summaries(tmp_path)
    for number in itertools.islice(numbers, rows):
      writer.scalars(number, {'train/loss': 1 / number, 'val/miou': 2 / number})
    writer.close()  # all are written
    gc.collect()
    return sys.getallocatedblocks()

  write(100)  # whatever the first ones leave
  before = write(100)
  assert write(1000) - before < 500


def test_tensorboard_that_can_not_be_opened_ends_no_run(
  tmp_path, monkeypatch, caplog
):
  def full(_):
    raise RuntimeError('No space left on device')

  monkeypatch.setattr(summaries, '_tensorboard_writer', full)
  writer = summaries.Summaries(tmp_path)
  writer.scalars(1, {'x': 1.0})
  writer.open()
  writer.scalars(2, {'x': 2.0})
  writer.close()
  assert 'TensorBoard files end here: No space left' in caplog.text
  assert [row['x'] for row in summaries.read(tmp_path)] == [1, 2]
