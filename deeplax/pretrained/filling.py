"""Fills the variables of a network from named tensors, and accounts for all.

Every array of ours is taken, or its whole part (encoder, head, ...) is not in
the file; every tensor of the file is taken, or left out for a reason. What is
neither is an error.
"""

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from deeplax.errors import WeightsError


@dataclasses.dataclass(frozen=True)
class File:
  """What a source has read.

  Attributes:
    name: Of the file, for messages.
    tensors: By the file's own names.
    left_out: `(pattern, reason)`: tensors whose whole name matches are not
      needed, unless something takes them.
    facts: What else a source's `find` needs to know of the file.
    ours: Paths of all arrays of the network, while `fill` asks `find`.
  """

  name: str
  tensors: dict[str, np.ndarray]
  left_out: Sequence[tuple[str, str]] = ()
  facts: Any = None
  ours: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True)
class Found:
  """Where an array of ours comes from.

  Attributes:
    names: Of the tensors it is made of.
    make: Makes it of them.
    change: What that does, in words; '' where the tensor stays as it is.
  """

  names: tuple[str, ...]
  make: Callable[..., np.ndarray]
  change: str = ''


Find = Callable[[str, File], Found | None]


@dataclasses.dataclass
class Report:
  """What became of every array and tensor.

  Attributes:
    taken: `(ours, theirs, change)`.
    left_out: `(theirs, reason)`.
    missing: `(ours, reason)`: arrays that kept their fresh values.
  """

  taken: list[tuple[str, tuple[str, ...], str]] = dataclasses.field(
    default_factory=list
  )
  left_out: list[tuple[str, str]] = dataclasses.field(default_factory=list)
  missing: list[tuple[str, str]] = dataclasses.field(default_factory=list)

  def __str__(self) -> str:
    """One line for every array and tensor."""
    lines = [f'taken: {len(self.taken)}']
    for ours, theirs, change in self.taken:
      words = f' ({change})' if change else ''
      lines.append(f'  {ours} <- {", ".join(theirs)}{words}')
    lines += [f'left out: {len(self.left_out)}']
    lines += [f'  {name}: {reason}' for name, reason in self.left_out]
    lines += [f'missing, kept fresh: {len(self.missing)}']
    lines += [f'  {name}: {reason}' for name, reason in self.missing]
    return '\n'.join(lines)

  def summary(self) -> str:
    """The numbers, and the reasons without the names."""
    changed = sum(bool(change) for *_, change in self.taken)
    lines = [f'{len(self.taken)} arrays taken, {changed} of them reshaped']
    for words, pairs in (('left out', self.left_out), ('fresh', self.missing)):
      reasons = {}
      for _, reason in pairs:
        reasons[reason] = reasons.get(reason, 0) + 1
      lines += [f'{n} {words}: {reason}' for reason, n in reasons.items()]
    return '\n'.join(lines)


def fill(
  file: File,
  variables: dict[str, Any],
  find: Find,
  *,
  reinit_logits: bool = False,
) -> tuple[dict[str, Any], Report]:
  """See `deeplax.pretrained.fill`; `find(path, file)` is the source's.

  Paths are like `params/encoder/stage2/unit1/conv1/kernel`.
  """
  ours = {
    jax.tree_util.keystr(path, simple=True, separator='/'): leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
  }
  file = dataclasses.replace(file, ours=frozenset(ours))
  report, filled, used = Report(), {}, set()
  missing = []
  for path, fresh in ours.items():
    found = find(path, file)
    if found is None or not set(found.names) <= {*file.tensors}:
      missing.append((path, found))
      continue
    used |= {*found.names}
    array = found.make(*(file.tensors[name] for name in found.names))
    if array.shape != fresh.shape:
      if not (reinit_logits and _other_classes(path, fresh.shape, array.shape)):
        raise WeightsError(
          _other_shape(file, path, fresh.shape, found, array.shape)
        )
      report.missing.append(
        (path, f'other number of classes than {found.names[0]}, as asked for')
      )
      continue
    if not np.isfinite(array).all():
      raise WeightsError(
        f'{file.name}: {found.names[0]} holds numbers that are not finite.'
      )
    report.taken.append((path, found.names, found.change))
    filled[path] = array.astype(fresh.dtype)
  if not filled:
    raise WeightsError(_nothing(file, missing))
  _account_for_missing(file, missing, filled, report)
  _account_for_left_out(file, used, report)
  return (
    jax.tree_util.tree_map_with_path(
      lambda path, leaf: filled.get(
        jax.tree_util.keystr(path, simple=True, separator='/'), leaf
      ),
      variables,
    ),
    report,
  )


def gives_logits(path: str) -> bool:
  """Whether the array belongs to a layer that gives class scores."""
  return path.split('/')[-2].startswith('logits')


def _other_classes(path, expected, shape):
  """Whether the shapes differ in the number of classes alone."""
  return gives_logits(path) and shape[:-1] == expected[:-1]


def _part(path: str) -> str:
  """`encoder` of `params/encoder/stage1/...`."""
  return path.split('/')[1]


def _account_for_missing(file, missing, filled, report):
  """A part may be absent as a whole, not in pieces."""
  there = {_part(path) for path in filled} | {
    _part(path) for path, _ in report.missing
  }
  for path, found in missing:
    part = _part(path)
    if part in there:
      wanted = f' (as {", ".join(found.names)})' if found else ''
      raise WeightsError(
        f'{file.name} has no {path}{wanted}, though it has other tensors of '
        f'the {part}: it is of another architecture than config.model. Compare '
        'its variant, head and decoder with those of launch/describe.py.'
      )
    report.missing.append((path, f'the file has no {part}'))


def _account_for_left_out(file, used, report):
  unexplained = []
  plain = dict(file.left_out)  # most patterns are just a name
  patterns = [(re.compile(p), reason) for p, reason in file.left_out]
  for name in sorted({*file.tensors} - used):
    reason = plain.get(re.escape(name)) or next(
      (reason for pattern, reason in patterns if pattern.fullmatch(name)), None
    )
    if reason:
      report.left_out.append((name, reason))
    else:
      unexplained.append(name)
  if unexplained:
    shapes = [f'{n} {file.tensors[n].shape}' for n in unexplained[:8]]
    more = len(unexplained) - len(shapes)
    raise WeightsError(
      f'{file.name} has {len(unexplained)} tensors that the network of this '
      f'config has no place for: {", ".join(shapes)}'
      f'{f" and {more} more" if more else ""}. Compare config.model with what '
      'the weights were trained as.'
    )


def _other_shape(file, path, expected, found, shape):
  theirs = file.tensors[found.names[0]].shape
  words = (
    f'{file.name}: {found.names[0]} of shape {theirs} gives {shape}, but '
    f'{path} of this config has {expected}.'
  )
  if _other_classes(path, expected, shape):
    return (
      f'{words} The number of classes differs: {shape[-1]} there, '
      f'{expected[-1]} here. Choose a config with the classes of the file, or '
      'give --reinit_logits to start the last layer afresh.'
    )
  return f'{words} The file is of another architecture or width.'


def _nothing(file, missing):
  there = ', '.join(sorted(file.tensors)[:4])
  wanted = [name for _, found in missing if found for name in found.names][:4]
  return (
    f'{file.name} has nothing for the network of this config: it holds '
    f'{there or "no tensor"}, ...; expected {", ".join(wanted) or "others"}. '
    'Check --source and the config.'
  )
