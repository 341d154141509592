"""Threads ahead and behind: in order, bounded, and no error is lost."""

import threading
import time

import pytest

from deeplax.overlap import Threads


def until(condition, seconds=10):
  """Waits for what another thread is about to do."""
  end = time.monotonic() + seconds
  while not condition() and time.monotonic() < end:
    time.sleep(0.001)
  return condition()


def test_ahead_keeps_the_order_whatever_is_done_first():
  def work(i):
    time.sleep(0.002 * (i % 3))
    return i

  with Threads(4) as threads:
    assert list(threads.ahead(work, range(40))) == [*range(40)]
    assert list(threads.ahead(work, [])) == []


def test_ahead_begins_a_few_before_they_are_asked_for():
  begun, taken = [], []

  def items():
    for i in range(100):
      taken.append(i)
      yield i

  with Threads(2) as threads:
    results = threads.ahead(begun.append, items())
    for i in range(20):
      next(results)
      most = i + 1 + threads.bound
      # All that may be begun is, while nobody asks, and nothing more.
      assert until(lambda most=most: len(begun) == most)
      assert len(taken) == most
  assert len(begun) == most


def test_steps_ahead_and_behind_run_side_by_side():
  # Neither could end without the other.
  both = threading.Barrier(2, timeout=10)
  with Threads(2) as threads:
    threads.behind(both.wait)
    (place,) = threads.ahead(lambda _: both.wait(), [0])
  assert place in (0, 1)


def test_behind_waits_when_too_much_is_open():
  go, done, asked = threading.Event(), [], []

  def work(i):
    go.wait(10)
    done.append(i)

  def ask():
    with Threads(2) as threads:
      for i in range(20):
        threads.behind(work, i)
        asked.append(i)

  asking = threading.Thread(target=ask)
  asking.start()
  bound = Threads(2).bound
  assert until(lambda: len(asked) == bound)
  time.sleep(0.05)
  assert len(asked) == bound and not done
  go.set()
  asking.join(10)
  assert sorted(done) == [*range(20)]  # and the end waited for all


def fail(i):
  raise ValueError(f'number {i}')


def test_errors_reach_the_caller():
  with Threads(2) as threads:
    results = threads.ahead(lambda i: i if i < 3 else fail(i), range(9))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match='number 3'):
      next(results)
  with pytest.raises(ValueError, match='number 0'), Threads(2) as threads:
    threads.behind(fail, 0)  # known at the end only
  with pytest.raises(ValueError, match='number 0'), Threads(2) as threads:
    for i in range(1000):
      threads.behind(fail, i)
    pytest.fail('went on to the end')


@pytest.mark.parametrize('error', [KeyboardInterrupt, ValueError])
def test_on_an_error_only_what_is_at_work_is_ended(error):
  begun, ended = [], []
  go = threading.Event()

  def work(i):
    begun.append(i)
    go.wait(10)
    ended.append(i)

  with pytest.raises(error), Threads(1) as threads:
    for i in range(threads.bound):
      threads.behind(work, i)
    assert until(lambda: begun == [0])
    threading.Timer(0.05, go.set).start()
    raise error
  assert begun == ended == [0]
