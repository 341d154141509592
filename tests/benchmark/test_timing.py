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
  quiet, wavering = [1.0, 1.1, 1.0, 9.0], [1.0, 2.0, 2.0, 3.0]
  assert timing.warning(quiet, 0.9, 2) is None
  assert timing.warning(quiet, None, 2) is None
  assert '2.0 times' in timing.warning(wavering, 0.0, 2)
  assert 'load was 1.5 on 2 cores' in timing.warning(quiet, 1.5, 2)
  both = timing.warning(wavering, 1.5, 2)
  assert '2.0 times' in both and '1.5 on' in both


def test_versions_of_what_is_there():
  found = machine.versions('numpy', 'no-such-package')
  assert [*found] == ['numpy'] and found['numpy'][0].isdigit()
