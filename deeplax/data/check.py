"""The label doctor: what is wrong with a data set, before it costs a run.

It reads the files as they are, before any mapping, so that a mask of 0 and 255
or an id of another table is told apart from a class that is merely rare.
"""

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent import futures

import numpy as np
import tqdm

from deeplax import data
from deeplax.data import files, findings, pairs
from deeplax.data.errors import DataError
from deeplax.data.info import IGNORE_LABEL, DatasetInfo

_MORE = 200  # pictures read on suspicion, beyond a sample


@dataclasses.dataclass
class _Example:
  """What one example showed."""

  problems: list[findings.Problem] = dataclasses.field(default_factory=list)
  file: str = ''
  counts: np.ndarray | None = None  # int64[256] by train id; None: unreadable
  ids: frozenset[int] = frozenset()  # as stored

  @property
  def binary(self) -> bool:
    """Whether the mask could be one of 0 and 255, for classes 0 and 1."""
    return self.ids <= {0, 255}


def check(
  name: str,
  split: str,
  data_dir: str | os.PathLike = '',
  *,
  sample: int | None = None,
  seed: int = 0,
  progress: bool = False,
) -> findings.Report:
  """Reads a split, or a sample of it, and lists what is wrong.

  Reading everything, a class never seen and a picture without any labelled
  pixel are errors; from a sample they are warnings.

  Args:
    name: Name of the data set, as for `deeplax.data.source`.
    split: Name of the split.
    data_dir: Folder of the data.
    sample: Read this many examples, drawn by `seed`; None reads all.
    seed: Of the sample.
    progress: Show a progress bar, if stderr is a terminal.
  """
  try:
    info = data.info(name, data_dir)
    source = data.source(name, split, data_dir, strict=False)
  except DataError as error:
    problems = (findings.problem(error),)
    return findings.Report(
      name, split, 0, 0, problems, np.zeros(256, np.int64), ()
    )
  return check_source(
    source,
    info,
    name=name,
    split=split,
    sample=sample,
    seed=seed,
    progress=progress,
  )


def check_source(
  source: data.Source,
  info: DatasetInfo,
  *,
  name: str = '',
  split: str = '',
  sample: int | None = None,
  seed: int = 0,
  progress: bool = False,
) -> findings.Report:
  """`check` of a source at hand; with `files` and `problems` it says more."""
  name = name or info.name
  if not len(source):
    problems = (findings.empty(), *map(findings.problem, _unpaired(source)))
    counts = np.zeros(256, np.int64)
    return findings.Report(name, split, 0, 0, problems, counts, ())
  order = np.random.default_rng(seed).permutation(len(source)).tolist()
  partial = sample is not None
  chosen = sorted(order[:sample])

  def look(index: int) -> _Example:
    if hasattr(source, 'files'):
      return _examine_files(source.files(index), info)
    return _examine(source, index, info)

  seen = list(_in_threads(look, chosen, progress, f'checking {name} {split}'))
  stretched = _stretched(seen, info)
  if stretched and partial:
    # Perhaps the sample held the first class and void only: look further.
    more = _in_threads(look, order[sample:][:_MORE], False, '')
    seen += more
    stretched = _stretched(seen, info)

  problems = [findings.problem(error) for error in _unpaired(source)]
  for example in seen:
    problems += example.problems
    if example.counts is None or (stretched and example.binary):
      continue
    if example.counts.any() and not _trained(example):
      problems.append(findings.all_void(example.file, partial))
  if stretched:
    problems += [findings.zero_255(e.file) for e in seen if 255 in e.ids]
  read = [e for e in seen if e.counts is not None]
  counts = sum((e.counts for e in read), np.zeros(256, np.int64))
  problems += findings.never_seen(counts, info, len(read), partial, split)
  rank = {'error': 0, 'warning': 1, 'note': 2}
  problems.sort(key=lambda p: rank[p.severity])
  return findings.Report(
    name,
    split,
    len(source),
    len(seen),
    tuple(problems),
    counts,
    info.class_names,
  )


def class_pixel_counts(
  source: data.Source,
  sample: int | None = None,
  *,
  seed: int = 0,
  on_error: str = 'raise',
  progress: bool = False,
) -> np.ndarray:
  """int64[256]: pixels by train id, 255 = void; e.g. for class weights.

  Args:
    source: The examples; one with `label(i)` is read without its pictures.
    sample: Count this many examples, drawn by `seed`; None counts all.
    seed: Of the sample.
    on_error: `'raise'`, or `'skip'` examples that can't be read.
    progress: Show a progress bar, if stderr is a terminal.

  Raises:
    DataError: An example can't be read, with `on_error='raise'`.
  """

  def count(index: int) -> np.ndarray:
    try:
      if hasattr(source, 'label'):
        label = source.label(index)
      else:
        label = source[index]['label']
    except DataError:
      if on_error == 'skip':
        return np.zeros(256, np.int64)
      raise
    return np.bincount(label.ravel(), minlength=256)

  order = np.random.default_rng(seed).permutation(len(source)).tolist()
  indices = sorted(order[:sample])
  counts = np.zeros(256, np.int64)
  for one in _in_threads(count, indices, progress, 'counting classes'):
    counts += one
  return counts


def _unpaired(source: data.Source) -> Sequence[DataError]:
  return getattr(source, 'problems', ())


def _examine_files(item: pairs.Files, info: DatasetInfo) -> _Example:
  """One pair of files, each looked at even if the other is bad."""
  example = _Example(file=item.label)
  image = mask = None
  try:
    content = files.read_bytes(item.image)
    orientation = files.header(content, item.image).orientation
    image = files.decode_image(content, item.image)
    if orientation != 1:
      example.problems.append(findings.turned(item.image, orientation))
  except DataError as error:
    example.problems.append(findings.problem(error))
  try:
    content = files.read_bytes(item.label)
    mode = files.header(content, item.label).mode
    mask = files.decode_mask(content, item.label, info)
    if mode == 'P':
      example.problems.append(findings.palette(item.label))
  except DataError as error:
    example.problems.append(findings.problem(error))
  if mask is not None:
    _examine_mask(example, mask, info)
  for other, path in ((mask, item.label), *_extras(item, example)):
    try:
      if image is not None and other is not None:
        pairs.check_sizes(image, other, item.image, path)
    except DataError as error:
      example.problems.append(findings.problem(error))
  return example


def _extras(
  item: pairs.Files, example: _Example
) -> Iterator[tuple[np.ndarray, str]]:
  for extra, path in item.extras.items():
    try:
      yield files.EXTRAS[extra](path), path
    except DataError as error:
      example.problems.append(findings.problem(error))


def _examine_mask(
  example: _Example, mask: np.ndarray, info: DatasetInfo
) -> None:
  """Ids of a raw mask: what the table lacks, and the pixels of the rest."""
  example.ids = frozenset(pairs.ids_present(mask).tolist())
  unknown = pairs.unknown_ids(mask, info)
  if unknown == [255] and example.binary and info.num_classes > 1:
    example.problems.append(findings.zero_255(example.file))
    example.ids = frozenset({0})  # said already
  elif unknown:
    error = pairs.unknown_error(unknown, info, example.file)
    example.problems.append(findings.problem(error))
  raw = np.bincount(mask.ravel())
  example.counts = np.zeros(256, np.int64)
  for label in info.labels:
    if 0 <= label.label_id < len(raw):
      example.counts[label.train_id] += raw[label.label_id]


def _examine(source: data.Source, index: int, info: DatasetInfo) -> _Example:
  """One example of a source that shows no files: train ids already."""
  try:
    content = source[index]
  except DataError as error:
    return _Example([findings.problem(error)])
  example = _Example(file=content['id'])
  counts = np.bincount(content['label'].ravel(), minlength=256)
  example.ids = frozenset(np.flatnonzero(counts).tolist())
  unknown = sorted(
    i for i in example.ids if i >= info.num_classes and i != IGNORE_LABEL
  )
  if unknown:
    example.problems.append(
      findings.Problem(
        'error',
        'ids out of range',
        example.file,
        f'train ids {unknown}, expected 0..{info.num_classes - 1} and 255.',
        'Prepare this data set again: it was made with another class table.',
      )
    )
  example.counts = counts
  return example


def _stretched(seen: Sequence[_Example], info: DatasetInfo) -> bool:
  """Whether the masks are 0/255 for two classes, with 255 meant as void.

  One such mask may be right (the first class and void), all of them are not.
  """
  read = [e for e in seen if e.counts is not None]
  return (
    info.num_classes > 1
    and info.label_to_train[IGNORE_LABEL] == IGNORE_LABEL
    and all(e.binary for e in read)
    and any(e.ids == {0, 255} and _trained(e) for e in read)
  )


def _trained(example: _Example) -> bool:
  """Whether any pixel belongs to a trained class."""
  return np.delete(example.counts, IGNORE_LABEL).any()


def _in_threads(
  function: Callable, items: Iterable, progress: bool, title: str
) -> Iterator:
  """`map` in order, in threads: decoding holds no lock of Python's."""
  items = list(items)
  with futures.ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
    try:
      results = pool.map(function, items)
      hidden = None if progress else True  # None: where it is no terminal
      yield from tqdm.tqdm(results, title, len(items), disable=hidden)
    finally:  # after an error or Ctrl-C, don't read the rest first
      pool.shutdown(cancel_futures=True)
