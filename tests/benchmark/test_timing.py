"""Turns are taken, and a summary is that of its numbers."""

from deeplax.benchmark import machine, timing


def test_turns():
  called = []
  runs = {name: lambda name=name: called.append(name) for name in 'abc'}
  seconds = timing.interleaved(runs, 2)
  assert ''.join(called) == 'abcabc'
  assert [*seconds] == [*'abc']
  assert all(len(s) == 2 and min(s) >= 0 for s in seconds.values())


def test_summary():
  found = timing.summary([0.4, 0.1, 0.2], pictures=8)
  assert found == {
    'images_per_second': 40.0,
    'milliseconds': 200.0,
    'fastest': 100.0,
    'slowest': 400.0,
    'repeats': [400.0, 100.0, 200.0],
  }


def test_a_busy_machine_is_said():
  assert timing.warning([1.0, 1.1, 1.0, 9.0]) is None
  assert '2.0 times' in timing.warning([1.0, 2.0, 2.0, 3.0])


def test_versions_of_what_is_there():
  found = machine.versions('numpy', 'no-such-package')
  assert [*found] == ['numpy'] and found['numpy'][0].isdigit()
