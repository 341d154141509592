"""Batches ahead of the step: order, bounds, errors, and a clean end."""

import itertools
import signal
import threading
import time

import pytest

from deeplax import interrupt
from deeplax.prefetch import Prefetch


def threads():
  return [t for t in threading.enumerate() if t.name == 'prefetch']


@pytest.fixture(autouse=True)
def none_left():
  yield
  assert not threads()


def until(condition):
  deadline = time.monotonic() + 20
  while not condition():
    assert time.monotonic() < deadline
    time.sleep(0.001)


def test_all_of_them_in_order_each_put_once():
  put = []
  with Prefetch(iter(range(50)), lambda b: put.append(b) or -b) as batches:
    assert list(batches) == [-b for b in range(50)]
    assert list(batches) == []
  assert put == list(range(50))


@pytest.mark.parametrize('ahead', [1, 2, 3])
def test_no_more_than_asked_for_are_made_ahead(ahead):
  taken, put = itertools.count(), []
  with Prefetch(taken, put.append, ahead=ahead) as batches:
    for step in range(5):
      until(lambda n=step + ahead: len(put) == n)
      time.sleep(0.02)  # for one too many
      assert len(put) == step + ahead
      next(batches)
  assert next(taken) <= 5 + ahead + 1


def test_they_are_made_while_the_step_is_at_work():
  put = []
  with Prefetch(itertools.count(), put.append) as batches:
    next(batches)
    until(lambda: len(put) == 3)  # without another request


@pytest.mark.parametrize('place', ['pipeline', 'put'])
def test_errors_come_after_the_batches_before_them(place):
  def source():
    yield from range(3)
    if place == 'pipeline':
      raise ValueError('broken')
    yield 3

  def put(batch):
    if batch == 3:
      raise ValueError('broken')
    return batch

  with Prefetch(source(), put) as batches:
    assert [next(batches) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match='broken'):
      next(batches)
    with pytest.raises(StopIteration):
      next(batches)


def test_closed_it_lets_go_of_its_batches():
  class Batch:
    alive = 0

    def __init__(self, _):
      Batch.alive += 1

    def __del__(self):
      Batch.alive -= 1

  batches = Prefetch(itertools.count(), Batch)
  until(lambda: Batch.alive == 2)
  batches.close()
  batches.close()
  assert Batch.alive == 0


def test_an_interrupt_ends_the_wait_for_a_batch():
  go_on = threading.Event()

  def source():
    yield 0
    threading.Timer(
      0.1, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)
    ).start()
    go_on.wait(20)
    yield 1

  started = time.monotonic()
  with (
    pytest.raises(KeyboardInterrupt),
    interrupt.insistent(),
    Prefetch(source(), lambda b: b) as batches,
  ):
    try:
      while True:
        next(batches)
    finally:
      go_on.set()
  assert time.monotonic() - started < 10
