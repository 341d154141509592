"""Files that appear whole or not at all, and stay after a power cut."""

import json
import os
from typing import Any


def write(path: str | os.PathLike, content: bytes) -> None:
  """The file has its old content or the new one, and then it is on the disk."""
  folder, name = os.path.split(os.fspath(path))
  part = os.path.join(folder, f'.{name}.part')
  with open(part, 'wb') as file:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())
  publish(part, path)


def write_json(path: str | os.PathLike, tree: Any) -> None:
  """`write` of a tree as JSON that people can read."""
  write(path, (json.dumps(tree, indent=2) + '\n').encode())


def publish(part: str | os.PathLike, path: str | os.PathLike) -> None:
  """Gives a finished, synced file or folder its final name, for good."""
  os.replace(part, path)
  sync_folder(os.path.dirname(os.path.abspath(path)))


def sync_folder(folder: str | os.PathLike) -> None:
  """The names in a folder are on the disk afterwards."""
  handle = os.open(folder, os.O_RDONLY)
  try:
    os.fsync(handle)
  finally:
    os.close(handle)
