"""What figures were measured on: processor, versions, other work."""

import importlib.metadata
import os
import pathlib
import platform
from typing import Any


def machine(*packages: str) -> dict[str, Any]:
  """Processor, cores, Python and the versions of packages that are there."""
  return {
    'processor': _processor(),
    'cores': os.cpu_count(),
    'python': platform.python_version(),
    **versions(*packages),
  }


def versions(*packages: str) -> dict[str, str]:
  """Of those that are installed."""
  found = {}
  for package in packages:
    try:
      found[package] = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
      continue
  return found


def load() -> float | None:
  """Load average of the last minute; other work makes the figures too low."""
  return round(os.getloadavg()[0], 2) if hasattr(os, 'getloadavg') else None


def seconds_since_start() -> float | None:
  """Of this process; None where the system does not tell."""
  try:
    stat = pathlib.Path('/proc/self/stat').read_text()
    uptime = pathlib.Path('/proc/uptime').read_text()
  except OSError:
    return None
  # The second field is the command's name, which may have spaces in it.
  ticks = float(stat.rpartition(')')[2].split()[19])
  return float(uptime.split()[0]) - ticks / os.sysconf('SC_CLK_TCK')


def _processor() -> str:
  path = pathlib.Path('/proc/cpuinfo')
  if path.exists():
    for line in path.read_text().splitlines():
      if line.startswith('model name'):
        return line.partition(':')[2].strip()
  return platform.processor() or platform.machine()
