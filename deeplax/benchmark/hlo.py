"""Reads the text of a compiled program, as far as a profile needs it."""

import re
from typing import NamedTuple


class Instruction(NamedTuple):
  """Of any computation of the program.

  Attributes:
    opcode: `'fusion'`, `'while'`, ...
    op_name: Where in the source it is from; of a fusion that does not say, what
      the last of its instructions says that does; or ''.
  """

  opcode: str
  op_name: str


def read(text: str) -> dict[str, Instruction]:
  """The instructions by name."""
  found, calls, last_said = {}, {}, {}
  computation = ''
  for line in text.splitlines():
    head = re.match(r'(?:ENTRY )?%?([\w.-]+) \(.*\{$', line)
    if head:
      computation = head[1]
      continue
    match = re.match(r'\s+(?:ROOT )?%?([\w.-]+) = .*? ([\w-]+)\(', line)
    if not match:
      continue
    name, opcode = match.groups()
    said = re.search(r'op_name="([^"]*)"', line)
    if said:
      last_said[computation] = said[1]
    called = re.search(r' calls=%?([\w.-]+)', line)
    if called and not said:
      calls[name] = called[1]
    found[name] = Instruction(opcode, said[1] if said else '')
  for name, called in calls.items():
    op_name = last_said.get(called, '')
    found[name] = found[name]._replace(op_name=op_name)
  return found
