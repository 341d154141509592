"""What a check found."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Result:
  """What a check found; `str()` is the report for people.

  Attributes:
    passed: Whether a run may start.
    lines: The report.
    figures: The numbers behind it, for JSON.
    picture: A PNG, or b''.
  """

  passed: bool
  lines: tuple[str, ...]
  figures: dict[str, Any]
  picture: bytes = b''

  def __str__(self) -> str:
    return '\n'.join(self.lines)
