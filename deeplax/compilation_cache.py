"""Compiled programs are kept on disk: a second start takes seconds.

JAX keeps them, under a key of the program, the versions, the flags and the
devices. Of a CPU the key has the instruction set, so that machines of different
make may share a home. JAX's own variables decide, where they are set:
JAX_COMPILATION_CACHE_DIR (default $XDG_CACHE_HOME/deeplax/jax, which is
~/.cache/deeplax/jax where nothing else is said), JAX_ENABLE_COMPILATION_CACHE=0
and JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS.

JAX's own bound, JAX_COMPILATION_CACHE_MAX_SIZE, is not used: it needs a package
more, takes a lock for each entry, and up to jax 0.10 a run that is killed
between its two files of an entry makes every later writing fail.
"""

import contextlib
import glob
import logging
import os
import pathlib
import re
import warnings

log = logging.getLogger('deeplax')

LIMIT = 4 * 2**30  # bytes of our own folder; programs have 0.1 to 50 MB

_DEFAULTS = {
  'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0.5',
  'JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES': '-1',
  # XLA's own files for GPUs: an error there would be one of the compiler, JAX
  # only passes over those of its own files.
  'JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES': 'none',
}
_FOLDER = 'JAX_COMPILATION_CACHE_DIR'
_SUFFIX = '-cache'  # of JAX's files
_ERROR = re.compile(
  "Error (reading|writing) persistent compilation cache entry for '(.*?)': (.*)"
)


def enable() -> None:
  """Sets JAX's variables where the user did not, for a JAX imported later.

  Whatever is wrong with the folder, programs are compiled as without one, and
  one line says so. Our own folder is cut back to `LIMIT`; one that the user
  names is the user's.
  """
  for name, value in _DEFAULTS.items():
    os.environ.setdefault(name, value)
  warnings.showwarning = _telling(warnings.showwarning)
  if _FOLDER in os.environ:
    return
  folder = default_folder()
  if folder is not None:
    os.environ[_FOLDER] = str(folder)
    cut_back(folder, LIMIT)


def default_folder() -> pathlib.Path | None:
  """Of this user; None where the user has no home."""
  base = os.environ.get('XDG_CACHE_HOME', '')
  if not os.path.isabs(base):  # XDG: a relative one is to be ignored
    base = os.path.expanduser('~/.cache')
  return pathlib.Path(base, 'deeplax', 'jax') if os.path.isabs(base) else None


def cut_back(folder: pathlib.Path, limit: int) -> None:
  """Deletes the entries that were not used longest, down to `limit` bytes."""
  entries = []
  with contextlib.suppress(OSError):
    for entry in os.scandir(folder):
      if entry.name.endswith(_SUFFIX):
        stat = entry.stat()
        used = max(stat.st_atime, stat.st_mtime)
        entries.append((used, stat.st_size, entry.path))
  total = sum(size for _, size, _ in entries)
  for _, size, path in sorted(entries):
    if total <= limit:
      return
    with contextlib.suppress(OSError):  # another run may be as quick
      os.unlink(path)
    total -= size


def _telling(show):
  """`warnings.showwarning` that makes one line of all that JAX says about it.

  JAX leaves an entry that can't be read where it is, and would stumble over it
  at every start. Here it goes, and the program just compiled takes its place.
  """
  said = False

  def showwarning(message, category, filename, lineno, file=None, line=None):
    nonlocal said
    found = _ERROR.match(str(message))
    if not found:
      show(message, category, filename, lineno, file, line)
      return
    what, program, reason = found.groups()
    folder = os.environ.get(_FOLDER, '')
    if what == 'reading':
      for path in glob.glob(f'{glob.escape(f"{folder}/{program}")}-*{_SUFFIX}'):
        with contextlib.suppress(OSError):
          os.unlink(path)
    if not said:
      log.warning(
        'The cache of compiled programs in %s is of no use for %s (%s): it is '
        'compiled again. JAX_COMPILATION_CACHE_DIR chooses another folder, '
        'JAX_ENABLE_COMPILATION_CACHE=0 none.',
        folder,
        program,
        reason,
      )
    said = True

  return showwarning
