"""Ctrl-C ends a command, wherever it strikes."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time

import pytest

from deeplax import cli, interrupt, supervisor
from deeplax.errors import Stopped


class Careless:
  """Drops what is raised while it goes, as Python does in a `__del__`."""

  def __del__(self):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.05)


def test_it_comes_again_when_it_was_dropped(capsys):
  started = time.monotonic()
  with pytest.raises(KeyboardInterrupt), interrupt.insistent(every=0.1):
    Careless()
    while time.monotonic() < started + 20:
      time.sleep(0.01)
  assert time.monotonic() < started + 10
  assert capsys.readouterr().err == ''


def test_cleaning_up_is_left_alone(caplog):
  cleaned = []
  with pytest.raises(KeyboardInterrupt), interrupt.insistent(every=0.05):
    try:
      os.kill(os.getpid(), signal.SIGINT)
      time.sleep(5)
    finally:
      time.sleep(0.5)
      cleaned.append(True)
      logging.error('cut short')
  assert cleaned
  assert not caplog.records
  logging.error('back again')
  assert caplog.records


def test_without_one_nothing_changes():
  before = signal.getsignal(signal.SIGINT)
  with interrupt.insistent():
    assert signal.getsignal(signal.SIGINT) is not before
  assert signal.getsignal(signal.SIGINT) is before


def test_what_was_dropped_is_put_off_by_whoever_can(caplog):
  with interrupt.insistent(every=0.1), interrupt.stoppable() as stop:
    Careless()  # dropped, as nobody was ready for it
    stop.put_off = True
    deadline = time.monotonic() + 5
    while not stop.noted and time.monotonic() < deadline:
      time.sleep(0.01)
    time.sleep(0.5)  # and nobody insists any more
    logging.error('heard')
  assert stop.name == 'SIGINT'
  assert 'heard' in caplog.text


def test_one_around_another_knows_how_it_ended():
  for put_off, expected in ((False, Stopped), (True, KeyboardInterrupt)):
    with (
      pytest.raises(expected),
      interrupt.stoppable(),
      interrupt.stoppable() as stop,
    ):
      stop.put_off = put_off
      signal.raise_signal(signal.SIGTERM)
      signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize('watched', [False, True])
def test_what_a_parent_passes_on_is_the_same_signal(monkeypatch, watched):
  monkeypatch.setattr(supervisor, 'is_watched', lambda: watched)
  with interrupt.stoppable() as stop:
    stop.put_off = True
    signal.raise_signal(signal.SIGTERM)
    time.sleep(0.01)
    with (
      contextlib.nullcontext() if watched else pytest.raises(KeyboardInterrupt)
    ):
      signal.raise_signal(signal.SIGTERM)
    assert stop.name == 'SIGTERM'
    monkeypatch.setattr(interrupt, '_ECHO', 0)
    with pytest.raises(KeyboardInterrupt):
      signal.raise_signal(signal.SIGTERM)


def test_where_it_is_ignored_it_stays_ignored():
  before = signal.signal(signal.SIGINT, signal.SIG_IGN)
  try:
    with interrupt.insistent():
      os.kill(os.getpid(), signal.SIGINT)
      time.sleep(0.05)
  finally:
    signal.signal(signal.SIGINT, before)


def started(script):
  """A process that runs it, and has said that it is ready."""
  command = subprocess.Popen(
    [sys.executable, '-c', script],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  assert command.stdout.readline() == 'ready\n'
  return command


def test_a_command_ends_at_once_and_cleanly():
  # Threads that never end, of libraries say, must not hold it up.
  script = """
import threading, time
from deeplax import cli
def main(argv):
  threading.Thread(target=time.sleep, args=(60,)).start()
  try:
    print('ready', flush=True)
    time.sleep(60)
  finally:
    print('cleaned')
cli.run(main)
"""
  command = started(script)
  command.send_signal(signal.SIGINT)
  out, err = command.communicate(timeout=20)
  assert (command.returncode, out, err) == (
    130,
    'cleaned\n',
    'error: interrupted.\n',
  )


@pytest.mark.parametrize('becomes', ['KeyboardInterrupt', 'ImportError'])
def test_a_run_that_has_not_begun_can_be_started_again(becomes):
  script = f"""
import time
from deeplax import cli, interrupt
def main(argv):
  with interrupt.stoppable():
    print('ready', flush=True)
    try:
      time.sleep(60)
    except KeyboardInterrupt as error:
      raise {becomes}('of a library') from error
cli.run(main)
"""
  command = started(script)
  command.send_signal(signal.SIGTERM)
  _, errors = command.communicate(timeout=20)
  assert command.returncode == cli.STOPPED, errors
  assert errors.startswith('SIGTERM: stopped before a step was done')


def test_what_libraries_make_of_it_is_an_interrupt_still():
  with pytest.raises(KeyboardInterrupt), interrupt.insistent():
    try:
      os.kill(os.getpid(), signal.SIGINT)
      time.sleep(5)
    except KeyboardInterrupt as error:
      raise ValueError('while reading') from error
  with pytest.raises(ValueError, match='as ever'), interrupt.insistent():
    raise ValueError('as ever')


def test_what_came_too_late_is_passed_on():
  with interrupt.stoppable() as around:
    with interrupt.stoppable() as stop:
      stop.put_off = True
      assert not around
      signal.raise_signal(signal.SIGTERM)
    assert around.name == 'SIGTERM'
    with interrupt.stoppable() as stop:
      assert not stop
  with interrupt.stoppable() as stop:
    assert not stop
