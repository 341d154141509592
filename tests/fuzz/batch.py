"""Runs cases of one reader, in a process that may end in any way.

  python -m tests.fuzz.batch READER SEED FIRST COUNT

Prints a line of JSON before each case, `{"case": 7}`, one after a case that
failed, and `{"done": true, "clear": 5, "read": 2}` at the end. A case is the
same wherever it runs: FIRST and a COUNT of 1 repeat it, with the traceback.
"""

import collections
import json
import os
import pathlib
import resource
import shutil
import signal
import sys
import tempfile
import traceback

from tests.fuzz import mutate
from tests.fuzz.readers import CLEAR, READERS
from tests.fuzz.weight_readers import READERS as WEIGHT_READERS

ALL = {**READERS, **WEIGHT_READERS}
SECONDS = 8  # of the processor, for the slowest case
BYTES = 2 << 30  # that a case may take
_FULL = ('memory', 'allocate')


def run(name: str, seed: int, first: int, count: int) -> None:
  """Runs `count` cases from number `first` on."""
  reader = ALL[name]
  files = reader.seeds()
  places = {file: reader.places(content) for file, content in files}
  with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    reader.beside(folder / 'whole')
    for file, content in files:  # loads libraries, too
      path = _write(reader, folder, file, content)
      try:
        reader.read(path)
      except CLEAR as error:
        _say(whole=file, error=f'a whole file is refused: {error}')
    _limit_memory()
    kinds = collections.Counter()
    for case in range(first, first + count):
      _say(case=case)
      rng = mutate.generator(name, seed, case)
      file, content = files[rng.integers(len(files))]
      damaged = _damage(reader, rng, files, content, places[file])
      path = _write(reader, folder, file, damaged)
      (size, peak), start = _memory(), _seconds()
      words = _attempt(reader, path, kinds, loud=count == 1)
      after = _memory()[1]
      if after > peak and after - size > BYTES:
        words = words or f'took {(after - size) >> 20} MiB of memory'
      if _seconds() - start > SECONDS:
        words = words or f'took {_seconds() - start:.0f} s'
      if words:
        _say(case=case, file=file, length=len(damaged), error=words)
        if count == 1:
          shutil.copy(path, f'case{path.suffix}')
  _say(done=True, **kinds)


def _damage(reader, rng, files, content, places):
  other = files[rng.integers(len(files))][1]
  kind = reader.mutators[rng.integers(len(reader.mutators))]
  if kind is not mutate.mutate:
    try:
      return kind(content, rng, other)
    except Exception:  # the seed is of another form
      pass
  return mutate.mutate(content, rng, other, places)


def _write(reader, folder, file, content) -> pathlib.Path:
  """The file, and fresh ones beside it."""
  place = folder / 'now'
  shutil.rmtree(place, ignore_errors=True)
  if (folder / 'whole').is_dir():
    shutil.copytree(folder / 'whole', place)
  path = place / file
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(content)
  reader.repair(place, file)
  return path


def _attempt(reader, path, kinds, *, loud: bool) -> str:
  """'' if all is well, or what is not."""
  signal.alarm(8 * SECONDS)  # ends a case that hangs, and us
  try:
    reader.read(path)
    kinds['read'] += 1
    return ''
  except CLEAR as error:
    kinds['clear'] += 1
    if loud:
      print(f'{type(error).__name__}: {error}', file=sys.stderr)
    return _ran_out(error) or _unclear(error)
  except Exception as error:  # all others are what is looked for
    if loud:
      traceback.print_exc()
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f'{type(error).__name__}: {error} ({last.filename}:{last.lineno})'
  finally:
    signal.alarm(0)


def _ran_out(error) -> str:
  """Whether a clear error stands for memory that was asked for in vain."""
  while error is not None:
    words = f'{type(error).__name__}: {error}'
    if isinstance(error, MemoryError) or all(w in words for w in _FULL):
      return f'asked for too much memory: {words}'
    error = error.__cause__ or error.__context__
  return ''


def _unclear(error) -> str:
  words = str(error)
  if len(words) < 20 or len(words) > 3000:
    return f'an error of {len(words)} characters: {words[:200]!r}'
  return ''


def _seconds() -> float:
  """Of the processor, so far; others may be at work here."""
  return sum(os.times()[:4])


def _memory() -> tuple[int, int]:
  """Bytes of address space, now and at most ever."""
  status = pathlib.Path('/proc/self/status').read_text()
  fields = dict(line.split(':', 1) for line in status.splitlines())
  return tuple(int(fields[k].split()[0]) << 10 for k in ('VmSize', 'VmPeak'))


def _limit_memory():
  """Above what a case may take, so that it is told from what it may not."""
  limit = _memory()[0] + 3 * BYTES
  resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def _say(**words):
  print(json.dumps(words), flush=True)


if __name__ == '__main__':
  os.environ.setdefault('JAX_PLATFORMS', 'cpu')
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  os.environ.setdefault('OPENCV_LOG_LEVEL', 'SILENT')
  run(sys.argv[1], *map(int, sys.argv[2:]))
